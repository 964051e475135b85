"""What the tests ask of the fake provider behind the sidecar, by a way of its own: no client sees any of it."""

import asyncio
import inspect
import json
import os
import sys
import traceback
import urllib.request
from contextlib import contextmanager

# Repeat at once: the wait is the client's own, and the tests need not sit through it.
AT_ONCE = {"retry-after-ms": "1"}
LONGEST_TEST_S = 30


def _ask(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(os.environ["CONTROL_URL"] + path, data, timeout=20) as reply:
        return json.load(reply)


def plays(*steps):
    """One step per request from now on; once they are used up, the fake provider answers by itself."""
    _ask("/plays", list(steps))


def fails(status, **headers):
    return {"fails": status, "headers": {name.replace("_", "-"): value for name, value in headers.items()}}


def fails_at_once(status):
    return {"fails": status, "headers": AT_ONCE}


def answers_with(document):
    return {"answers": document}


STALL = {"stall": True}


def stalls_after(kind):
    """Begins a stream (chat or messages) and then says nothing more."""
    return {"stallAfter": kind}


def cuts_after(kind):
    return {"cutAfter": kind}


def attempts():
    """How many requests have come since the last `plays`."""
    return _ask("/attempts")


def gone(n=0):
    """Waits for the end of the n-th request since the last `plays`; true when its client left."""
    return _ask(f"/gone?n={n}")


async def gone_async(n=0):
    return await asyncio.to_thread(gone, n)


@contextmanager
def refusing():
    """Points the environment at a sidecar whose upstream refuses every connection."""
    before = dict(os.environ)
    os.environ.update(json.loads(os.environ["REFUSING_ENV"]))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def refused_calls(at_least):
    """How many calls that sidecar has answered, once they are at least so many."""
    return _ask(f"/refused?atLeast={at_least}")


def raises(kinds, action):
    """The error of one of these classes that the action ends with."""
    try:
        action()
    except kinds as err:
        return err
    raise AssertionError(f"no error, where {kinds} was due")


async def raises_async(kinds, awaitable):
    try:
        await awaitable
    except kinds as err:
        return err
    raise AssertionError(f"no error, where {kinds} was due")


def equal(actual, expected):
    assert actual == expected, f"{actual!r} is not {expected!r}"


def run(module_name):
    """Runs every function of the module whose name begins with test_, and says how each went."""
    failed = 0
    tests = [(name, value) for name, value in vars(sys.modules[module_name]).items() if name.startswith("test_")]
    # One loop for all: a client that is collected late still finds the loop it was made on.
    with asyncio.Runner() as runner:
        for name, function in tests:
            try:
                plays()
                if inspect.iscoroutinefunction(function):
                    runner.run(asyncio.wait_for(function(), LONGEST_TEST_S))
                else:
                    function()
                print(f"ok {name}", flush=True)
            except Exception:
                failed += 1
                print(f"FAILED {name}", flush=True)
                traceback.print_exc()
    sys.exit(1 if failed else 0)
