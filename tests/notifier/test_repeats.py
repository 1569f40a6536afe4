"""An event that is published again after the stream has forgotten its id is dropped, if it says when it happened."""

import logging
from collections.abc import Sequence
from typing import Any, cast

import pytest

from tests.notifier.events import a_message
from tests.notifier.platform import Platform, body
from tests.support.waiting import within
from whimbrel.notifier.core.events import Message
from whimbrel.notifier.core.repeats import CLOCK_SKEW_S, may_repeat_since
from whimbrel.notifier.core.retry import DUPLICATE_WINDOW_S
from whimbrel.notifier.shell import repeats
from whimbrel.notifier.shell.repeats import Repeats
from whimbrel.protocol import subjects
from whimbrel.runtime import jetstream
from whimbrel.runtime.directget import Batch, DirectGet, Stored
from whimbrel.runtime.errors import RequestTimeout
from whimbrel.runtime.logs import Logger

ID = {"Nats-Msg-Id": "shop/1"}
NOON_NS = 1_795_348_800 * 10**9
NOON = "2026-11-22T12:00:00Z"


def stored(after_s: float, headers: dict[str, str], payload: bytes = b"{}") -> Message:
    return Message("events.shop.order.1", 9, NOON_NS + int(after_s * 1e9), headers, payload)


@pytest.mark.parametrize("name", ["ce-time", "CE-Time"])
def test_who_says_that_it_happened_long_ago_may_repeat(name: str) -> None:
    late = stored(DUPLICATE_WINDOW_S + 1, {**ID, name: NOON})
    assert may_repeat_since(late) == NOON_NS - CLOCK_SKEW_S * 1e9


def test_a_structured_event_says_so_in_its_payload() -> None:
    content = {"content-type": "application/cloudevents+json"}
    assert may_repeat_since(stored(3600, {**ID, **content}, b'{"time":"%s"}' % NOON.encode())) is not None
    for malformed in (b"no json", b"[]", b'{"time":7}'):
        assert may_repeat_since(stored(3600, {**ID, **content}, malformed)) is None


@pytest.mark.parametrize(
    ("after_s", "headers"),
    [
        (DUPLICATE_WINDOW_S - 1, {**ID, "ce-time": NOON}),  # the stream itself knows
        (-3600, {**ID, "ce-time": NOON}),  # a clock that is ahead
        (3600, {"ce-time": NOON}),  # without an id nothing is a repeat
        (3600, ID),
        (3600, {**ID, "ce-time": "yesterday"}),
    ],
)
def test_everything_else_is_not_looked_up(after_s: float, headers: dict[str, str]) -> None:
    assert may_repeat_since(stored(after_s, headers)) is None


async def test_a_repeat_after_the_streams_memory_is_delivered_once(platform: Platform) -> None:
    config = await jetstream.stream_config(platform.router, subjects.EVENTS)
    assert config is not None
    forgetful = {**config, "duplicate_window": 100_000_000}
    await jetstream.request(platform.router, f"STREAM.UPDATE.{subjects.EVENTS}", forgetful)
    subject, old = "events.shop.order.42", {"ce-time": NOON}
    first = await platform.publish(subject, {"number": 1}, {**old, "Nats-Msg-Id": "shop/1"})
    await platform.publish(subject, {"number": 2}, {**old, "Nats-Msg-Id": "shop/2"})
    await platform.serving(platform.notifier())
    await platform.await_stored("orders:42", 2)
    while (again := await platform.publish(subject, {"number": 1}, {**old, "Nats-Msg-Id": "shop/1"})) == first:
        pass  # until the stream has forgotten it
    assert again > first
    await platform.publish(subject, {"number": 3}, {**old, "Nats-Msg-Id": "shop/3"})
    found = await platform.await_stored("orders:42", 3)
    assert [body(each)["data"]["number"] for each in found] == [1, 2, 3]


class Scripted:
    """Answers to direct gets, one after the other."""

    def __init__(self, *answers: Sequence[Stored] | Exception) -> None:
        self._answers = list(answers)

    async def batch(self, *_: Any, **__: Any) -> Batch:
        match self._answers.pop(0):
            case Exception() as fault:
                raise fault
            case messages:
                return Batch(list(messages), 0)


def kept(seq: int, msg_id: str) -> Stored:
    return Stored(seq, "", b"NATS/1.0\r\nNats-Msg-Id: %s\r\n\r\n" % msg_id.encode(), b"", "")


@pytest.mark.parametrize(("before", "expected"), [("shop/1", True), ("shop/7", False)])
async def test_a_stream_that_cannot_be_read_or_lags_is_asked_again(
    before: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeats, "AGAIN_S", 0.001)
    reads = Scripted(RequestTimeout("no reply"), [], [kept(3, "shop/8")], [kept(3, before), kept(9, "shop/1")])
    told: list[bool] = []
    asking = Repeats(cast(DirectGet, reads), Logger(logging.getLogger("whimbrel.test")))
    message = a_message(sequence=9)._replace(headers=ID)
    asking.look_up("e.1.shop.order.1", message, 0, tell=told.append, over=lambda: bool(told))
    [task] = asking._asking
    await within(task)
    assert told == [expected]
