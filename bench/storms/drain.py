"""A rolling restart: each edge is asked to end, one after the other, while publications go on."""

import asyncio
import signal
from collections.abc import Sequence
from typing import Final

from bench.storms.fleet import Fleet
from bench.storms.herd import Herd, Member, Return
from bench.storms.verdict import Verdict, at_most, none, noted
from bench.storms.witness import Witness

CHANNELS: Final = 30
PER_S: Final = 30.0
SIZE_BYTES: Final = 200
DRAIN_S: Final = 20.0
PEAK: Final = 3.0  # times the mean, in any second
SECOND: Final = 1_000_000_000


async def measure(
    fleet: Fleet, herd: Herd, *, clients: int, edges: Sequence[str] | None = None, drain_s: float = DRAIN_S
) -> list[Verdict]:
    """Restart ``edges``, all where none are named, under ``clients`` clients; ``drain_s`` is the edges' setting."""
    channels = fleet.channels(CHANNELS)
    members = [Member(0, 0, str(channels[at % CHANNELS]), fleet.token(f"traveller-{at}")) for at in range(clients)]
    first = (edges or fleet.names)[0]
    async with fleet.balancing(herd), Witness(fleet, first, channels[0]) as witness:
        await herd.gather(members)
        await fleet.publish_sized(PER_S, 3, channels, SIZE_BYTES)
        await herd.applied(0, 3, patience_s=60)
        await herd.reset()
        before = await _asked(fleet)
        stop = asyncio.Event()
        publishing = asyncio.create_task(_publish_until(stop, fleet, channels))
        exits: list[float] = []
        moves: list[list[Return]] = []
        every: list[Return] = []
        for name in edges or fleet.names:
            pid = fleet.signal(name, signal.SIGTERM)
            exits.append(await fleet.ended(pid, patience_s=drain_s + 10))
            await fleet.ready_again(name, pid)
            await herd.opened(0, clients, patience_s=30)
            before_it, every = len(every), await herd.returns()
            moves.append(every[before_it:])
        stop.set()
        published = 3 + await publishing
        tally = await herd.applied(0, published, patience_s=60)
        seen = await witness.applied(published, patience_s=60)
        after = await _asked(fleet)
    away = [each.away_ns / 1e6 for each in every if each.away_ns]
    return [
        noted(
            "clients, publications, deliveries", f"{clients:,}, {CHANNELS * published:,}, {tally.counts.publications:,}"
        ),
        none("lost, repeated, reloaded", tally.faults),
        seen,
        noted("duplicates dropped by position while two connections overlapped", f"{tally.dropped:,}"),
        at_most("gaps that made a client connect anew", tally.gaps, 0),
        at_most("an edge was gone after", max(exits), drain_s, "s", digits=1),
        noted("connections moved before the old one closed", f"{tally.moves:,} of {len(every):,}"),
        noted("… of those without a connection in between, the longest", f"{max(away, default=0):,.0f} ms"),
        at_most("most connects within a second, × the mean", max(map(peak, moves)), PEAK, digits=2),
        at_most("tokens that auth was asked about", after[0] - before[0], 0),
        at_most("users that the router was asked about", after[1] - before[1], 0),
        noted(
            "publication to client, p50 / p99",
            f"{tally.counts.p50_us / 1000:.1f} / {tally.counts.p99_us / 1000:.0f} ms",
        ),
    ]


async def _publish_until(stop: asyncio.Event, fleet: Fleet, channels: Sequence[object]) -> int:
    published = 0
    while not stop.is_set():
        await fleet.publish_sized(PER_S, 1, channels, SIZE_BYTES)  # type: ignore[arg-type]
        published += 1
    return published


async def _asked(fleet: Fleet) -> tuple[int, int]:
    """Return how many tokens auth, and how many users the router was asked about so far."""
    auth, router = await fleet.metrics("auth"), await fleet.metrics("router")
    tokens = sum(number for sample, number in auth.items() if sample.startswith("whimbrel_auth_verdicts_total"))
    return tokens, router["whimbrel_router_resolved_total"]


def peak(moves: Sequence[Return]) -> float:
    """Return the most connects within any second, as a multiple of the mean while they went on."""
    times = sorted(each.at_ns for each in moves)
    if len(times) < 2:
        return 0.0
    most = begin = 0
    for end, at in enumerate(times):
        while at - times[begin] > SECOND:
            begin += 1
        most = max(most, end - begin + 1)
    return most / (len(times) / max(1.0, (times[-1] - times[0]) / SECOND))
