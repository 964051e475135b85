from io import BytesIO

import openai
from openai import OpenAI
from pydantic import BaseModel
from upstream import (
    STALL,
    attempts,
    cuts_after,
    equal,
    fails,
    fails_at_once,
    gone,
    plays,
    raises,
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


def test_chat_models_and_responses():
    client = OpenAI()
    raw = client.chat.completions.with_raw_response.create(**ASKED)
    equal(raw.headers["x-outrider-attempts"], "1")
    assert raw.parse().choices[0].message.content.startswith("You said: “Good morning”")
    assert len(client.models.list().data) > 0
    assert client.responses.create(model="gpt-5-mini", input="Hi").output_text.startswith("You said: “Hi”")


def test_stream():
    pieces = [chunk.choices[0].delta.content or "" for chunk in OpenAI().chat.completions.create(**ASKED, stream=True)]
    assert len(pieces) > 10
    assert "".join(pieces).startswith("You said: “Good morning”") and "".join(pieces).endswith("clever.")
    with OpenAI().responses.stream(model="gpt-5-mini", input="Good morning") as stream:
        equal(stream.get_final_response().output_text, "".join(pieces))


def test_tools():
    client = OpenAI()
    whole = client.chat.completions.create(**ASKED, tools=TOOLS, tool_choice="required")
    with client.chat.completions.stream(**ASKED, tools=TOOLS, tool_choice="required") as stream:
        streamed = stream.get_final_completion()
    for answer in (whole, streamed):
        call = answer.choices[0].message.tool_calls[0].function
        equal((call.name, call.arguments), ("weather", '{"city":"demo"}'))


def test_structured_output():
    parsed = OpenAI().chat.completions.parse(**ASKED, response_format=Thing)
    equal(parsed.choices[0].message.parsed, Thing(name="demo", sunny=True))


def test_embeddings():
    data = OpenAI().embeddings.create(model="text-embedding-3-small", input=["one", "two", "one"]).data
    equal(len(data[0].embedding), 1536)
    assert data[0].embedding == data[2].embedding != data[1].embedding


def test_uploads():
    client = OpenAI()
    size = 3 << 20
    file = client.files.create(file=("lines.jsonl", b"o" * size), purpose="batch")
    equal((file.bytes, file.filename), (size, "lines.jsonl"))
    recording = BytesIO(b"v" * size)
    recording.name = "voice.wav"
    assert "voice.wav, which came" in client.audio.transcriptions.create(file=recording, model="whisper-1").text


def test_errors_and_attempts():
    for status, kind, reached in [
        (400, openai.BadRequestError, 1),
        (401, openai.AuthenticationError, 1),
        (404, openai.NotFoundError, 1),
        (429, openai.RateLimitError, 3),
        (500, openai.InternalServerError, 3),
    ]:
        plays(*[fails_at_once(status)] * 9)
        err = raises(kind, lambda: OpenAI().chat.completions.create(**ASKED))
        equal((err.status_code, err.type), (status, "demo_error"))
        assert f"scripted {status}" in err.message
        equal((status, attempts()), (status, reached))


def test_should_retry_is_obeyed():
    plays(fails(500, retry_after_ms="1", x_should_retry="false"))
    raises(openai.InternalServerError, lambda: OpenAI().chat.completions.create(**ASKED))
    equal(attempts(), 1)
    plays(fails(400, retry_after_ms="1", x_should_retry="true"))
    assert OpenAI().chat.completions.create(**ASKED).choices[0].message.content
    equal(attempts(), 2)


def test_refused_connection():
    with refusing():
        err = raises(openai.InternalServerError, lambda: OpenAI().chat.completions.create(**ASKED))
    equal((err.status_code, err.code), (502, "connect_failed"))
    assert "Upstream fake could not be reached" in err.message
    # The sidecar has tried three times, and tells the client that this is enough.
    equal(refused_calls(1), 1)


def test_timeout():
    plays(STALL, STALL)
    client = OpenAI(timeout=0.3, max_retries=1)
    raises(openai.APITimeoutError, lambda: client.chat.completions.create(**ASKED))
    assert gone(0) and gone(1)
    equal(attempts(), 2)


def test_broken_stream_is_an_error():
    plays(cuts_after("chat"))
    err = raises(openai.APIError, lambda: list(OpenAI().chat.completions.create(**ASKED, stream=True)))
    assert err.code == "stream_interrupted" and "reply_cut" in err.message
    # The provider is asked once more, and what it says then does not go with what came before.
    equal(attempts(), 2)


def test_cancel_by_leaving_the_block():
    plays(stalls_after("chat"))
    with OpenAI().chat.completions.create(**ASKED, stream=True) as stream:
        next(stream)
    assert gone()
    equal(attempts(), 1)


def test_cancel_by_close():
    plays(stalls_after("chat"))
    stream = OpenAI().chat.completions.create(**ASKED, stream=True)
    next(stream)
    stream.close()
    assert gone()


run(__name__)
