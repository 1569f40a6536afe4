"""Whether a delivery costs the same with few and with many: subscribers of a channel, and channels."""

from typing import Final

from bench.parts.fanout import per_delivery
from bench.report import Row
from bench.stand import Stand
from bench.trial import Trial, spread, tried
from whimbrel.protocol.channels import Channel

SUBSCRIBERS: Final = (100, 300, 1000, 3000, 10_000)
CHANNELS: Final = (1, 10, 100, 1000, 10_000)
SECONDS: Final = 2.0
DELIVERIES_PER_S: Final = 20_000  # in the first sweep, however many get each publication
PUBLICATIONS_PER_S: Final = 500  # in the second
AUDIENCE: Final = 10  # subscribers of each channel in the second
GROUPS: Final = 200  # of as many clients; group g has the channels g, g + 200, …: at most 50


async def measure(stand: Stand) -> list[Row]:
    """Measure Whimbrel beside the floor, sweep by sweep."""
    return [*await _subscribers(stand), *await _channels(stand)]


async def _subscribers(stand: Stand) -> list[Row]:
    whimbrel, most = stand.whimbrel, stand.machine.clients(SUBSCRIBERS[-1])
    sizes = [size for size in SUBSCRIBERS if size < most] + [most]
    channels = {size: Channel("orders", f"to-{size}") for size in sizes}
    await whimbrel.renew_edge()
    stand.say(f"flatness: {most} clients connect")
    load = await stand.load()
    lines = [
        whimbrel.line(f"one-of-{number}", [channels[size] for size in sizes if number < size]) for number in range(most)
    ]
    await load.open(whimbrel.port, lines)
    ours: dict[int, list[Trial]] = {size: [] for size in sizes}
    floor: dict[int, list[Trial]] = {size: [] for size in sizes}
    for turn in range(stand.rounds):
        stand.say(f"flatness: subscribers, round {turn + 1}")
        for series, size in enumerate(sizes):
            rate = DELIVERIES_PER_S / size
            count = max(1, int(rate * SECONDS))
            sending = whimbrel.publish(rate, count, [channels[size]], series=series)
            ours[size].append(await tried(whimbrel, load, sending, publications=count * size))
            beside = await stand.load()
            await beside.open(stand.floor.port, lines[:1], count=size)
            sending = stand.floor.broadcast(rate, count)
            floor[size].append(await tried(stand.floor, beside, sending, publications=count * size))
            await beside.stop()
    await load.stop()
    return [_row(f"one channel, {size} subscribers", "subscribers", size, ours[size], floor[size]) for size in sizes]


async def _channels(stand: Stand) -> list[Row]:
    whimbrel, clients = stand.whimbrel, stand.machine.clients(GROUPS * AUDIENCE) // GROUPS * GROUPS
    channels = [Channel("orders", f"channel-{number}") for number in range(CHANNELS[-1])]
    series = [number // GROUPS for number in range(CHANNELS[-1])]
    count, each = int(PUBLICATIONS_PER_S * SECONDS), clients // GROUPS
    rows = []
    for number in CHANNELS:
        stand.say(f"flatness: {number} channels, {clients} clients connect")
        await whimbrel.renew_edge()
        load, beside = await stand.load(), await stand.load()
        lines = [
            whimbrel.line(f"member-{member}", channels[member % GROUPS : number : GROUPS]) for member in range(clients)
        ]
        await load.open(whimbrel.port, lines)
        await beside.open(stand.floor.port, lines[:1], count=clients)
        ours, floor = list[Trial](), list[Trial]()
        for turn in range(stand.rounds):
            stand.say(f"flatness: {number} channels, round {turn + 1}")
            sending = whimbrel.publish(PUBLICATIONS_PER_S, count, channels[:number], series=series)
            ours.append(await tried(whimbrel, load, sending, publications=count * each))
            sending = stand.floor.multicast(PUBLICATIONS_PER_S, count, each)
            floor.append(await tried(stand.floor, beside, sending, publications=count * each))
        await load.stop()
        await beside.stop()
        rows.append(_row(f"{number} channels, {each} subscribers each", "channels", number, ours, floor))
    return rows


def _row(name: str, curve: str, at: int, ours: list[Trial], floor: list[Trial]) -> Row:
    row = Row(name, "µs per delivery", curve=curve, at=at)
    row.figures = {"floor": per_delivery(floor), "whimbrel": per_delivery(ours)}
    row.beside["publications per message"] = spread(
        ours, lambda trial: trial.counts.publications / trial.counts.messages
    )
    return row
