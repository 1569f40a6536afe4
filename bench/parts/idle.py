"""Memory of clients that are connected and silent."""

from typing import Final

from bench.meter import Spread, resident_bytes
from bench.report import Row
from bench.stand import Stand
from bench.trial import connect_frame

CLIENTS: Final = 10_000
NAIVE_CLIENTS: Final = 2000  # enough: each costs the same
WARM: Final = 200  # clients who came and went: what is loaded once is not charged to anybody
CHANNEL: Final = "orders:bench"


async def measure(stand: Stand) -> list[Row]:
    """Measure once: memory that was freed and used again would tell less in a second round."""
    clients = stand.machine.clients(CLIENTS)
    row = Row(f"idle, {clients} clients with token and 2 channels", "KiB per client", "≤ 3.5")
    await stand.whimbrel.renew_edge()
    naive = await stand.fresh_naive()
    for target, count in ((naive, NAIVE_CLIENTS), (stand.whimbrel, clients)):
        stand.say(f"idle: {count} clients connect to {target.name}")
        load = await stand.load()
        lines = [
            connect_frame(stand.whimbrel.token(f"idle-{number}"), {CHANNEL: None}) for number in range(count + WARM)
        ]
        await load.open(target.port, lines[:WARM])
        await load.cut()
        await target.meter.settled()
        before = resident_bytes(target.meter.pids["server"])
        nats_before = resident_bytes(stand.whimbrel.meter.pids["nats"])
        await load.open(target.port, lines[WARM:])
        await target.meter.settled()
        row.figures[target.name] = _each(resident_bytes(target.meter.pids["server"]) - before, count)
        if target is stand.whimbrel:
            grown = resident_bytes(stand.whimbrel.meter.pids["nats"]) - nats_before
            row.beside["nats, KiB per client"] = _each(grown, count)
        await load.stop()
    return [row]


def _each(grown: int, clients: int) -> Spread:
    return Spread.of([grown / 1024 / clients])
