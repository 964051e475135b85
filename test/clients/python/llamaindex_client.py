import asyncio
import gc

import openai
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai import OpenAI
from pydantic import BaseModel
from upstream import (
    STALL,
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

MESSAGES = [ChatMessage(role="user", content="Good morning")]


class Thing(BaseModel):
    name: str
    sunny: bool


def model(**options):
    return OpenAI(model="gpt-4o-mini", **options)


def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def test_chat_and_complete():
    assert model().chat(MESSAGES).message.content.startswith("You said: “Good morning”")
    assert model().complete("Good morning").text.startswith("You said: “Good morning”")


def test_stream():
    pieces = [chunk.delta for chunk in model().stream_chat(MESSAGES)]
    assert len(pieces) > 10
    assert "".join(pieces).endswith("clever.")


async def test_async_chat_and_stream():
    assert (await model().achat(MESSAGES)).message.content.startswith("You said")
    assert len([chunk async for chunk in await model().astream_chat(MESSAGES)]) > 10


def test_tools():
    answer = model().predict_and_call([FunctionTool.from_defaults(weather)], "Good morning", tool_choice="required")
    equal(answer.response, "sunny in demo")


def test_structured_output():
    equal(model().as_structured_llm(Thing).chat(MESSAGES).raw, Thing(name="demo", sunny=True))


def test_embeddings():
    embeddings = OpenAIEmbedding(model="text-embedding-3-small")
    first, second = embeddings.get_text_embedding_batch(["one", "two"])
    assert first == embeddings.get_query_embedding("one") != second


# Its own three attempts are made of four of the SDK's each.
def test_errors_and_attempts():
    for status, kind, reached in [
        (401, openai.AuthenticationError, 1),
        (404, openai.NotFoundError, 1),
        (429, openai.RateLimitError, 12),
        (500, openai.InternalServerError, 12),
    ]:
        plays(*[fails_at_once(status)] * 40)
        err = raises(kind, lambda: model().chat(MESSAGES))
        equal(err.status_code, status)
        equal((status, attempts()), (status, reached))


def test_should_retry_is_obeyed_by_the_sdk_and_not_by_llamaindex():
    plays(fails(500, retry_after_ms="1", x_should_retry="false"))
    assert model().chat(MESSAGES).message.content.startswith("You said")
    equal(attempts(), 2)


def test_refused_connection():
    with refusing():
        err = raises(openai.InternalServerError, lambda: model(max_retries=1).chat(MESSAGES))
    equal((err.status_code, err.code), (502, "connect_failed"))
    # The sidecar has tried three times, and tells the client that this is enough.
    equal(refused_calls(1), 1)


def test_timeout():
    plays(STALL, STALL)
    raises(openai.APITimeoutError, lambda: model(timeout=0.3, max_retries=1).chat(MESSAGES))
    assert gone(0) and gone(1)
    equal(attempts(), 2)


def test_broken_stream_is_an_error():
    plays(cuts_after("chat"))
    err = raises(openai.APIError, lambda: list(model(max_retries=0).stream_chat(MESSAGES)))
    assert err.code == "stream_interrupted" and "reply_cut" in err.message
    equal(attempts(), 1)


# LlamaIndex ties its generators into a cycle: closing them is not leaving, which only comes with the collection of garbage.
def test_cancel_by_closing_the_generator():
    plays(stalls_after("chat"))
    stream = model().stream_chat(MESSAGES)
    next(stream)
    stream.close()
    del stream
    gc.collect()
    assert gone()
    equal(attempts(), 1)


async def test_cancel_of_the_task_in_the_middle_of_a_stream():
    plays(stalls_after("chat"))
    begun = asyncio.Event()

    async def read():
        async for _chunk in await model().astream_chat(MESSAGES):
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    await raises_async(asyncio.CancelledError, task)
    assert await gone_async()


run(__name__)
