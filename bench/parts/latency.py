"""The whole path: from a domain team's event, by EVENTS, notifier, history and edge, to the frame at the client."""

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.installation import Installation
from bench.meter import Spread
from bench.report import Goal, Row, at_most
from bench.sentinel import Lateness, Sentinel
from bench.stand import Stand
from bench.trial import Trial, connect_frame, spread, tried
from whimbrel.protocol.channels import Channel

CLIENTS: Final = 500
RATE: Final = 1000.0  # events per second
SLOWER: Final = (100.0, 200.0, 500.0)  # of which a disk that must sync each may take what it does not of RATE
SECONDS: Final = 4
PROBES: Final = 300
BESIDE: Final = ("notifier", "nats", "publisher", "load")
PEERS: Final = ("nats-2", "nats-3")  # the other servers of a cluster


async def measure(stand: Stand) -> list[Row]:
    """Measure from when an event was to be published: a sender that lags counts as delay."""
    return await _measure(stand, stand.whimbrel, "", at_most(2.5), at_most(10))


async def durable(stand: Stand) -> list[Row]:
    """Measure the same where NATS acknowledges nothing that is not on the disk, as in production; and how long one
    stream takes for as much.
    """
    with tempfile.TemporaryDirectory(prefix="whimbrel-bench-") as folder:
        whimbrel = await Installation.start(Path(folder), WHIMBREL_NATS_SYNC="always")
        try:
            synced_ms = _synced_ms(Path(folder) / "probe")
            rows = await _measure(stand, whimbrel, ", fsync always", at_most(8), at_most(40))
            rows[0].beside["fsync of 400 bytes on this disk, ms"] = synced_ms  # each event takes two, one by one
            await _bare(whimbrel, rows[0], RATE)
            for rate in SLOWER:
                slower = await _measure(stand, whimbrel, ", fsync always", at_most(8), at_most(40), rate=rate)
                await _bare(whimbrel, slower[0], rate)
                rows += slower[:2]
        finally:
            await whimbrel.stop()
    return rows


async def replicated(stand: Stand) -> list[Row]:
    """Measure the same with three servers, each with a copy of every stream; with and without fsync."""
    rows: list[Row] = []
    for sync, how in (("2m0s", ", three servers"), ("always", ", three servers, fsync always")):
        with tempfile.TemporaryDirectory(prefix="whimbrel-bench-") as folder:
            whimbrel = await Installation.start(Path(folder), "--nats-servers", "3", WHIMBREL_NATS_SYNC=sync)
            try:
                found = await _measure(stand, whimbrel, how, None, None, rate=SLOWER[1], peers=PEERS)
                await _bare(whimbrel, found[0], SLOWER[1])
            finally:
                await whimbrel.stop()
        rows += found
    return rows


async def _bare(whimbrel: Installation, row: Row, rate: float) -> None:
    """Put beside ``row`` how long one stream takes to acknowledge what is published to it at ``rate``, p50 and p99."""
    took = sorted(await whimbrel.acknowledged_ms(rate, int(rate * SECONDS)))
    row.beside["bare publish to one stream, p50, ms"] = Spread.of([took[len(took) // 2]])
    row.beside["… p99, ms"] = Spread.of([took[len(took) * 99 // 100]])


def _synced_ms(path: Path) -> Spread:
    """Return how long the disk takes for what NATS does for each message: the median and the mean."""
    took = []
    with path.open("wb", buffering=0) as file:
        for _ in range(PROBES):
            file.write(bytes(400))
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return Spread.of([statistics.median(took), statistics.fmean(took)])


async def _measure(
    stand: Stand,
    whimbrel: Installation,
    how: str,
    middle_goal: Goal | None,
    late_goal: Goal | None,
    *,
    rate: float = RATE,
    peers: Sequence[str] = (),
) -> list[Row]:
    clients = stand.machine.clients(CLIENTS)
    await whimbrel.renew_edge()
    channels = [Channel("orders", f"latency-{number}") for number in range(clients)]
    load = await stand.load()
    stand.say(f"latency{how}: {clients} clients connect")
    await load.open(
        whimbrel.port,
        [connect_frame(whimbrel.token(f"watcher-{channel.name}"), {str(channel): None}) for channel in channels],
    )
    count = int(rate * SECONDS)
    trials, idle = list[Trial](), list[Lateness]()
    sentinel = await Sentinel.start()
    try:
        for turn in range(stand.rounds):
            stand.say(f"latency{how} at {rate:g}/s: round {turn + 1}")
            events = whimbrel.events(rate, count, channels, series=0)
            await sentinel.reset()
            trials.append(await tried(whimbrel, load, events, publications=count))
            idle.append(await sentinel.lateness())
    finally:
        await sentinel.stop()
    await load.stop()
    middle = Row(f"event to client at {rate:g} events/s{how}, p50", "ms", middle_goal)
    late = Row("… p99", "ms", late_goal)
    middle.figures["whimbrel"] = spread(trials, lambda trial: trial.counts.p50_us / 1000)
    late.figures["whimbrel"] = spread(trials, lambda trial: trial.counts.p99_us / 1000)
    late.beside["an idle process wakes late by, p99"] = Spread.of([each.p99_us / 1000 for each in idle])
    late.beside["… longest"] = Spread.of([each.longest_us / 1000 for each in idle])
    cost = Row("… CPU time of the edge", "µs per event")
    cost.figures["whimbrel"] = spread(trials, lambda trial: trial.us("server", count))
    for process in (*BESIDE, *peers):
        cost.beside[process] = spread(trials, lambda trial, of=process: trial.us(of, count))  # type: ignore[misc]
    return [middle, late, cost]
