"""Nobody is told to reload without the reason being counted, logged and kept."""

import asyncio
from typing import Any

import pytest

from tests.edge.edges import Edge
from tests.edge.neighbours import LOG, Neighbours, a_name
from tests.edge.peers import poll
from tests.support.waiting import within
from whimbrel.edge.core.gaps import CHANNELS, EACH, WINDOW_S, Ledger
from whimbrel.edge.core.recovery import Unrecoverable
from whimbrel.edge.core.ring import Ring
from whimbrel.edge.core.subscription import Opened
from whimbrel.edge.shell import gaps
from whimbrel.edge.shell.gaps import Gaps
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.gaps import Gap, GapBatch
from whimbrel.protocol.positions import Position
from whimbrel.runtime import jetstream
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.nats import Connection

pytestmark = pytest.mark.asyncio(loop_scope="module")


# The ledger


def noted(ledger: Ledger, *channels: str) -> int:
    """Return how many of ``channels`` were to be told whole."""
    return sum(ledger.note("epoch", "return", channel, wall=1000.0 + at) for at, channel in enumerate(channels))


async def test_the_first_of_a_cause_are_told_whole_and_the_rest_of_the_storm_is_counted_by_channel() -> None:
    ledger = Ledger(now=0.0)
    assert noted(ledger, *["orders:1"] * (EACH + 3), *["orders:2"] * 2) == EACH
    assert ledger.totals["epoch",] == EACH + 5
    counted = ledger.end_window(now=WINDOW_S)
    assert [(each.channel, each.clients, each.at) for each in counted] == [
        ("orders:1", 3, 1000.0 + EACH),
        ("orders:2", 2, 1000.0 + EACH + 3),
    ]


async def test_a_storm_over_many_channels_is_few_entries_and_no_client_is_forgotten() -> None:
    ledger = Ledger(now=0.0)
    told = noted(ledger, *(f"user:{number}" for number in range(10_000)))
    counted = ledger.end_window(now=WINDOW_S)
    assert (told, len(counted)) == (EACH, CHANNELS + 1)
    assert (counted[-1].channel, counted[-1].clients) == ("", 10_000 - EACH - CHANNELS)
    assert ledger.totals["epoch",] == 10_000


async def test_a_storm_of_one_cause_does_not_hide_another_and_the_next_window_tells_anew() -> None:
    ledger = Ledger(now=0.0)
    noted(ledger, *["orders:1"] * 1000)
    assert ledger.note("trimmed", "return", "orders:1", wall=0.0)
    assert ledger.counting
    ledger.end_window(now=WINDOW_S)
    assert not ledger.counting
    assert noted(ledger, "orders:1") == 1


# Kept, logged and counted


async def kept(neighbours: Neighbours, channel: str, clients: int = 1) -> list[Gap]:
    """Return what the stream holds of ``channel`` once it tells of so many clients."""
    reads = DirectGet(neighbours.router)

    async def look() -> list[Gap]:
        while True:
            messages = (await reads.batch(subjects.GAPS, None, 1)).messages
            found = [gap for each in messages for gap in GapBatch.model_validate_json(each.payload).gaps]
            found = [gap for gap in found if gap.channel == channel]
            if sum(gap.clients for gap in found) >= clients:
                return found
            await asyncio.sleep(0.05)  # between two looks

    return await within(look())


def lines(caplog: pytest.LogCaptureFixture, channel: str) -> list[dict[str, Any]]:
    told = [each.__dict__["fields"] for each in caplog.records if each.getMessage() == "client.reloads"]
    return [each for each in told if each["channel"] == channel]


def total(edge: Edge, cause: str) -> int:
    return edge.pod.gaps._ledger.totals[cause,]


async def test_a_position_of_another_epoch_is_kept_with_who_asked_and_what_was_found(
    edge: Edge, neighbours: Neighbours, caplog: pytest.LogCaptureFixture
) -> None:
    user, channel = a_name("alice"), f"orders:{a_name('lost')}"
    [head] = await neighbours.publish(channel, 1)
    before = total(edge, "epoch")
    peer = await edge.socket()
    asked = {"epoch": "of-another-life", "offset": 7}
    connected = await peer.ask("connect", token=neighbours.token(user), channels={channel: asked})
    assert connected["channels"][channel]["recovered"] is False
    assert total(edge, "epoch") == before + 1
    [gap] = await kept(neighbours, channel)
    assert (gap.cause, gap.during, gap.user, gap.transport) == ("epoch", "return", user, "websocket")
    assert (gap.session, gap.pod) == (connected["session"], edge.service.instance)
    assert gap.asked == Position.model_validate(asked)
    assert gap.found == Position(epoch=connected["channels"][channel]["epoch"], offset=head)
    [line] = lines(caplog, channel)
    assert (line["cause"], line["user"], line["session"]) == ("epoch", user, connected["session"])


