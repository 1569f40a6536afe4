"""Readers that read nothing, among healthy ones."""

import asyncio
import re
from asyncio.subprocess import PIPE
from typing import Final

from bench.meter import resident_bytes
from bench.program import Broken
from bench.storms.fleet import Fleet
from bench.storms.herd import STUCK, Herd, Member, Tally
from bench.storms.verdict import Verdict, at_most, none, noted
from whimbrel.edge.settings import Settings

HEALTHY, LATE = 0, STUCK
PUBLICATIONS: Final = 200
SIZE_BYTES: Final = 2048
PER_S: Final = 10.0
GROWTH: Final = 1.5  # of the healthy readers' p99
LOOK_S: Final = 0.5
STUCK_S: Final = float(Settings.model_fields["stuck_s"].default)
CLOSES: Final = 'whimbrel_edge_closes_total{code="slow_consumer"}'
SEGMENT_BYTES: Final = 64 * 1024  # by which the kernel goes over a send buffer
LOADED_BYTES: Final = 24 * 1024 * 1024  # what 200 publications in rings, logs and the heap cost beside any reader
OUTBOX_BYTES: Final = 64 * 1024  # the least; with the default of the setting 200 publications fit


async def kernel_bytes(port: int) -> int:
    """Return the memory in which the kernel holds what the sockets of a listening port have to send (ss, iproute2)."""
    try:
        program = await asyncio.create_subprocess_exec("ss", "-tmnH", "sport", f"= :{port}", stdout=PIPE)
    except FileNotFoundError:
        raise Broken("the memory of sockets is read by `ss`: install iproute2") from None
    told, _ = await program.communicate()
    return sum(int(each) for each in re.findall(rb"\bskmem:\(.*?,w(\d+)", told))


class Watch:
    """The most memory that was seen while it ran."""

    def __init__(self, pid: int, port: int) -> None:
        self._pid = pid
        self._port = port
        self.process = self.kernel = 0
        self._before = resident_bytes(pid)

    async def run(self) -> None:
        """Look on until cancelled."""
        while True:
            self.process = max(self.process, resident_bytes(self._pid) - self._before)
            self.kernel = max(self.kernel, await kernel_bytes(self._port))
            await asyncio.sleep(LOOK_S)


async def measure(
    fleet: Fleet,
    herd: Herd,
    *,
    healthy: int,
    stuck: int,
    publications: int = PUBLICATIONS,
    per_s: float = PER_S,
    stuck_s: float = STUCK_S,
) -> list[Verdict]:
    """Have ``stuck`` of the readers sleep while ``publications`` go on, wake them in time, and let them sleep longer
    than ``stuck_s``, which is the edge's setting.
    """
    [channel] = fleet.channels(1)
    port = fleet.port_of("edge")
    clients = [Member(HEALTHY if at < healthy else LATE, port, str(channel), "") for at in range(healthy + stuck)]
    published = 0

    async def publish(count: int) -> Tally:
        nonlocal published
        await herd.reset()
        await fleet.publish_sized(per_s, count, [channel], SIZE_BYTES)
        published += count
        return await herd.applied(HEALTHY, published, patience_s=60)

    async with fleet.balancing(herd):
        await herd.gather([each._replace(token=fleet.token(f"reader-{at}")) for at, each in enumerate(clients)])
        await publish(publications // 2)
        quiet = await publish(publications)
        await herd.applied(LATE, published, patience_s=60)
        before = await fleet.metrics("edge")
        watch = Watch(fleet.pid_of("edge"), port)
        watching = asyncio.create_task(watch.run())
        await herd.stuck(LATE)
        beside = await publish(publications)
        slept = await fleet.metrics("edge") - before
        await herd.wake(LATE)
        woken = await herd.applied(LATE, published, patience_s=60)
        watching.cancel()
        in_time = await fleet.metrics("edge") - before
        after = await publish(publications)

        await herd.stuck(LATE)
        bystanders = await publish(publications)
        closed = before
        for _ in range(int(stuck_s) + 15):
            closed = await fleet.metrics("edge") - before
            if closed[CLOSES] >= stuck:
                break
            await asyncio.sleep(1)
        await herd.wake(LATE)
        again = await herd.applied(LATE, published, patience_s=60)
    bound, rounds = memory_bound(stuck), (quiet, beside, after)
    calm_us = (quiet.counts.p99_us + after.counts.p99_us) / 2
    return [
        noted("readers, of them stuck", f"{healthy + stuck:,}, {stuck:,}"),
        noted("taken off live delivery", f"{slept['whimbrel_edge_fell_behind_total']:,}"),
        at_most("memory of the process, grown by", watch.process / 2**20, bound.process / 2**20, "MiB"),
        at_most("memory of the kernel's sockets, grown by", watch.kernel / 2**20, bound.kernel / 2**20, "MiB"),
        at_most(
            "p99 of the healthy, × that without stuck readers",
            beside.counts.p99_us / calm_us,
            GROWTH,
            digits=2,
        ),
        noted("… ms: before, beside them, after", ", ".join(f"{each.counts.p99_us / 1000:.0f}" for each in rounds)),
        none("healthy readers: lost, repeated, reloaded, connections lost", _faults(beside) or _faults(bystanders)),
        none("woken in time: lost, repeated, reloaded, connections lost", _faults(woken)),
        noted("closed as slow consumers by then", f"{in_time[CLOSES]:,}"),
        at_most("woken too late, not closed with 4002", stuck - closed[CLOSES], 0),
        none("… and come back: lost, repeated, reloaded", again.faults),
    ]


class Bound:
    """What stuck readers may cost, from the settings."""

    def __init__(self, process: int, kernel: int) -> None:
        self.process = process
        self.kernel = kernel


def memory_bound(stuck: int) -> Bound:
    """Return the bound of docs/explanation/storms.md."""
    send_buffer = Settings.model_fields["send_buffer_bytes"].default
    return Bound(LOADED_BYTES + stuck * OUTBOX_BYTES * 5 // 4, stuck * (2 * send_buffer + SEGMENT_BYTES))


def _faults(tally: Tally) -> str:
    lost = f"{tally.counts.lost} connections ({tally.counts.trouble[:100]})" if tally.counts.lost else ""
    return ", ".join(each for each in (tally.faults, lost) if each)
