import asyncio

import openai
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
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


class Weather(BaseModel):
    """The weather of a city."""

    city: str


def model(**options):
    return ChatOpenAI(model="gpt-4o-mini", **options)


def test_chat_and_batch():
    answer = model().invoke("Good morning")
    assert answer.content.startswith("You said: “Good morning”")
    assert answer.usage_metadata["output_tokens"] > 20
    equal([said.content[:15] for said in model().batch(["one", "two"])], ["You said: “one”", "You said: “two”"])


def test_stream():
    pieces = [chunk.content for chunk in model().stream("Good morning")]
    assert len(pieces) > 10
    assert "".join(pieces).endswith("clever.")


async def test_async_chat_and_stream():
    assert (await model().ainvoke("Good morning")).content.startswith("You said")
    assert len([chunk async for chunk in model().astream("Good morning")]) > 10


def test_tools():
    answer = model().bind_tools([Weather], tool_choice="Weather").invoke("Good morning")
    equal([(call["name"], call["args"]) for call in answer.tool_calls], [("Weather", {"city": "demo"})])


def test_structured_output():
    equal(model().with_structured_output(Weather).invoke("Good morning"), Weather(city="demo"))


def test_embeddings():
    # The check of lengths fetches the words of a tokenizer from the internet.
    embeddings = OpenAIEmbeddings(model="text-embedding-3-small", check_embedding_ctx_length=False)
    first, second = embeddings.embed_documents(["one", "two"])
    assert first == embeddings.embed_query("one") != second


def test_errors_and_attempts():
    for status, kind, reached in [
        (401, openai.AuthenticationError, 1),
        (404, openai.NotFoundError, 1),
        (429, openai.RateLimitError, 3),
        (500, openai.InternalServerError, 3),
    ]:
        plays(*[fails_at_once(status)] * 9)
        err = raises(kind, lambda: model().invoke("Good morning"))
        equal(err.status_code, status)
        equal((status, attempts()), (status, reached))


def test_should_retry_is_obeyed():
    plays(fails(500, retry_after_ms="1", x_should_retry="false"))
    raises(openai.InternalServerError, lambda: model().invoke("Good morning"))
    equal(attempts(), 1)


def test_refused_connection():
    with refusing():
        err = raises(openai.InternalServerError, lambda: model().invoke("Good morning"))
    equal((err.status_code, err.code), (502, "connect_failed"))
    # The sidecar has tried three times, and tells the client that this is enough.
    equal(refused_calls(1), 1)


def test_timeout():
    plays(STALL, STALL)
    raises(openai.APITimeoutError, lambda: model(timeout=0.3, max_retries=1).invoke("Good morning"))
    assert gone(0) and gone(1)
    equal(attempts(), 2)


def test_broken_stream_is_an_error():
    plays(cuts_after("chat"))
    err = raises(openai.APIError, lambda: list(model().stream("Good morning")))
    assert err.code == "stream_interrupted" and "reply_cut" in err.message
    equal(attempts(), 1)


def test_cancel_by_closing_the_generator():
    plays(stalls_after("chat"))
    stream = model().stream("Good morning")
    next(stream)
    stream.close()
    assert gone()
    equal(attempts(), 1)


async def test_cancel_of_the_task_in_the_middle_of_a_stream():
    plays(stalls_after("chat"))
    begun = asyncio.Event()

    async def read():
        async for _chunk in model().astream("Good morning"):
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    await raises_async(asyncio.CancelledError, task)
    assert await gone_async()


run(__name__)
