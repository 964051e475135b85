import asyncio

import openai
from openai import AsyncOpenAI
from pydantic import BaseModel
from upstream import (
    STALL,
    attempts,
    cuts_after,
    equal,
    fails,
    fails_at_once,
    gone_async,
    plays,
    raises_async,
    refused_calls,
    refusing,
    run,
    stalls_after,
)

ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Good morning"}]}
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]


class Thing(BaseModel):
    name: str
    sunny: bool


async def test_many_chats_at_once():
    client = AsyncOpenAI()
    answers = await asyncio.gather(
        *[
            client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": f"number {n}"}])
            for n in range(20)
        ]
    )
    for n, answer in enumerate(answers):
        assert answer.choices[0].message.content.startswith(f"You said: “number {n}”")


async def test_stream():
    pieces = []
    async for chunk in await AsyncOpenAI().chat.completions.create(**ASKED, stream=True):
        pieces.append(chunk.choices[0].delta.content or "")
    assert len(pieces) > 10
    assert "".join(pieces).startswith("You said: “Good morning”") and "".join(pieces).endswith("clever.")
    async with AsyncOpenAI().responses.stream(model="gpt-5-mini", input="Good morning") as stream:
        equal((await stream.get_final_response()).output_text, "".join(pieces))


async def test_tools():
    client = AsyncOpenAI()
    whole = await client.chat.completions.create(**ASKED, tools=TOOLS, tool_choice="required")
    async with client.chat.completions.stream(**ASKED, tools=TOOLS, tool_choice="required") as stream:
        streamed = await stream.get_final_completion()
    for answer in (whole, streamed):
        call = answer.choices[0].message.tool_calls[0].function
        equal((call.name, call.arguments), ("weather", '{"city":"demo"}'))


async def test_structured_output():
    parsed = await AsyncOpenAI().chat.completions.parse(**ASKED, response_format=Thing)
    equal(parsed.choices[0].message.parsed, Thing(name="demo", sunny=True))


async def test_embeddings():
    data = (await AsyncOpenAI().embeddings.create(model="text-embedding-3-small", input=["one", "two", "one"])).data
    assert data[0].embedding == data[2].embedding != data[1].embedding


async def test_uploads():
    client = AsyncOpenAI()
    size = 3 << 20
    file = await client.files.create(file=("lines.jsonl", b"o" * size), purpose="batch")
    equal((file.bytes, file.filename), (size, "lines.jsonl"))
    heard = await client.audio.transcriptions.create(file=("voice.wav", b"v" * size), model="whisper-1")
    assert "voice.wav, which came" in heard.text


async def test_errors_and_attempts():
    for status, kind, reached in [
        (401, openai.AuthenticationError, 1),
        (404, openai.NotFoundError, 1),
        (429, openai.RateLimitError, 3),
        (500, openai.InternalServerError, 3),
    ]:
        plays(*[fails_at_once(status)] * 9)
        err = await raises_async(kind, AsyncOpenAI().chat.completions.create(**ASKED))
        equal((err.status_code, err.type), (status, "demo_error"))
        equal((status, attempts()), (status, reached))


async def test_should_retry_is_obeyed():
    plays(fails(500, retry_after_ms="1", x_should_retry="false"))
    await raises_async(openai.InternalServerError, AsyncOpenAI().chat.completions.create(**ASKED))
    equal(attempts(), 1)
    plays(fails(400, retry_after_ms="1", x_should_retry="true"))
    assert (await AsyncOpenAI().chat.completions.create(**ASKED)).choices[0].message.content
    equal(attempts(), 2)


async def test_refused_connection():
    with refusing():
        err = await raises_async(openai.InternalServerError, AsyncOpenAI().chat.completions.create(**ASKED))
    equal((err.status_code, err.code), (502, "connect_failed"))
    # The sidecar has tried three times, and tells the client that this is enough.
    equal(refused_calls(1), 1)


async def test_timeout():
    plays(STALL, STALL)
    client = AsyncOpenAI(timeout=0.3, max_retries=1)
    await raises_async(openai.APITimeoutError, client.chat.completions.create(**ASKED))
    assert await gone_async(0) and await gone_async(1)
    equal(attempts(), 2)


async def test_broken_stream_is_an_error():
    plays(cuts_after("chat"))

    async def read():
        async for _chunk in await AsyncOpenAI().chat.completions.create(**ASKED, stream=True):
            pass

    err = await raises_async(openai.APIError, read())
    assert err.code == "stream_interrupted" and "reply_cut" in err.message
    # The provider is asked once more, and what it says then does not go with what came before.
    equal(attempts(), 2)


async def test_cancel_by_leaving_the_block():
    plays(stalls_after("chat"))
    async with await AsyncOpenAI().chat.completions.create(**ASKED, stream=True) as stream:
        await anext(aiter(stream))
    assert await gone_async()
    equal(attempts(), 1)


async def test_cancel_of_the_task_in_the_middle_of_a_stream():
    plays(stalls_after("chat"))
    begun = asyncio.Event()

    async def read():
        async for _chunk in await AsyncOpenAI().chat.completions.create(**ASKED, stream=True):
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    await raises_async(asyncio.CancelledError, task)
    assert await gone_async()


async def test_timeout_of_the_task_while_the_model_thinks():
    plays(STALL)
    await raises_async(TimeoutError, asyncio.wait_for(AsyncOpenAI().chat.completions.create(**ASKED), 0.3))
    assert await gone_async()
    equal(attempts(), 1)


run(__name__)
