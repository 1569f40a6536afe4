"""Many clients at once cost few messages on the bus, and one client alone does not wait for others."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.edge.edges import Edge, eventually
from tests.edge.neighbours import a_name
from tests.support.nats import PARTITIONS
from tests.support.waiting import within
from whimbrel.edge.core.effects import Wanted
from whimbrel.edge.core.subscription import Opened
from whimbrel.edge.shell import batches as storm_batches
from whimbrel.edge.shell.batches import MAX_BATCH, MAX_UNDER_WAY, Batches, ServiceUnavailable
from whimbrel.edge.shell.bus import pace_s
from whimbrel.edge.shell.streams import Head, Streams
from whimbrel.protocol.channels import Channel, inbox_of
from whimbrel.protocol.limits import RING_PUBLICATIONS
from whimbrel.protocol.positions import Position
from whimbrel.runtime import jetstream
from whimbrel.runtime.delivery import Delivery
from whimbrel.runtime.directget import Batch, DirectGet
from whimbrel.runtime.errors import NoResponders, RequestRefused
from whimbrel.runtime.nats import Connection

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Service(Connection):
    """Answers each question with itself, once the test lets it."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.may_answer = asyncio.Event()

    async def request(
        self, subject: str, payload: bytes, *, timeout: float, headers: Mapping[str, str] | None = None
    ) -> Delivery:
        self.asked.append(json.loads(payload))
        await self.may_answer.wait()
        return Delivery(subject, "", payload, None)


def batches(service: Service) -> Batches[str, str]:
    return Batches(service, "a.service", lambda questions: json.dumps(list(questions)).encode(), json.loads)


async def turns() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_lonely_question_is_asked_at_once() -> None:
    service = Service()
    answer = asyncio.ensure_future(batches(service).ask("alice"))
    await turns()
    assert service.asked == [["alice"]]
    service.may_answer.set()
    assert await within(answer) == "alice"


async def test_questions_that_follow_soon_are_held_back_until_they_have_company(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storm_batches, "PACE_S", 1.0)
    service = Service()
    service.may_answer.set()
    asking = batches(service)
    answers = []
    for number in range(10):
        answers.append(asyncio.ensure_future(asking.ask(f"user-{number}")))
        await asyncio.sleep(0)
    assert await within(asyncio.gather(*answers)) == [f"user-{number}" for number in range(10)]
    assert [len(each) for each in service.asked] == [1, 9]


async def test_questions_collect_while_others_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storm_batches, "PACE_S", 0.0)
    service = Service()
    asking = batches(service)
    answers = []
    for number in range(100):
        answers.append(asyncio.ensure_future(asking.ask(f"user-{number}")))
        await turns()
    assert [len(each) for each in service.asked] == [1] * MAX_UNDER_WAY
    service.may_answer.set()
    assert await within(asyncio.gather(*answers)) == [f"user-{number}" for number in range(100)]
    assert [len(each) for each in service.asked] == [1] * MAX_UNDER_WAY + [100 - MAX_UNDER_WAY]


async def test_a_message_has_a_bound_and_the_rest_follows() -> None:
    service = Service()
    service.may_answer.set()
    asking = batches(service)
    users = [f"user-{number}" for number in range(3 * MAX_BATCH + 1)]
    assert await within(asyncio.gather(*(asking.ask(user) for user in users))) == users
    assert [len(each) for each in service.asked] == [MAX_BATCH, MAX_BATCH, MAX_BATCH, 1]


class Talkative(Service):
    """Can answer no more than three questions in one message."""

    async def request(self, *asked: Any, **more: Any) -> Delivery:
        reply = await super().request(*asked, **more)
        if len(self.asked[-1]) > 3:
            raise RequestRefused(413, "an answer of 400000 bytes: ask for less at once")
        return reply


async def test_who_has_too_much_to_say_of_all_is_asked_about_fewer_at_once() -> None:
    service = Talkative()
    service.may_answer.set()
    asking = batches(service)
    users = [f"user-{number}" for number in range(10)]
    assert await within(asyncio.gather(*(asking.ask(user) for user in users))) == users
    assert [len(each) for each in service.asked] == [10, 5, 2, 3, 5, 2, 3]


