"""Clients who were cut off come back and want what they missed, each publication once."""

import json
from typing import Final

from bench.baseline import Baseline
from bench.load import Load
from bench.meter import Spread
from bench.peers.nchan import Nchan
from bench.peers.script import Script
from bench.report import Row, at_most
from bench.stand import Stand
from bench.trial import Server, Trial, connect_frame, positions, spread, tried
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.limits import RING_PUBLICATIONS

CLIENTS: Final = 500
MISSED: Final = 100
MISSED_STREAM: Final = RING_PUBLICATIONS + 22  # more than the edge keeps in memory: the stream must be read
PUBLISHED_PER_S: Final = 2000.0
CHANNEL: Final = Channel("orders", "away")


async def measure(stand: Stand) -> list[Row]:
    """Measure the whole return: connect (Whimbrel: by resume grant) and what was missed."""
    await stand.whimbrel.renew_edge()
    users = [f"returner-{number}" for number in range(stand.machine.clients(CLIENTS))]
    servers = [server for server in stand.servers if server.name not in ("bun", "socketio")]  # Bun keeps nothing
    if "socketio" in stand.peers:
        servers.append(await stand.fresh("socketio", "recovery"))
    loads = {server.name: await stand.load() for server in servers}
    trials: dict[str, list[Trial]] = {}
    for turn in range(stand.rounds):
        stand.say(f"recovery: round {turn + 1}")
        for server in servers:
            for missed in (MISSED, MISSED_STREAM) if server is stand.whimbrel else (MISSED,):
                load = loads[server.name]
                lines = await _missed(server, load, users, missed)
                coming = load.open(server.port, lines, transport=server.transport)
                kind = "stream" if missed == MISSED_STREAM else server.name
                trials.setdefault(kind, []).append(await tried(server, load, coming, publications=missed * len(users)))
                await load.cut()
    for load in loads.values():
        await load.stop()
    stream = trials.pop("stream")
    memory = Row(f"{len(users)} return, {MISSED} missed each, from memory", "µs per publication", at_most(1.8))
    last = Row("… until the last has all", "s", at_most(0.1))
    history = Row(f"… {MISSED_STREAM} missed each, from the stream", "µs per publication")
    memory.figures = {name: _per_publication(each) for name, each in trials.items()}
    memory.beside["nats"] = _per_publication(trials["whimbrel"], "nats")
    last.figures = {name: spread(each, lambda trial: trial.seconds) for name, each in trials.items()}
    history.figures["whimbrel"] = _per_publication(stream)
    history.beside["nats"] = _per_publication(stream, "nats")
    return [memory, last, history]


async def _missed(server: Server, load: Load, users: list[str], missed: int) -> list[str]:
    """Have the users miss publications, and return what each says when it comes back."""
    lines = [server.line(user, [CHANNEL]) for user in users]
    if isinstance(server, Baseline):
        await server.missed(missed)
        return lines
    if isinstance(server, Nchan):
        await server.keep(PUBLISHED_PER_S, missed, [CHANNEL], series=2)
        return [server.kept(CHANNEL)] * len(users)
    await load.open(server.port, lines, transport=server.transport)
    offset = ""
    if isinstance(server, Script):
        await server.publish(PUBLISHED_PER_S, 1, [CHANNEL], series=2)
        await load.publications(len(users), patience_s=10)
        offset = await server.latest()
    told = await load.greetings()
    await load.cut()
    await server.publish(PUBLISHED_PER_S, missed, [CHANNEL], series=2)
    if isinstance(server, Script):
        return [json.dumps({"pid": each["pid"], "offset": offset}) for each in told]
    return [connect_frame(None, positions(each), each["resume"]) for each in told]


def _per_publication(trials: list[Trial], process: str = "server") -> Spread:
    return spread(trials, lambda trial: trial.us(process, trial.counts.publications))
