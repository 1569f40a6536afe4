"""Delivery to sockets: one channel for all, a flood of it, and a channel for each."""

from collections.abc import Awaitable, Callable
from typing import Final

from bench.load import Load
from bench.meter import Spread
from bench.report import Row
from bench.stand import Stand
from bench.trial import Target, Trial, connect_frame, spread, tried
from whimbrel.protocol.channels import Channel, inbox_of

SUBSCRIBERS: Final = 5000
SECONDS: Final = 2
BROADCASTS: Final = 10  # per second
FLOOD: Final = 60  # per second: 300,000 deliveries
UNICASTS: Final = (2000, 5000)  # per second, for one second
CHANNEL: Final = Channel("orders", "bench")

Send = Callable[[float, int], Awaitable[None]]


async def measure(stand: Stand) -> list[Row]:
    """Measure broadcast, flood and unicast with the same clients."""
    subscribers = stand.machine.clients(SUBSCRIBERS)
    users = [f"subscriber-{number}" for number in range(subscribers)]
    inboxes = [inbox_of(user) for user in users]
    whimbrel = stand.whimbrel
    await whimbrel.renew_edge()

    async def broadcast(rate: float, count: int) -> None:
        await whimbrel.publish(rate, count, [CHANNEL], series=0)

    async def unicast(rate: float, count: int) -> None:
        await whimbrel.publish(rate, count, inboxes, series=1)

    servers: list[tuple[Target, Send, Send]] = [
        (stand.floor, stand.floor.broadcast, stand.floor.unicast),
        (stand.naive, stand.naive.broadcast, stand.naive.unicast),
        (whimbrel, broadcast, unicast),
    ]
    targets: list[tuple[Target, Load, Send, Send]] = []
    for target, one, other in servers:
        stand.say(f"fanout: {subscribers} clients connect to {target.name}")
        load = await stand.load()
        await load.open(target.port, [connect_frame(whimbrel.token(user), {str(CHANNEL): None}) for user in users])
        targets.append((target, load, one, other))

    broadcasts: dict[str, list[Trial]] = {}
    floods: list[Trial] = []
    unicasts: dict[int, dict[str, list[Trial]]] = {rate: {} for rate in UNICASTS}
    for number in range(stand.rounds):
        stand.say(f"fanout: round {number + 1}")
        for target, load, send, _ in targets:
            count = BROADCASTS * SECONDS
            trial = await tried(target, load, send(BROADCASTS, count), publications=count * subscribers)
            broadcasts.setdefault(target.name, []).append(trial)
        count = FLOOD * SECONDS
        floods.append(await tried(whimbrel, load, broadcast(FLOOD, count), publications=count * subscribers))
        for rate in UNICASTS:
            for target, load, _, send in targets:
                trial = await tried(target, load, send(rate, rate), publications=rate)
                unicasts[rate].setdefault(target.name, []).append(trial)
    for _, load, _, _ in targets:
        await load.stop()
    return [
        *_broadcast_rows(subscribers, broadcasts),
        *_flood_rows(floods),
        *(_unicast_row(rate, trials) for rate, trials in unicasts.items()),
    ]


def per_delivery(trials: list[Trial], process: str = "server") -> Spread:
    """Return the CPU time of ``process`` per publication that a client received, µs."""
    return spread(trials, lambda trial: trial.us(process, trial.counts.publications))


def _broadcast_rows(subscribers: int, trials: dict[str, list[Trial]]) -> list[Row]:
    cost = Row(f"broadcast to {subscribers} at {BROADCASTS}/s", "µs per delivery", "≤ 1.1 × floor")
    middle = Row("… event to client, p50", "ms", "≤ 18")
    late = Row("… event to client, p99", "ms", "≤ 40")
    for name, each in trials.items():
        cost.figures[name] = per_delivery(each)
        middle.figures[name] = spread(each, lambda trial: trial.counts.p50_us / 1000)
        late.figures[name] = spread(each, lambda trial: trial.counts.p99_us / 1000)
    cost.beside["load side"] = per_delivery(trials["whimbrel"], "load")
    return [cost, middle, late]


def _flood_rows(trials: list[Trial]) -> list[Row]:
    rate = Row(f"… at {FLOOD}/s, deliveries kept up", "thousand/s", "≥ 300")
    rate.figures["whimbrel"] = spread(trials, lambda trial: trial.counts.publications / trial.seconds / 1000)
    rate.beside["p99, ms"] = spread(trials, lambda trial: trial.counts.p99_us / 1000)
    rate.beside["edge, µs per delivery"] = per_delivery(trials)
    rate.beside["publications per message"] = spread(
        trials, lambda trial: trial.counts.publications / trial.counts.messages
    )
    return [rate]


def _unicast_row(rate: int, trials: dict[str, list[Trial]]) -> Row:
    row = Row(f"unicast to own channels at {rate}/s", "µs per delivery", "≤ 75" if rate == UNICASTS[0] else "≤ 50")
    for name, each in trials.items():
        row.figures[name] = per_delivery(each)
    for beside in ("nats", "load", "publisher"):
        row.beside[beside] = per_delivery(trials["whimbrel"], beside)
    row.beside["p99, ms"] = spread(trials["whimbrel"], lambda trial: trial.counts.p99_us / 1000)
    return row
