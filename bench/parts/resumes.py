"""A pod has died: its clients come to one that knows nothing, all at once, with their resume grants and positions."""

from typing import Any, Final

from bench.meter import Spread
from bench.program import Broken
from bench.report import Row
from bench.stand import Stand
from bench.trial import Trial, connect_frame, positions, spread, tried
from whimbrel.protocol.channels import Channel

CLIENTS: Final = 10_000
OWN: Final = 3  # channels of each client alone, besides its inbox
SHARED_BY: Final = 100  # clients of the fifth channel
MISSED: Final = 3  # publications of one of its five channels: 20 % are stale
PUBLISHED_PER_S: Final = 5_000.0
BESIDE: Final = ("nats", "auth", "router", "load")
ASKED: Final = {"auth": "whimbrel_auth_verdicts_total", "router": "whimbrel_router_resolved_total"}


async def measure(stand: Stand) -> list[Row]:
    """Measure from the first connect until every client has all that it missed."""
    whimbrel, clients = stand.whimbrel, stand.machine.clients(CLIENTS)
    load = await stand.load()
    trials, recoveries = list[Trial](), list[dict[str, int]]()
    for turn in range(stand.rounds):
        stand.say(f"resumes: round {turn + 1}: {clients} clients connect")
        own = [[Channel("orders", f"own-{turn}-{client}-{at}") for at in range(OWN)] for client in range(clients)]
        shared = [Channel("orders", f"shared-{turn}-{client // SHARED_BY}") for client in range(clients)]
        await whimbrel.renew_edge()
        lines = [whimbrel.line(f"resumer-{turn}-{client}", [*own[client], shared[client]]) for client in range(clients)]
        await load.open(whimbrel.port, lines)
        told = await load.greetings()
        await load.cut()
        stale = [channels[0] for channels in own]
        stand.say(f"resumes: round {turn + 1}: {MISSED * clients} publications nobody hears")
        await whimbrel.publish(PUBLISHED_PER_S, MISSED * clients, stale, series=turn % 4)
        await whimbrel.renew_edge()
        asked = await _asked(stand)
        frames = [connect_frame(None, positions(each), each["resume"]) for each in told]
        stand.say(f"resumes: round {turn + 1}: they come back")
        coming = load.open(whimbrel.port, frames)
        trials.append(await tried(whimbrel, load, coming, publications=MISSED * clients))
        found = await whimbrel.metrics("edge")
        recoveries.append({name: count for name, count in found.items() if "recoveries_total" in name and count})
        _check(stand, asked, await _asked(stand), recoveries[-1], clients)
        await load.cut()
    await load.stop()
    return _rows(clients, trials, recoveries)


async def _asked(stand: Stand) -> dict[str, int]:
    return {name: _total(await stand.whimbrel.metrics(name), metric) for name, metric in ASKED.items()}


def _total(metrics: Any, name: str) -> int:
    return sum(count for sample, count in metrics.items() if sample.partition("{")[0] == name)


def _check(stand: Stand, before: dict[str, int], after: dict[str, int], found: dict[str, int], clients: int) -> None:
    """See that nobody was asked about any of them, and nobody had to reload. Raises Broken."""
    if before != after:
        raise Broken(f"auth and router were asked about clients with resume grants: {before} before, {after} after")
    whole = sum(count for name, count in found.items() if 'outcome="recovered"' in name)
    if len(found) > 2 or whole < 5 * clients:
        raise Broken(f"not every channel was recovered whole: {found}")


def _rows(clients: int, trials: list[Trial], recoveries: list[dict[str, int]]) -> list[Row]:
    name = f"{clients} clients with 5 channels each resume on a new pod, 20 % stale"
    last = Row(f"{name}: until the last has all", "s")
    last.figures["whimbrel"] = spread(trials, lambda trial: trial.seconds)
    each = Row("… CPU time of the edge", "µs per client")
    each.figures["whimbrel"] = spread(trials, lambda trial: trial.us("server", clients))
    for process in BESIDE:
        each.beside[process] = spread(trials, lambda trial, at=process: trial.us(at, clients))  # type: ignore[misc]
    for source in ("ring", "stream"):
        told = [sum(count for name, count in found.items() if f'source="{source}"' in name) for found in recoveries]
        each.beside[f"channels recovered from {source}"] = Spread.of(told)
    return [last, each]
