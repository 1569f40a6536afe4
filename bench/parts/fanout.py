"""Delivery to sockets: one channel for all, a flood of it, and a channel for each."""

from collections.abc import Iterable
from itertools import repeat
from typing import Final

from bench.load import Load
from bench.meter import Spread
from bench.report import Row, at_least, at_most, times_floor
from bench.stand import Stand
from bench.trial import Server, Trial, spread, tried
from whimbrel.protocol.channels import Channel, inbox_of

SUBSCRIBERS: Final = 5000
SECONDS: Final = 2.0
BROADCASTS: Final = 10  # per second
FLOOD: Final = 70  # per second: 350,000 deliveries
FLOOD_S: Final = {"naive": 0.4, "floor": 1.0, "socketio": 1.0, "nchan": 1.0}  # they fall behind and need longer
UNICASTS: Final = {2000: 75, 5000: 50}  # per second, for one second, and the goal in µs
CHANNEL: Final = Channel("orders", "bench")

Trials = dict[str, list[Trial]]


async def measure(stand: Stand) -> list[Row]:
    """Measure broadcast, flood and unicast with the same clients."""
    subscribers = stand.machine.clients(SUBSCRIBERS)
    users = [f"subscriber-{number}" for number in range(subscribers)]
    inboxes = [inbox_of(user) for user in users]
    await stand.whimbrel.renew_edge()

    async def opened(server: Server, channels: Iterable[Channel]) -> Load:
        stand.say(f"fanout: {subscribers} clients connect to {server.name}")
        load = await stand.load()
        lines = [server.line(user, [channel]) for user, channel in zip(users, channels, strict=True)]
        await load.open(server.port, lines, transport=server.transport)
        return load

    shared = {server.name: await opened(server, repeat(CHANNEL, subscribers)) for server in stand.servers}
    own = {name: load for name, load in shared.items() if stand[name].gives_inbox}
    own |= {server.name: await opened(server, inboxes) for server in stand.servers if not server.gives_inbox}

    async def publish(server: Server, rate: float, count: int, channels: list[Channel]) -> Trial:
        load, series, each = (shared, 0, subscribers) if channels == [CHANNEL] else (own, 1, 1)
        work = server.publish(rate, count, channels, series=series)
        return await tried(server, load[server.name], work, publications=count * each)

    broadcasts: Trials = {server.name: [] for server in stand.servers}
    floods: Trials = {server.name: [] for server in stand.servers}
    unicasts: dict[int, Trials] = {rate: {server.name: [] for server in stand.servers} for rate in UNICASTS}
    for number in range(stand.rounds):
        stand.say(f"fanout: round {number + 1}")
        for server in stand.servers:
            broadcasts[server.name].append(await publish(server, BROADCASTS, int(BROADCASTS * SECONDS), [CHANNEL]))
        for server in stand.servers:
            count = int(FLOOD * FLOOD_S.get(server.name, SECONDS))
            floods[server.name].append(await publish(server, FLOOD, count, [CHANNEL]))
        for rate in UNICASTS:
            for server in stand.servers:
                unicasts[rate][server.name].append(await publish(server, rate, rate, inboxes))
    for load in {*shared.values(), *own.values()}:
        await load.stop()
    return [
        *_broadcast_rows(subscribers, broadcasts),
        *_flood_rows(floods),
        *(_unicast_row(rate, trials) for rate, trials in unicasts.items()),
    ]


def per_delivery(trials: list[Trial], process: str = "server") -> Spread:
    """Return the CPU time of ``process`` per publication that a client received, µs."""
    return spread(trials, lambda trial: trial.us(process, trial.counts.publications))


def p50_ms(trials: list[Trial]) -> Spread:
    """Return how late half of the publications were at the most."""
    return spread(trials, lambda trial: trial.counts.p50_us / 1000)


def p99_ms(trials: list[Trial]) -> Spread:
    """Return how late all but one in a hundred were at the most."""
    return spread(trials, lambda trial: trial.counts.p99_us / 1000)


def _broadcast_rows(subscribers: int, trials: Trials) -> list[Row]:
    cost = Row(f"broadcast to {subscribers} at {BROADCASTS}/s", "µs per delivery", times_floor(1.1))
    middle = Row("… event to client, p50", "ms", at_most(18))
    late = Row("… event to client, p99", "ms", at_most(40))
    for name, each in trials.items():
        cost.figures[name], middle.figures[name], late.figures[name] = per_delivery(each), p50_ms(each), p99_ms(each)
    cost.beside["load side"] = per_delivery(trials["whimbrel"], "load")
    return [cost, middle, late]


def _flood_rows(trials: Trials) -> list[Row]:
    kept_up = Row(f"… at {FLOOD}/s, until all have come", "thousand deliveries/s", at_least(300))
    capacity = Row("… deliveries per second of the server's CPU time", "thousand", at_least(300))
    late = Row("… event to client, p99", "ms", at_most(100))
    for name, each in trials.items():
        kept_up.figures[name] = spread(each, lambda trial: trial.counts.publications / trial.seconds / 1000)
        capacity.figures[name] = spread(each, lambda trial: trial.counts.publications * 1e6 / trial.cpu["server"])
        late.figures[name] = p99_ms(each)
    ours = trials["whimbrel"]
    kept_up.beside["publications per message"] = spread(
        ours, lambda trial: trial.counts.publications / trial.counts.messages
    )
    return [kept_up, capacity, late]


def _unicast_row(rate: int, trials: Trials) -> Row:
    row = Row(f"unicast to own channels at {rate}/s", "µs per delivery", at_most(UNICASTS[rate]))
    for name, each in trials.items():
        row.figures[name] = per_delivery(each)
    for beside in ("nats", "load", "publisher"):
        row.beside[beside] = per_delivery(trials["whimbrel"], beside)
    row.beside["p99, ms"] = p99_ms(trials["whimbrel"])
    return row