async def test_what_was_trimmed_is_told_apart_from_what_is_too_much(edge: Edge, neighbours: Neighbours) -> None:
    channel = f"orders:{a_name('trimmed')}"
    witness = await edge.session(a_name("witness"), channel)
    offsets = await neighbours.publish(channel, *range(3))
    await witness.data(3)
    live = edge.pod.hub.channels[Channel.parse(channel)]
    stream = subjects.history_stream(
        subjects.partition_of(live.channel, len(edge.pod.openings._bus.streams.layout.epochs))
    )
    await jetstream.request(
        neighbours.router, f"STREAM.PURGE.{stream}", {"seq": offsets[2]}
    )  # as retention does, and the oldest of other channels go along
    live.ring = Ring(offsets[2])  # as in another pod, which knows nothing before
    at = {"epoch": live.epoch, "offset": offsets[0]}
    peer = await edge.session(a_name("alice"))
    told = await peer.ask("subscribe", channel=channel, position=at)
    assert told["recovered"] is False
    [gap] = await kept(neighbours, channel)
    assert (gap.cause, gap.missed) == ("trimmed", None)


async def test_how_much_was_missed_is_told_where_it_was_counted(
    edge: Edge, neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whimbrel.edge.core.recovery.RECOVERY_LIMIT", 2)
    channel = f"orders:{a_name('busy')}"
    offsets = await neighbours.publish(channel, *range(5))
    epoch = edge.pod.openings._bus.streams.epoch(Channel.parse(channel))
    peer = await edge.session(a_name("alice"))
    told = await peer.ask("subscribe", channel=channel, position={"epoch": epoch, "offset": offsets[0]})
    assert told["recovered"] is False
    [gap] = await kept(neighbours, channel)
    assert (gap.cause, gap.missed) == ("too_many", 4)


async def test_a_poll_is_kept_as_well(edge: Edge, neighbours: Neighbours) -> None:
    user, channel = a_name("poller"), f"orders:{a_name('polled')}"
    answer = await edge.ask(poll(neighbours.token(user), {channel: {"epoch": "of-another-life", "offset": 7}}))
    assert answer.json["frames"][0]["recovered"] is False
    [gap] = await kept(neighbours, channel)
    assert (gap.cause, gap.user, gap.session, gap.transport) == ("epoch", user, "", "poll")


async def test_everybody_in_a_channel_that_begins_anew_is_kept(
    edge: Edge, neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whimbrel.edge.core.gaps.EACH", 2)
    channel = f"orders:{a_name('reset')}"
    peers = [await edge.session(a_name("alice"), channel) for _ in range(5)]
    live = edge.pod.hub.channels[Channel.parse(channel)]
    assert live.ring is not None
    before = live.ring.head
    edge.pod.gaps._end_window()
    edge.pod.openings._bus.reset(live, before, Unrecoverable("too_many", 2000))
    for peer in peers:
        told = await peer.until(lambda frame: frame["type"] == "subscribed")
        assert told["recovered"] is False
    edge.pod.gaps._end_window()
    found = await kept(neighbours, channel, clients=5)
    assert [(gap.cause, gap.during, gap.clients) for gap in found] == [("too_many", "live", n) for n in (1, 1, 3)]
    assert (found[0].asked, found[0].missed) == (Position(epoch=live.epoch, offset=before), 2000)
    assert len({gap.session for gap in found[:2]}) == 2


async def test_what_cannot_be_written_waits_and_beyond_the_bound_the_oldest_is_forgotten(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaps, "MAX_UNWRITTEN", 2)
    away = Connection("nats://127.0.0.1:1", name="away", log=LOG)
    ledger = Gaps(away, "pod-1", LOG)
    channel = f"orders:{a_name('away')}"
    for _ in range(3):
        await edge.session(a_name("alice"), channel)
    live = edge.pod.hub.channels[Channel.parse(channel)]
    ledger.reset(live, Opened("e1", 7), Unrecoverable("trimmed"))
    sessions = [gap.session for gap in ledger._unwritten]
    assert (len(sessions), ledger.dropped) == (2, 1)
    await ledger.close()
    assert [gap.session for gap in ledger._unwritten] == sessions, "put back where it was"
