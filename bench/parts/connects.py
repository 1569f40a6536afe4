"""A storm of connects: new clients, clients who come back with their token, and with their resume grant."""

from typing import Any, Final

from bench.load import Load
from bench.meter import Spread
from bench.report import Goal, Row, at_most
from bench.stand import Stand
from bench.trial import Server, Trial, connect_frame, positions, spread, tried, with_inbox
from whimbrel.protocol.channels import Channel

CLIENTS: Final = 2000
NAIVE_CLIENTS: Final = 500
CHANNEL: Final = Channel("orders", "bench")
LINGER_S: Final = 2.2  # within 2 s the edge compares channels that it has just opened with their streams once more
BESIDE: Final = ("auth", "router", "nats", "load")


async def measure(stand: Stand) -> list[Row]:
    """Measure whole connects: upgrade, `connect`, inbox and one channel open; and what the edge does later for them."""
    whimbrel, clients = stand.whimbrel, stand.machine.clients(CLIENTS)
    await whimbrel.renew_edge()
    naive = await stand.fresh("naive")
    loads = {server.name: await stand.load() for server in stand.servers}
    trials: dict[str, list[Trial]] = {}

    async def storm(kind: str, server: Server, lines: list[str], linger_s: float = 0.0) -> Load:
        load = loads[server.name]
        coming = load.open(server.port, lines, transport=server.transport)
        trials.setdefault(kind, []).append(await tried(server, load, coming, linger_s=linger_s))
        return load

    async def again(kind: str, lines: list[str]) -> list[dict[str, Any]]:
        load = await storm(kind, whimbrel, lines, LINGER_S if kind == "whimbrel" else 0.0)
        told = await load.greetings()
        await load.cut()
        return told

    for turn in range(stand.rounds):
        stand.say(f"connects: round {turn + 1}")
        users = [f"comer-{turn}-{number}" for number in range(clients)]
        for server in (stand.floor, naive, *stand.peers.values()):
            few = users[:NAIVE_CLIENTS] if server is naive else users
            await (await storm(server.name, server, [with_inbox(server, user, CHANNEL) for user in few])).cut()
        tokens = [whimbrel.token(user) for user in users]
        told = await again("whimbrel", [connect_frame(token, {str(CHANNEL): None}) for token in tokens])
        returning = zip(tokens, told, strict=True)
        told = await again("remembered", [connect_frame(token, positions(each)) for token, each in returning])
        await again("resumed", [connect_frame(None, positions(each), each["resume"]) for each in told])
    for load in loads.values():
        await load.stop()
    new = _row("connect with a new token", trials["whimbrel"], at_most(120))
    new.figures = {server.name: _per_connect(trials[server.name], "server") for server in stand.servers}
    return [
        new,
        _row("… again with this token and positions", trials["remembered"]),
        _row("… again with the resume grant and positions", trials["resumed"], at_most(70)),
    ]


def _per_connect(trials: list[Trial], process: str) -> Spread:
    return spread(trials, lambda trial: trial.us(process, trial.counts.opened))


def _row(name: str, trials: list[Trial], goal: Goal | None = None) -> Row:
    row = Row(name, "µs", goal, {"whimbrel": _per_connect(trials, "server")})
    row.beside = {process: _per_connect(trials, process) for process in BESIDE}
    return row
