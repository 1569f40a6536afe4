"""Whether an event costs the same with much stored as with little: messages in a partition, and inboxes."""

import itertools
from collections.abc import Sequence
from typing import Final

from bench.installation import Installation
from bench.load import Load
from bench.meter import Spread
from bench.report import Row
from bench.stand import Stand
from bench.trial import Trial, connect_frame, spread, tried
from whimbrel.protocol.channels import Channel, inbox_of
from whimbrel.protocol.limits import RETAINED_PER_CHANNEL

STORED: Final = (1_000, 10_000, 100_000, 1_000_000)  # in one partition
INBOXES: Final = (100, 1_000, 10_000, 100_000)
CLIENTS: Final = 50
RATE: Final = 500.0  # events per second
SECONDS: Final = 2.0
FILLED_PER_S: Final = 40_000.0
SLICE: Final = 20_000  # publications under way while it is filled
STRIDE: Final = 7919  # prime: one event after the other goes to inboxes far from each other


async def measure(stand: Stand) -> list[Row]:
    """Measure all that an event costs, sweep by sweep."""
    return [*await _stored(stand), *await _inboxes(stand)]


async def _stored(stand: Stand) -> list[Row]:
    whimbrel = stand.whimbrel
    most = STORED[-1] // (RETAINED_PER_CHANNEL // 2)  # channels: what is measured must not push out what was filled
    names = (Channel("orders", f"grown-{number}") for number in itertools.count())
    channels = list(itertools.islice(await whimbrel.in_one_partition(names), CLIENTS + max(1, most)))
    heard = channels[:CLIENTS]
    await whimbrel.renew_edge()
    load = await stand.load()
    await load.open(
        whimbrel.port,
        [connect_frame(whimbrel.token(f"grower-{channel.name}"), {str(channel): None}) for channel in heard],
    )
    rows, filled, count = [], 0, int(RATE * SECONDS)
    for size in STORED:
        stand.say(f"growth: {size} messages in a partition")
        await _fill(whimbrel, channels[CLIENTS:], size - filled)
        filled = size
        trials = [
            await tried(whimbrel, load, whimbrel.events(RATE, count, heard, series=0), publications=count)
            for _ in range(stand.rounds)
        ]
        rows.append(_row(f"{size:,} messages in the partition", "stored", size, trials, count))
    await load.stop()
    return rows


async def _inboxes(stand: Stand) -> list[Row]:
    whimbrel = stand.whimbrel
    inboxes = [inbox_of(f"owner-{number}") for number in range(INBOXES[-1])]
    await whimbrel.renew_edge()
    rows, filled, count = [], 0, int(RATE * SECONDS)
    for size in INBOXES:
        stand.say(f"growth: {size} inboxes")
        await _fill(whimbrel, inboxes[filled:size], size - filled)
        filled = size
        load = await stand.load()
        owners = [inbox.name for inbox in inboxes[: min(CLIENTS, size)]]
        await load.open(whimbrel.port, [connect_frame(whimbrel.token(owner), {}) for owner in owners])
        order = [inboxes[number * STRIDE % size] for number in range(count)]
        heard = sum(inbox.name in owners for inbox in order)
        trials = [await _told(stand, load, order, heard) for _ in range(stand.rounds)]
        rows.append(_row(f"{size:,} inboxes", "inboxes", size, trials, count))
        await load.stop()
    return rows


async def _told(stand: Stand, load: Load, order: Sequence[Channel], heard: int) -> Trial:
    whimbrel = stand.whimbrel
    before = await whimbrel.stored()

    async def tell() -> None:
        await whimbrel.told(RATE, order, series=0)
        await whimbrel.until_stored(before + len(order))

    return await tried(whimbrel, load, tell(), publications=heard)


async def _fill(whimbrel: Installation, channels: Sequence[Channel], number: int) -> None:
    for start in range(0, number, SLICE):
        size = min(SLICE, number - start)
        turned = [channels[(start + at) % len(channels)] for at in range(min(size, len(channels)))]
        await whimbrel.publish(FILLED_PER_S, size, turned, series=1)


def _row(name: str, curve: str, at: int, trials: Sequence[Trial], count: int) -> Row:
    row = Row(f"event, {name}", "µs of all services per event", curve=curve, at=at)

    def of(*processes: str) -> Spread:
        return spread(trials, lambda trial: sum(trial.us(process, count) for process in processes))

    row.figures["whimbrel"] = of("notifier", "nats", "server")
    row.beside = {"notifier": of("notifier"), "nats": of("nats"), "edge": of("server")}
    return row
