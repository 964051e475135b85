"""The calls of an app whose client repeats as it comes; prints how many were answered."""

import os
from concurrent.futures import ThreadPoolExecutor

import openai

client = openai.OpenAI()
messages = [{"role": "user", "content": "Hi"}]


def call(number):
    try:
        client.chat.completions.create(model="m", messages=messages, extra_headers={os.environ["CALL_HEADER"]: str(number)})
        return True
    except openai.APIError:
        return False


with ThreadPoolExecutor(int(os.environ["AT_A_TIME"])) as pool:
    print(sum(pool.map(call, range(int(os.environ["CALLS"])))))
