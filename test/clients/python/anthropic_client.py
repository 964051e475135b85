import asyncio

import anthropic
from anthropic import Anthropic, AsyncAnthropic
from pydantic import BaseModel
from upstream import (
    STALL,
    answers_with,
    attempts,
    cuts_after,
    equal,
    fails,
    fails_at_once,
    gone,
    gone_async,
    plays,
    raises,
    raises_async,
    refused_calls,
    refusing,
    run,
    stalls_after,
)

MESSAGES = [{"role": "user", "content": "Good morning"}]
ASKED = {"model": "claude-demo", "max_tokens": 100, "messages": MESSAGES}
TOOLS = [{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]


def test_message_and_count():
    message = Anthropic().messages.create(**ASKED)
    assert message.content[0].text.startswith("You said: “Good morning”")
    assert Anthropic().messages.count_tokens(model="claude-demo", messages=MESSAGES).input_tokens > 3


def test_stream():
    with Anthropic().messages.stream(**ASKED) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) > 10
    equal(final.content[0].text, "".join(pieces))
    equal(final.stop_reason, "end_turn")


def test_tools():
    called = {**ASKED, "tools": TOOLS, "tool_choice": {"type": "tool", "name": "weather"}}
    whole = Anthropic().messages.create(**called)
    with Anthropic().messages.stream(**called) as stream:
        streamed = stream.get_final_message()
    for message in (whole, streamed):
        equal((message.content[0].name, message.content[0].input), ("weather", {"city": "demo"}))


class Thing(BaseModel):
    name: str


def test_structured_output():
    text = {"type": "text", "text": '{"name":"demo"}'}
    usage = {"input_tokens": 1, "output_tokens": 1}
    plays(answers_with({"id": "msg_1", "type": "message", "role": "assistant", "content": [text], "usage": usage}))
    equal(Anthropic().messages.parse(**ASKED, output_format=Thing).parsed_output, Thing(name="demo"))


# The fake provider answers as OpenAI does; what counts is that every byte arrives.
def test_upload():
    size = 3 << 20
    file = Anthropic().beta.files.upload(file=("notes.txt", b"a" * size, "text/plain"))
    equal((file.filename, file.model_extra["bytes"]), ("notes.txt", size))


async def test_async_message_and_stream():
    client = AsyncAnthropic()
    assert (await client.messages.create(**ASKED)).content[0].text.startswith("You said")
    async with client.messages.stream(**ASKED) as stream:
        assert (await stream.get_final_message()).content[0].text.endswith("clever.")


def test_errors_and_attempts():
    for status, kind, reached in [
        (401, anthropic.AuthenticationError, 1),
        (404, anthropic.NotFoundError, 1),
        (429, anthropic.RateLimitError, 3),
        (500, anthropic.InternalServerError, 3),
        (529, anthropic.InternalServerError, 3),
    ]:
        plays(*[fails_at_once(status)] * 9)
        err = raises(kind, lambda: Anthropic().messages.create(**ASKED))
        equal(err.status_code, status)
        assert f"scripted {status}" in str(err)
        equal((status, attempts()), (status, reached))


def test_should_retry_is_obeyed():
    plays(fails(529, retry_after_ms="1", x_should_retry="false"))
    raises(anthropic.InternalServerError, lambda: Anthropic().messages.create(**ASKED))
    equal(attempts(), 1)
    plays(fails(400, retry_after_ms="1", x_should_retry="true"))
    assert Anthropic().messages.create(**ASKED).content
    equal(attempts(), 2)


def test_refused_connection():
    with refusing():
        err = raises(anthropic.InternalServerError, lambda: Anthropic().messages.create(**ASKED))
    equal((err.status_code, err.body["error"]["type"]), (502, "api_error"))
    assert "Upstream fake could not be reached" in str(err)
    # The sidecar has tried three times, and tells the client that this is enough.
    equal(refused_calls(1), 1)


def test_timeout():
    plays(STALL, STALL)
    client = Anthropic(timeout=0.3, max_retries=1)
    raises(anthropic.APITimeoutError, lambda: client.messages.create(**ASKED))
    assert gone(0) and gone(1)
    equal(attempts(), 2)


def test_broken_stream_is_an_error():
    plays(cuts_after("messages"))
    err = raises(anthropic.APIError, lambda: list(Anthropic().messages.create(**ASKED, stream=True)))
    assert "reply_cut" in str(err)
    # The provider is asked once more, and what it says then does not go with what came before.
    equal(attempts(), 2)


def test_cancel_by_leaving_the_block():
    plays(stalls_after("messages"))
    with Anthropic().messages.create(**ASKED, stream=True) as stream:
        next(stream)
    assert gone()
    equal(attempts(), 1)


async def test_cancel_of_the_task_in_the_middle_of_a_stream():
    plays(stalls_after("messages"))
    begun = asyncio.Event()

    async def read():
        async for _event in await AsyncAnthropic().messages.create(**ASKED, stream=True):
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    await raises_async(asyncio.CancelledError, task)
    assert await gone_async()


run(__name__)
