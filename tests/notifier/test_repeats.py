"""An event that is published again after the stream has forgotten its id is dropped, if it says when it happened."""

import asyncio
import logging
from typing import cast

import pytest

from tests.notifier.platform import Platform, body
from tests.support.waiting import within
from whimbrel.notifier.core.events import Message
from whimbrel.notifier.core.repeats import CLOCK_SKEW_S, Copy, may_repeat_since
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
STORED = "e.1.shop.order.1"
PAYLOAD = b'{"number":1}'


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
    notifier = await platform.serving(platform.notifier())
    await platform.await_stored("orders:42", 2)
    while (again := await platform.publish(subject, {"number": 1}, {**old, "Nats-Msg-Id": "shop/1"})) == first:
        pass  # until the stream has forgotten it
    assert again > first
    while await platform.publish(subject, {"number": 3}, {**old, "Nats-Msg-Id": "shop/1"}) <= again:
        pass  # likewise: with another payload it is another event
    found = await platform.await_stored("orders:42", 3)
    assert [body(each)["data"]["number"] for each in found] == [1, 2, 3]
    [told] = [line for line in notifier.log.splitlines() if " event.repeated " in line]
    assert told.endswith(f" sequence={again}")


class Scripted:
    """Answers to direct gets, one after the other; the last one for ever."""

    def __init__(self, *answers: Batch | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str | None, int, str]] = []

    async def batch(self, _: str, subject: str | None, start_seq: int, __: int, *, start_time: str = "") -> Batch:
        self.asked.append((subject, start_seq, start_time))
        match self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]:
            case Exception() as fault:
                raise fault
            case batch:
                return batch


class Clock:
    """Goes on by ``step_s`` whenever it is read."""

    def __init__(self, step_s: float) -> None:
        self._now, self._step_s = 1000.0, step_s

    def __call__(self) -> float:
        self._now += self._step_s
        return self._now


def kept(seq: int, msg_id: str, payload: bytes = PAYLOAD) -> Stored:
    return Stored(seq, "", b"NATS/1.0\r\nNats-Msg-Id: %s\r\n\r\n" % msg_id.encode(), payload, "")


def page(*messages: Stored, pending: int = 0) -> Batch:
    return Batch(list(messages), pending)


ITSELF = kept(9, "shop/1")


async def told_by(reads: Scripted, *, step_s: float = 0.0, since_ns: int = NOON_NS) -> list[Copy]:
    """Return what is told of the event with sequence 9."""
    told: list[Copy] = []
    asking = Repeats(cast(DirectGet, reads), Logger(logging.getLogger("whimbrel.test")), clock=Clock(step_s))
    asking.look_up(STORED, stored(3600, ID, PAYLOAD), since_ns, tell=told.append, over=lambda: bool(told))
    [task] = asking._asking
    await within(task)
    return told


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "AGAIN_S", 0.001)


@pytest.mark.parametrize(("before", "expected"), [("shop/1", Copy.REPEAT), ("shop/7", Copy.FIRST)])
async def test_a_stream_that_cannot_be_read_or_lags_is_asked_again(before: str, expected: Copy) -> None:
    lags = page(kept(3, "shop/8"))
    reads = Scripted(RequestTimeout("no reply"), page(), page(), lags, page(ITSELF), page(kept(3, before), ITSELF))
    assert await told_by(reads) == [expected]


async def test_an_event_that_was_purged_meanwhile_is_not_waited_for() -> None:
    reads = Scripted(page(), page(kept(10, "shop/2")))
    assert await told_by(reads) == [Copy.FIRST]
    assert reads.asked[1] == (None, 9, "")


async def test_a_copy_with_another_payload_is_a_new_event() -> None:
    assert await told_by(Scripted(page(kept(3, "shop/1", b"{"), ITSELF))) == [Copy.FIRST]
    both = page(kept(3, "shop/1", b"{"), kept(4, "shop/1"), ITSELF)
    assert await told_by(Scripted(both)) == [Copy.REPEAT]


async def test_a_first_copy_is_sought_on_every_page() -> None:
    reads = Scripted(page(kept(3, "shop/8"), pending=2), page(kept(5, "shop/1"), ITSELF))
    assert await told_by(reads) == [Copy.REPEAT]
    assert reads.asked == [(STORED, 1, "2026-11-22T12:00:00.000Z"), (STORED, 4, "")]


async def test_who_has_said_too_much_since_then_repeats_nothing() -> None:
    reads = Scripted(page(kept(3, "shop/8"), pending=2))
    assert await told_by(reads) == [Copy.FIRST]
    assert len(reads.asked) == repeats.MAX_PAGES


async def test_nothing_is_sought_that_is_older_than_the_stream() -> None:
    reads = Scripted(page(ITSELF))
    assert await told_by(reads, since_ns=0) == [Copy.FIRST]
    assert reads.asked == [(STORED, 1, "2026-11-19T13:00:00.000Z")]


@pytest.mark.parametrize("answer", [RequestTimeout("no reply"), page()])
async def test_what_cannot_be_found_out_is_delivered_after_a_minute(
    answer: Batch | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    reads = Scripted(answer)
    assert await told_by(reads, step_s=20) == [Copy.FIRST]
    levels = [record.levelno for record in caplog.records if record.name == "whimbrel.test"]
    assert levels == [logging.WARNING, logging.ERROR] if isinstance(answer, Exception) else [logging.ERROR]
    assert len({asked for asked in reads.asked if asked[0]}) == 1
    assert reads.asked.count(reads.asked[0]) == 3


async def test_nobody_is_told_once_all_is_over() -> None:
    reads = Scripted(RequestTimeout("no reply"))
    asking = Repeats(cast(DirectGet, reads), Logger(logging.getLogger("whimbrel.test")), clock=Clock(20))
    told: list[Copy] = []
    asking.look_up(STORED, stored(3600, ID), 0, tell=told.append, over=lambda: len(reads.asked) == 2)
    [task] = asking._asking
    await within(task)
    assert (told, len(reads.asked)) == ([], 2)


class Held(Scripted):
    """Answers nothing until it may."""

    def __init__(self) -> None:
        super().__init__(page(ITSELF))
        self.may_answer = asyncio.Event()
        self.busy = asyncio.Event()

    async def batch(self, _: str, subject: str | None, start_seq: int, __: int, *, start_time: str = "") -> Batch:
        answer = await super().batch(_, subject, start_seq, __, start_time=start_time)
        if len(self.asked) == repeats.AT_ONCE:
            self.busy.set()
        await self.may_answer.wait()
        return answer


async def test_a_few_are_looked_up_at_once_the_others_in_turn() -> None:
    reads, told = Held(), list[Copy]()
    asking = Repeats(cast(DirectGet, reads), Logger(logging.getLogger("whimbrel.test")), clock=Clock(0))
    for _ in range(3 * repeats.AT_ONCE):
        asking.look_up(STORED, stored(3600, ID), 0, tell=told.append, over=lambda: False)
    tasks = list(asking._asking)
    await within(reads.busy.wait())
    assert len(reads.asked) == repeats.AT_ONCE
    reads.may_answer.set()
    await within(asyncio.gather(*tasks))
    assert told == [Copy.FIRST] * 3 * repeats.AT_ONCE