async def test_questions_of_which_each_answer_may_be_long_go_in_smaller_messages() -> None:
    service = Service()
    service.may_answer.set()
    asking: Batches[str, str] = Batches(
        service, "a.service", lambda them: json.dumps(list(them)).encode(), json.loads, most=4
    )
    users = [f"user-{number}" for number in range(9)]
    assert await within(asyncio.gather(*(asking.ask(user) for user in users))) == users
    assert [len(each) for each in service.asked] == [4, 4, 1]


async def test_a_storm_reads_the_heads_of_its_channels_together(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    heads = Streams.heads

    async def counted(streams: Streams, channels: Sequence[Channel]) -> dict[Channel, Head]:
        reads.append(len(channels))
        return await heads(streams, channels)

    monkeypatch.setattr(Streams, "heads", counted)
    openings = []
    for _ in range(20):
        channel = Channel("orders", a_name("stormy"))
        openings.append(edge.pod.openings.start(Wanted(str(channel), channel), now=edge.pod.now()))
        await asyncio.sleep(0)
    await within(edge.pod.openings.prepare(openings, "nobody"))
    assert all(isinstance(each.complete(), Opened) for each in openings)
    assert sum(reads) == 20
    assert len(reads) < 10


async def test_the_more_channels_come_the_longer_they_are_collected_up_to_a_tenth_of_a_second() -> None:
    assert [pace_s(opened) for opened in (1, 16, 32, 160, 10_000)] == [0.01, 0.01, 0.02, 0.1, 0.1]


async def test_an_empty_inbox_is_told_from_a_position_that_can_be_proved_later(edge: Edge) -> None:
    user = a_name("newcomer")
    for number in range(8 * PARTITIONS):  # some of them live in the stream of the inbox
        await edge.neighbours.publish(f"orders:{user}-{number}", number)
    connected = await (await edge.socket()).ask("connect", token=edge.neighbours.token(user))
    live = edge.pod.hub.channels[inbox_of(user)]
    assert live.ring is not None
    assert live.ring.head > 0
    assert connected["channels"]["inbox"]["offset"] == live.ring.head
    told = {name: connected["channels"]["inbox"][name] for name in ("epoch", "offset")}
    before = edge.pod.openings.recoveries.counts["ring", "recovered"]
    again = await (await edge.socket()).ask("connect", token=edge.neighbours.token(user), channels={"inbox": told})
    assert again["channels"]["inbox"]["recovered"] is True
    assert edge.pod.openings.recoveries.counts["ring", "recovered"] == before + 1


async def test_a_storm_of_quiet_inboxes_is_proved_by_few_requests(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    request = jetstream.request

    async def counted(connection: Connection, api: str, *rest: Any) -> Any:
        asked.append(api)
        return await request(connection, api, *rest)

    channels = [Channel("user", a_name("quiet")) for _ in range(20)]
    openings = [edge.pod.openings.start(Wanted("inbox", each), now=edge.pod.now()) for each in channels]
    await within(edge.pod.openings.prepare(openings, "nobody"))
    before = [Position(epoch=each.live.epoch, offset=each.live.ring.head) for each in openings if each.live.ring]
    await edge.neighbours.publish(f"orders:{a_name('noise')}", *range(4 * PARTITIONS))
    for number in range(2 * PARTITIONS):
        await edge.neighbours.publish(f"orders:{a_name('noise')}", number)
    for each in openings:  # another pod, which has just opened them
        edge.pod.hub.forget(each.live)
    monkeypatch.setattr(jetstream, "request", counted)
    counts = edge.pod.openings.recoveries.counts
    ring, stream = counts["ring", "recovered"], counts["stream", "recovered"]
    again = [
        edge.pod.openings.start(Wanted("inbox", channel, position), now=edge.pod.now())
        for channel, position in zip(channels, before, strict=True)
    ]
    await within(edge.pod.openings.prepare(again, "nobody"))
    for opening, position in zip(again, before, strict=True):
        result = opening.complete()
        assert isinstance(result, Opened)
        assert (result.recovered, result.offset, len(result.publications)) == (True, position.offset, 0)
    assert (counts["ring", "recovered"], counts["stream", "recovered"]) == (ring + len(channels), stream)
    assert len([each for each in asked if each.startswith("STREAM.INFO")]) <= 2 * PARTITIONS


async def test_who_comes_right_after_a_question_to_a_leader_shares_the_next(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whimbrel.edge.shell.streams.BOUNDS_PACE_S", 0.2)
    asked: list[str] = []
    request = jetstream.request

    async def counted(connection: Connection, api: str, *rest: Any) -> Any:
        asked.append(api)
        return await request(connection, api, *rest)

    monkeypatch.setattr(jetstream, "request", counted)
    streams, channel = edge.pod.openings._bus.streams, Channel("user", a_name("quiet"))
    await within(streams.bounds(channel))
    second = streams.ask_bounds(channel)
    for _ in range(5):
        await asyncio.sleep(0)
    third = streams.ask_bounds(channel)
    await within(asyncio.wait([second, third]))
    assert len(asked) == 2


async def test_who_comes_after_a_read_of_the_stream_is_served_from_memory(edge: Edge) -> None:
    channel = Channel("orders", a_name("away"))
    offsets = await edge.neighbours.publish(str(channel), *range(5))
    counts = edge.pod.openings.recoveries.counts
    ring, stream = counts["ring", "recovered"], counts["stream", "recovered"]
    for _ in range(3):
        live = edge.pod.hub.channels.get(channel)
        epoch = edge.pod.openings._bus.streams.epoch(channel) if live is None else live.epoch
        wanted = Wanted(str(channel), channel, Position(epoch=epoch, offset=offsets[0]))
        opening = edge.pod.openings.start(wanted, now=edge.pod.now())
        await within(edge.pod.openings.prepare([opening], "nobody"))
        result = opening.complete()
        assert isinstance(result, Opened)
        assert [each.offset for each in result.publications] == offsets[1:]
    assert (counts["ring", "recovered"], counts["stream", "recovered"]) == (ring + 2, stream + 1)


async def test_all_who_missed_the_same_share_one_read_of_the_stream(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Channel("orders", a_name("away"))
    await edge.session(a_name("witness"), str(channel))
    offsets = await edge.neighbours.publish(str(channel), *range(RING_PUBLICATIONS + 3))
    live = edge.pod.hub.channels[channel]
    await eventually(lambda: live.ring is not None and live.ring.head == offsets[-1])
    reads: list[str] = []
    batch = DirectGet.batch

    async def counted(reader: DirectGet, stream: str, subject: str, *rest: int) -> Batch:
        reads.append(subject)
        return await batch(reader, stream, subject, *rest)

    monkeypatch.setattr(DirectGet, "batch", counted)
    wanted = Wanted(str(channel), channel, Position(epoch=live.epoch, offset=offsets[0]))
    openings = [edge.pod.openings.start(wanted, now=edge.pod.now()) for _ in range(10)]
    await within(edge.pod.openings.prepare(openings, "nobody"))
    for opening in openings:
        result = opening.complete()
        assert isinstance(result, Opened)
        assert result.recovered is True
        assert [each.offset for each in result.publications] == offsets[1:]
    assert len(reads) == 1


async def test_who_waited_in_line_for_a_service_that_is_away_is_not_kept_any_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("whimbrel.edge.shell.batches.PATIENCE_S", 0.2)
    monkeypatch.setattr("whimbrel.edge.shell.batches.MAX_BATCH", 1)

    class Away(Service):
        async def request(
            self, subject: str, payload: bytes, *, timeout: float, headers: Mapping[str, str] | None = None
        ) -> Delivery:
            raise NoResponders("nobody")

    asking = batches(Away())
    began = asyncio.get_running_loop().time()
    answers = await within(
        asyncio.gather(*(asking.ask(f"user-{number}") for number in range(20)), return_exceptions=True)
    )
    assert [type(each) for each in answers] == [ServiceUnavailable] * 20
    assert asyncio.get_running_loop().time() - began < 1.5, "20 rounds of patience would be 4 s"


async def test_an_answer_that_does_not_fit_its_questions_fails_them() -> None:
    class Confused(Service):
        async def request(
            self, subject: str, payload: bytes, *, timeout: float, headers: Mapping[str, str] | None = None
        ) -> Delivery:
            return Delivery(subject, "", b"[]" if b"alice" in payload else b"nope", None)

    asking = batches(Confused())
    for user in ("alice", "bob"):
        with pytest.raises(ServiceUnavailable):
            await within(asyncio.ensure_future(asking.ask(user)))


async def test_who_gave_up_does_not_disturb_the_others_of_the_message() -> None:
    service = Service()
    asking = batches(service)
    first, second = asyncio.ensure_future(asking.ask("alice")), asyncio.ensure_future(asking.ask("bob"))
    await turns()
    first.cancel()
    service.may_answer.set()
    assert await within(second) == "bob"
