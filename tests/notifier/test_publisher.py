"""Publications are sent until their stream has them, and never twice where that would show."""

import logging
import math
from collections.abc import Callable

from tests.notifier.events import EPOCH, a_message, an_event
from tests.notifier.platform import Platform
from whimbrel.notifier.core import retry
from whimbrel.notifier.core.audience import Target
from whimbrel.notifier.core.composition import Publication, publications
from whimbrel.notifier.core.errors import Reason
from whimbrel.notifier.shell.metrics import Counts
from whimbrel.notifier.shell.publisher import Publisher
from whimbrel.protocol.channels import Channel, inbox_of
from whimbrel.runtime.delivery import Delivery
from whimbrel.runtime.errors import BusUnavailable, MalformedMessage
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.metrics import Metrics


class Bus:
    """What the publisher sees of a connection."""

    def __init__(self) -> None:
        self.inbox = self
        self.prefix = "_INBOX.test"
        self.sent: list[tuple[str, str]] = []
        self.fault: Exception | None = None
        self._deliver: Callable[[Delivery], None] = lambda delivery: None

    def attach(self, subject: str, deliver: Callable[[Delivery], None]) -> None:
        self._deliver = deliver

    def send(self, subject: str, payload: bytes, *, headers: dict[str, str], reply: str) -> None:
        if self.fault is not None:
            raise self.fault
        self.sent.append((subject, reply))

    def answer(self, payload: bytes, headers: bytes | None = None, *, to: int = -1) -> None:
        reply = self.sent[to][1]
        self._deliver(Delivery(reply, "", payload, headers))


class Archive:
    """A look-up whose answer the test decides."""

    def __init__(self) -> None:
        self.stored = False
        self.asked = 0
        self.as_of = 0.0

    async def holds(self, publication: Publication, *, as_of: float) -> bool:
        self.asked += 1
        self.as_of = as_of
        return self.stored


class Owner:
    """Who hands publications in."""

    def __init__(self) -> None:
        self.began_at = 50.0
        self.allowed = True
        self.told: list[str] = []

    def may_publish(self) -> bool:
        return self.allowed

    def published(self, publication: Publication) -> None:
        self.told.append("published")

    def refused(self, publication: Publication, reason: Reason, text: str) -> None:
        self.told.append(f"{reason}: {text}")


class Scene:
    """A publisher with a clock of its own."""

    def __init__(self) -> None:
        self.now = 100.0
        self.bus, self.archive, self.owner = Bus(), Archive(), Owner()
        self.counts = Counts(Metrics())
        self.publisher = Publisher(
            self.bus,  # type: ignore[arg-type]
            self.archive,  # type: ignore[arg-type]
            self.counts,
            Logger(logging.getLogger("whimbrel.test")),
            clock=lambda: self.now,
            chance=lambda: 0.5,
        )

    def publish(self, *, forgotten_at: float = math.inf) -> None:
        (one,) = publications(
            an_event(), [Target(Channel("orders", "42"), True)], a_message(), epoch=EPOCH, forgotten_at=forgotten_at
        )
        self.publisher.publish(one, self.owner)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.publisher.tick()

    async def look_up(self) -> None:
        for task in list(self.publisher._look_ups):
            await task


STORED = b'{"stream":"HISTORY_1","seq":9}'
REPEATED = b'{"stream":"HISTORY_1","seq":9,"duplicate": true}'
REFUSED = (
    b'{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"},"stream":"H","seq":0}'
)
BUSY = b'{"error":{"code":503,"err_code":10023,"description":"insufficient resources"},"stream":"H","seq":0}'


def test_a_publication_is_done_when_its_stream_says_so() -> None:
    scene = Scene()
    scene.publish()
    assert scene.owner.told == []
    scene.bus.answer(STORED)
    assert (scene.owner.told, len(scene.publisher), scene.counts.stored) == (["published"], 0, 1)


def test_a_duplicate_is_as_good_as_stored() -> None:
    scene = Scene()
    scene.publish()
    scene.bus.answer(REPEATED)
    assert (scene.owner.told, scene.counts.stored, scene.counts.duplicates) == (["published"], 0, 1)


async def test_the_server_acknowledges_a_repeat_in_these_very_bytes(platform: Platform) -> None:
    headers = {"Nats-Msg-Id": "shop/1"}
    told = [(await platform.team.request("events.shop.order.1", b"1", headers=headers, timeout=5)) for _ in range(2)]
    assert [each.payload.replace(b"EVENTS", b"HISTORY_1").replace(b":1", b":9") for each in told] == [STORED, REPEATED]


def test_without_an_answer_it_is_sent_again_after_a_while() -> None:
    scene = Scene()
    scene.publish()
    scene.pass_time(retry.PUBLISH_TIMEOUT_S - 0.1)
    assert len(scene.bus.sent) == 1
    scene.pass_time(0.1)
    scene.pass_time(0.1)
    assert len(scene.bus.sent) == 2
    assert scene.counts.retries == 1


