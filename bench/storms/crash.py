"""An edge is killed: everybody comes back at once."""

import asyncio
import signal
from typing import Final

from bench.storms.drain import CHANNELS, SIZE_BYTES
from bench.storms.fleet import Fleet
from bench.storms.herd import Herd, Member
from bench.storms.verdict import Verdict, at_most, none, noted
from bench.storms.witness import Witness

PER_S: Final = 60.0
ROUNDS: Final = 20  # publications of each channel before the kill, and as many after it: 10 s each
BACK_S: Final = 30.0
GROWTH: Final = 2.0  # of the others' p99
RECOVERED: Final = 'whimbrel_edge_recoveries_total{source="%s",outcome="recovered"}'


async def measure(fleet: Fleet, herd: Herd, others: Herd, *, clients: int, rounds: int = ROUNDS) -> list[Verdict]:
    """Kill the edge that holds ``clients``; the others hold half as many each, in a process of their own: what it costs
    a client to come back is no latency of theirs. Each channel has ``rounds`` publications before, and as many while
    they come back.
    """
    channels = fleet.channels(CHANNELS)
    victim, *rest = fleet.names
    ports = [fleet.port_of(name) for name in rest] * (clients // 2)
    async with fleet.balancing(herd, others), Witness(fleet, victim, channels[0]) as witness:
        await herd.gather(
            [
                Member(0, fleet.port_of(victim), str(channels[at % CHANNELS]), fleet.token(f"victim-{at}"))
                for at in range(clients)
            ]
        )
        await others.gather(
            [
                Member(0, port, str(channels[at // len(rest) % CHANNELS]), fleet.token(f"other-{at}"))
                for at, port in enumerate(ports)
            ]
        )
        await fleet.publish_sized(PER_S, rounds, channels, SIZE_BYTES)
        await others.applied(0, rounds, patience_s=60)
        await herd.applied(0, rounds, patience_s=60)
        await others.reset()
        await fleet.publish_sized(PER_S, rounds, channels, SIZE_BYTES)
        quiet = await others.applied(0, 2 * rounds, patience_s=60)
        await herd.applied(0, 2 * rounds, patience_s=60)
        await herd.reset()
        await others.reset()
        before = await fleet.metrics(*rest)
        publishing = asyncio.create_task(fleet.publish_sized(PER_S, rounds, channels, SIZE_BYTES))
        await asyncio.sleep(0.5)
        pid = fleet.signal(victim, signal.SIGKILL)
        await asyncio.sleep(0.1)
        await herd.opened(0, clients, patience_s=60)
        away = max(each.away_ns for each in await herd.returns()) / 1e9
        await publishing
        beside = await others.applied(0, 3 * rounds, patience_s=60)
        back = await herd.applied(0, 3 * rounds, patience_s=60)
        await fleet.ready_again(victim, pid)
        seen = await witness.applied(3 * rounds, patience_s=60)
        found = await fleet.metrics(*rest, victim) - before
    ring, stream = (found[RECOVERED % source] for source in ("ring", "stream"))
    return [
        noted("clients of the killed edge, of the others", f"{clients:,}, {len(ports):,}"),
        at_most("all back and recovered after", away, BACK_S, "s", digits=1),
        none("lost, repeated, reloaded", back.faults or beside.faults),
        seen,
        at_most("connections of the others lost", beside.counts.lost, 0),
        at_most("p99 of the others, × that before", beside.counts.p99_us / quiet.counts.p99_us, GROWTH, digits=2),
        noted("… ms", f"{beside.counts.p99_us / 1000:.0f} ({quiet.counts.p99_us / 1000:.0f})"),
        noted("connects by resume grant", f"{found['whimbrel_edge_resumed_total']:,}"),
        noted("turned away for a moment (503)", f"{back.turned_away:,}"),
        noted("channels recovered from the ring, from the stream", f"{ring:,}, {stream:,}"),
        at_most("… no channel is read twice by an edge", stream, CHANNELS * len(fleet.names)),
    ]
