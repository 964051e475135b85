"""Asks four models the same question side by side and prints their answers in the order of the models."""

from concurrent.futures import ThreadPoolExecutor

from openai import OpenAI

client = OpenAI()
MODELS = ["gpt-5-mini", "gpt-4o-mini", "claude-sonnet-4-5", "gpt-3.5-turbo-instruct"]


def ask(model):
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "What is a sidecar?"}]
    )
    return f"{model}: {answer.usage.completion_tokens} tokens: {answer.choices[0].message.content}"


with ThreadPoolExecutor() as pool:
    print("\n".join(pool.map(ask, MODELS)))