def test_a_late_answer_to_the_first_try_counts() -> None:
    scene = Scene()
    scene.publish()
    scene.pass_time(retry.PUBLISH_TIMEOUT_S)
    scene.pass_time(0.1)
    scene.bus.answer(STORED, to=0)
    scene.bus.answer(STORED, to=1)
    assert scene.owner.told == ["published"]


def test_trouble_that_may_mend_is_waited_out_ever_longer() -> None:
    scene = Scene()
    scene.publish()
    for wait_s in (0.1, 0.2, 0.4):
        scene.bus.answer(BUSY)
        scene.pass_time(wait_s - 0.01)
        before = len(scene.bus.sent)
        scene.pass_time(0.02)
        assert len(scene.bus.sent) == before + 1
    assert scene.owner.told == []


def test_no_stream_and_no_bus_are_waited_out_as_well() -> None:
    scene = Scene()
    scene.bus.fault = BusUnavailable("no connection to NATS")
    scene.publish()
    scene.bus.fault = None
    scene.pass_time(0.2)
    scene.bus.answer(b"", b"NATS/1.0 503\r\n\r\n")
    scene.pass_time(0.4)
    assert (len(scene.bus.sent), scene.owner.told) == (2, [])


def test_what_no_try_will_mend_is_told_with_its_reason() -> None:
    scene = Scene()
    scene.publish()
    scene.bus.answer(REFUSED)
    assert scene.owner.told == ["too_large: the stream refused it: message size exceeds maximum allowed"]
    scene.bus.fault = MalformedMessage("a message of 999999 bytes is larger than the server's 327680")
    scene.publish()
    assert scene.owner.told[1] == "too_large: a message of 999999 bytes is larger than the server's 327680"
    assert len(scene.publisher) == 0


def test_who_may_not_publish_any_more_sends_nothing() -> None:
    scene = Scene()
    scene.owner.allowed = False
    scene.publish()
    scene.pass_time(10)
    assert scene.bus.sent == []


def test_what_is_abandoned_is_forgotten() -> None:
    scene = Scene()
    scene.publish()
    scene.publisher.abandon(scene.owner)
    scene.bus.answer(STORED)
    scene.pass_time(60)
    assert (scene.owner.told, len(scene.bus.sent), len(scene.publisher)) == ([], 1, 0)


async def test_what_a_notifier_that_died_sent_long_ago_is_looked_up_first() -> None:
    scene = Scene()
    scene.archive.stored = True
    scene.publish(forgotten_at=99)
    await scene.look_up()
    assert (scene.owner.told, scene.bus.sent, scene.counts.found_stored) == (["published"], [], 1)
    assert scene.archive.as_of == 50.0
    scene.archive.stored = False
    scene.publish(forgotten_at=99)
    await scene.look_up()
    assert len(scene.bus.sent) == 1


async def test_what_a_notifier_that_died_sent_is_forgotten_while_its_successor_waits_for_the_stream() -> None:
    scene = Scene()
    scene.publish(forgotten_at=110)
    assert (len(scene.bus.sent), scene.archive.asked) == (1, 0), "a stream would still know it"
    scene.archive.stored = True
    for _ in range(3):
        scene.bus.answer(b"", b"NATS/1.0 503\r\n\r\n")  # it has no leader
        scene.pass_time(retry.PUBLISH.cap_s)
    await scene.look_up()
    assert (scene.archive.asked, scene.owner.told) == (1, ["published"])


async def test_what_was_first_sent_long_ago_is_looked_up_before_it_is_sent_again() -> None:
    scene = Scene()
    scene.publish()
    for _ in range(8):
        scene.pass_time(retry.PUBLISH_TIMEOUT_S)
        scene.pass_time(retry.PUBLISH.cap_s)
    assert scene.archive.asked == 0
    scene.pass_time(retry.DUPLICATE_WINDOW_S)
    scene.pass_time(retry.PUBLISH.cap_s)
    scene.archive.stored = True
    await scene.look_up()
    assert (scene.archive.asked, scene.owner.told) == (1, ["published"])
    assert scene.archive.as_of > 100.0


def test_what_a_publication_makes_superfluous_is_told_once_with_its_sequence() -> None:
    told: list[tuple[str, int]] = []
    scene = Scene()
    scene.publisher.on_stored.append(lambda publication, sequence: told.append((publication.key, sequence)))
    for headers, answer in (
        ({"whimbrel-topic": "a"}, STORED),
        ({"whimbrel-topic": "a"}, REPEATED),  # it was told when it was stored
        ({}, STORED),  # it makes nothing superfluous
    ):
        (one,) = publications(an_event(None, headers), [Target(inbox_of("alice"), True)], a_message(), epoch=EPOCH)
        scene.publisher.publish(one, scene.owner)
        scene.bus.answer(answer)
    assert told == [("user:alice", 9)]
