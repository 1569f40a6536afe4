"""Delivery to streams of events, beside WebSockets of the same edge and the kernel's floor."""

from typing import Final

from bench.load import Load, Transport
from bench.parts.fanout import p50_ms, p99_ms, per_delivery
from bench.report import Row
from bench.stand import Stand
from bench.trial import Trial, tried
from whimbrel.protocol.channels import Channel

CLIENTS: Final = 5000
RATE: Final = 10.0  # publications per second
SECONDS: Final = 2.0
CARRIERS: Final[tuple[Transport, ...]] = ("ws", "sse")  # each has a channel of its own


async def measure(stand: Stand) -> list[Row]:
    """Measure a broadcast over each, one after the other."""
    whimbrel, clients = stand.whimbrel, stand.machine.clients(2 * CLIENTS) // 2
    await whimbrel.renew_edge()
    loads: dict[str, Load] = {}
    channels = {carrier: Channel("orders", f"over-{carrier}") for carrier in CARRIERS}
    for carrier in CARRIERS:
        stand.say(f"streams: {clients} clients connect by {carrier}")
        loads[carrier] = load = await stand.load()
        lines = [whimbrel.line(f"{carrier}-{number}", [channels[carrier]]) for number in range(clients)]
        await load.open(whimbrel.port, lines, transport=carrier)
    loads["floor"] = await stand.load()
    await loads["floor"].open(stand.floor.port, [whimbrel.line("floor", list(channels.values()))], count=clients)
    count = max(1, int(RATE * SECONDS))
    trials: dict[str, list[Trial]] = {name: [] for name in loads}
    for turn in range(stand.rounds):
        stand.say(f"streams: round {turn + 1}")
        sending = stand.floor.broadcast(RATE, count)
        trials["floor"].append(await tried(stand.floor, loads["floor"], sending, publications=count * clients))
        for series, carrier in enumerate(CARRIERS):
            sending = whimbrel.publish(RATE, count, [channels[carrier]], series=series)
            trials[carrier].append(await tried(whimbrel, loads[carrier], sending, publications=count * clients))
    for load in loads.values():
        await load.stop()
    cost = Row(f"broadcast to {clients} streams of events at {RATE:g}/s", "µs per delivery")
    middle, late = Row("… event to client, p50", "ms"), Row("… event to client, p99", "ms")
    for row, figure in ((cost, per_delivery), (middle, p50_ms), (late, p99_ms)):
        row.figures = {"floor": figure(trials["floor"]), "whimbrel": figure(trials["sse"])}
        row.beside["over WebSockets"] = figure(trials["ws"])
    return [cost, middle, late]
