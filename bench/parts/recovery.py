"""Clients who were cut off come back and want what they missed, each publication once."""

from typing import Final

from bench.load import Load
from bench.report import Row
from bench.stand import Stand
from bench.trial import Target, Trial, connect_frame, positions, spread, tried
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.limits import RING_PUBLICATIONS

CLIENTS: Final = 500
MISSED: Final = 100
MISSED_STREAM: Final = RING_PUBLICATIONS + 22  # more than the edge keeps in memory: the stream must be read
PUBLISHED_PER_S: Final = 2000.0
CHANNEL: Final = Channel("orders", "away")


async def measure(stand: Stand) -> list[Row]:
    """Measure the whole return: connect by resume grant and what was missed."""
    whimbrel, clients = stand.whimbrel, stand.machine.clients(CLIENTS)
    await whimbrel.renew_edge()
    loads = {target.name: await stand.load() for target in (stand.floor, stand.naive, whimbrel)}
    tokens = [whimbrel.token(f"returner-{number}") for number in range(clients)]
    lines = [connect_frame(token, {str(CHANNEL): None}) for token in tokens]
    trials: dict[str, list[Trial]] = {}
    for turn in range(stand.rounds):
        stand.say(f"recovery: round {turn + 1}")
        for target in (stand.floor, stand.naive):
            await target.missed(MISSED)
            trials.setdefault(target.name, []).append(await _returned(target, loads[target.name], lines, MISSED))
            await target.missed(0)
        for kind, missed in (("ring", MISSED), ("stream", MISSED_STREAM)):
            load = loads["whimbrel"]
            await load.open(whimbrel.port, lines)
            back = [connect_frame(None, positions(each), each["resume"]) for each in await load.greetings()]
            await load.cut()
            await whimbrel.publish(PUBLISHED_PER_S, missed, [CHANNEL], series=2)
            trials.setdefault(kind, []).append(await _returned(whimbrel, load, back, missed))
    for load in loads.values():
        await load.stop()
    return [
        _cost(f"{clients} return, {MISSED} missed each, from memory", "ring", trials),
        _time(trials),
        _cost(f"… {MISSED_STREAM} missed each, from the stream", "stream", trials),
    ]


async def _returned(target: Target, load: Load, lines: list[str], missed: int) -> Trial:
    trial = await tried(target, load, load.open(target.port, lines), publications=missed * len(lines))
    await load.cut()
    return trial


def _cost(name: str, kind: str, trials: dict[str, list[Trial]]) -> Row:
    row = Row(name, "µs per publication", "≤ 1.8" if kind == "ring" else "")
    columns = {"whimbrel": kind} | ({"floor": "floor", "naive": "naive"} if kind == "ring" else {})
    for column, of in columns.items():
        row.figures[column] = spread(trials[of], lambda trial: trial.us("server", trial.counts.publications))
    row.beside["nats"] = spread(trials[kind], lambda trial: trial.us("nats", trial.counts.publications))
    return row


def _time(trials: dict[str, list[Trial]]) -> Row:
    row = Row("… until the last has all", "s", "≤ 0.1")
    for column, of in {"floor": "floor", "naive": "naive", "whimbrel": "ring"}.items():
        row.figures[column] = spread(trials[of], lambda trial: trial.seconds)
    return row
