"""A storm of connects: new clients, clients who come back with their token, and with their resume grant."""

from typing import Any, Final

from bench.meter import Spread
from bench.report import Row
from bench.stand import Stand
from bench.trial import Target, Trial, connect_frame, positions, spread, tried

CLIENTS: Final = 2000
NAIVE_CLIENTS: Final = 500
CHANNEL: Final = "orders:bench"
LINGER_S: Final = 2.2  # within 2 s the edge compares channels that it has just opened with their streams once more
BESIDE: Final = ("auth", "router", "nats", "load")


async def measure(stand: Stand) -> list[Row]:
    """Measure whole connects: upgrade, `connect`, inbox and one channel open; and what the edge does later for them."""
    whimbrel, clients = stand.whimbrel, stand.machine.clients(CLIENTS)
    await whimbrel.renew_edge()
    loads = {target.name: await stand.load() for target in (stand.floor, stand.naive, whimbrel)}
    trials: dict[str, list[Trial]] = {}

    async def storm(kind: str, target: Target, lines: list[str], linger_s: float = 0.0) -> list[dict[str, Any]]:
        load = loads[target.name]
        trial = await tried(target, load, load.open(target.port, lines), linger_s=linger_s)
        trials.setdefault(kind, []).append(trial)
        greetings = await load.greetings()
        await load.cut()
        return greetings

    for turn in range(stand.rounds):
        stand.say(f"connects: round {turn + 1}")
        tokens = [whimbrel.token(f"comer-{turn}-{number}") for number in range(clients)]
        new = [connect_frame(token, {CHANNEL: None}) for token in tokens]
        await storm("floor", stand.floor, new)
        await storm("naive", stand.naive, new[:NAIVE_CLIENTS])
        told = await storm("new", whimbrel, new, LINGER_S)
        again = [connect_frame(token, positions(each)) for token, each in zip(tokens, told, strict=True)]
        await storm("remembered", whimbrel, again)
        await storm("resumed", whimbrel, [connect_frame(None, positions(each), each["resume"]) for each in told])
    for load in loads.values():
        await load.stop()
    new_row = _row("connect with a new token", trials["new"], "≤ 120")
    new_row.figures |= {name: _per_connect(trials[name], "server") for name in ("floor", "naive")}
    return [
        new_row,
        _row("… again with this token and positions", trials["remembered"]),
        _row("… again with the resume grant and positions", trials["resumed"], "≤ 70"),
    ]


def _per_connect(trials: list[Trial], process: str) -> Spread:
    return spread(trials, lambda trial: trial.us(process, trial.counts.opened))


def _row(name: str, trials: list[Trial], goal: str = "") -> Row:
    row = Row(name, "µs", goal, {"whimbrel": _per_connect(trials, "server")})
    row.beside = {process: _per_connect(trials, process) for process in BESIDE}
    return row
