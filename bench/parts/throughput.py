"""From events to stored publications: a backlog, one event for very many, and one event for a group."""

import asyncio
import signal
import time
from typing import Final

from bench.load import Load
from bench.meter import Meter, Spread
from bench.publications import datum
from bench.report import Row, at_least
from bench.stand import Stand
from bench.trial import Trial, connect_frame, spread, tried
from whimbrel.protocol.channels import Channel

EVENTS: Final = 20_000  # of the backlog
CHANNELS: Final = 500
OFFERED_PER_S: Final = 20_000.0  # while the notifier stands still
BULK: Final = 10_000  # inboxes of one event
MEMBERS: Final = 5_000
GROUP: Final = "bench"
BESIDE: Final = ("notifier", "nats", "server")
LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


async def measure(stand: Stand) -> list[Row]:
    """Measure the three, each with its own clients."""
    return [await _backlog(stand), await _bulk(stand), await _group(stand)]


async def _backlog(stand: Stand) -> Row:
    """Have the notifier stand still while events are stored, then measure until their publications are."""
    whimbrel = stand.whimbrel
    await whimbrel.renew_edge()
    channels = [Channel("orders", f"backlog-{number}") for number in range(CHANNELS)]
    cores, rates, costs = list[float](), list[float](), list[float]()
    for turn in range(stand.rounds):
        stand.say(f"throughput: round {turn + 1}")
        before = await whimbrel.stored()
        whimbrel.signal("notifier", signal.SIGSTOP)
        try:
            await whimbrel.events(OFFERED_PER_S, EVENTS, channels, series=0)
        finally:
            await asyncio.sleep(0.5)  # NATS writes
            meter = Meter({name: pid for name, pid in whimbrel.meter.pids.items() if name in BESIDE})
            used, began = meter.read(), time.monotonic()
            whimbrel.signal("notifier", signal.SIGCONT)
        await whimbrel.until_stored(before + EVENTS)
        seconds, cpu = time.monotonic() - began, meter.since(used)
        cores.append(EVENTS / (cpu["notifier"] / 1e9) / 1000)
        rates.append(EVENTS / seconds / 1000)
        costs.append(cpu["nats"] / EVENTS / 1000)
    row = Row("events through one notifier to stored publications", "thousand/s per core", at_least(5))
    row.figures["whimbrel"] = Spread.of(cores)
    row.beside = {"by the clock, thousand/s": Spread.of(rates), "nats, µs per event": Spread.of(costs)}
    return row


async def _bulk(stand: Stand) -> Row:
    whimbrel, clients = stand.whimbrel, stand.machine.clients(BULK)
    users = [_short(number) for number in range(clients)]
    load = await stand.load()
    stand.say(f"throughput: {clients} clients connect")
    await whimbrel.renew_edge()
    await load.open(whimbrel.port, [connect_frame(whimbrel.token(user), {}) for user in users])
    trials = await _events(stand, load, {"whimbrel-users": ",".join(users)}, publications=clients, stored=clients)
    return _row(f"one event to {clients} inboxes", trials)


async def _group(stand: Stand) -> Row:
    whimbrel, members = stand.whimbrel, stand.machine.clients(MEMBERS)
    load = await stand.load()
    stand.say(f"throughput: {members} members connect")
    await whimbrel.renew_edge()
    tokens = [whimbrel.token(f"member-{number}", (GROUP,)) for number in range(members)]
    await load.open(whimbrel.port, [connect_frame(token, {}) for token in tokens])
    trials = await _events(stand, load, {"whimbrel-groups": GROUP}, publications=members, stored=1)
    return _row(f"one event to a group of {members}, one publication stored", trials)


async def _events(stand: Stand, load: Load, audience: dict[str, str], *, publications: int, stored: int) -> list[Trial]:
    """Publish one event each round, and see that exactly ``stored`` publications came of it."""
    whimbrel, trials = stand.whimbrel, list[Trial]()
    for turn in range(stand.rounds):
        before = await whimbrel.stored()

        async def once(turn: int = turn) -> None:
            now = time.monotonic_ns()
            await whimbrel.event(f"{now:018}", datum(0, turn, now), audience)

        trials.append(await tried(whimbrel, load, once(), publications=publications))
        found = await whimbrel.stored() - before
        if found != stored:
            raise AssertionError(f"one event is {found} publications in the streams, not {stored}")
    await load.stop()
    return trials


def _row(name: str, trials: list[Trial]) -> Row:
    last = Row(f"{name}: until the last has it", "s")
    last.figures["whimbrel"] = spread(trials, lambda trial: trial.seconds)
    for process in BESIDE:
        of = "edge" if process == "server" else process
        last.beside[f"{of}, ms"] = spread(trials, lambda trial, at=process: trial.cpu[at] / 1e6)  # type: ignore[misc]
    return last


def _short(number: int) -> str:
    """Return a user of four characters: 10,000 of them fit into the headers of one event."""
    text = ""
    for _ in range(4):
        number, letter = divmod(number, len(LETTERS))
        text = LETTERS[letter] + text
    return text
