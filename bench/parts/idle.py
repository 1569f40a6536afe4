"""Clients that are connected and silent: their memory, and what it costs to see that they are there."""

import asyncio
import math
from typing import Final

from bench.load import Load
from bench.meter import Meter, Spread, resident_bytes
from bench.program import Broken
from bench.report import Row, at_most
from bench.stand import Stand
from bench.trial import Server, with_inbox
from whimbrel.protocol.channels import Channel

CLIENTS: Final = 10_000
NAIVE_CLIENTS: Final = 2000  # enough: each costs the same
WARM: Final = 200  # clients who came and went: what is loaded once is not charged to anybody
CHANNEL: Final = Channel("orders", "bench")
PING_S: Final = 25.0  # all servers are told to ping after so much silence (Bun: 24 s)


async def measure(stand: Stand) -> list[Row]:
    """Measure memory once: what was freed and is used again would tell less in a second round."""
    clients = stand.machine.clients(CLIENTS)
    row = Row(f"idle, {clients} clients with token and 2 channels", "KiB per client", at_most(3.5))
    await stand.whimbrel.renew_edge()
    others = [await stand.fresh(name) for name in ("naive", *stand.peers)]
    for server in (*others, stand.whimbrel):
        count = NAIVE_CLIENTS if server.name == "naive" else clients
        nats_before = resident_bytes(stand.whimbrel.meter.pids["nats"])
        grown, load = await _grown(stand, server, count)
        row.figures[server.name] = Spread.of([grown / 1024 / count])
        if server is stand.whimbrel:
            nats = resident_bytes(stand.whimbrel.meter.pids["nats"]) - nats_before
            row.beside["nats, KiB per client"] = Spread.of([nats / 1024 / count])
        await load.stop()
        if server is not stand.whimbrel:
            await server.stop()
    return [row]


async def heartbeats(stand: Stand) -> list[Row]:
    """Measure all servers at once, each with its clients, for as many ping intervals as there are rounds.

    The naive server has fewer clients; its figure is scaled to as many as the others have.
    """
    clients = stand.machine.clients(CLIENTS)
    row = Row(f"heartbeats of {clients} clients each {PING_S:g} s", "% of a core", at_most(1))
    await stand.whimbrel.renew_edge()
    loads, counts = {}, {}
    for server in stand.servers:
        stand.say(f"heartbeats: {clients} clients connect to {server.name}")
        loads[server.name] = await stand.load()
        counts[server.name] = NAIVE_CLIENTS if server is stand.naive else clients
        lines = [with_inbox(server, f"idle-{number}", CHANNEL) for number in range(counts[server.name])]
        await loads[server.name].open(server.port, lines, transport=server.transport)
    await stand.floor.pings(clients / PING_S, math.ceil(PING_S * (stand.rounds + 1)))
    shares: dict[str, list[float]] = {server.name: [] for server in stand.servers}
    meters = {server.name: Meter({"server": server.meter.pids["server"]}) for server in stand.servers}
    await asyncio.sleep(PING_S)  # until who came first is pinged as often as who came last
    for number in range(stand.rounds):
        stand.say(f"heartbeats: round {number + 1}")
        before = {name: meter.read() for name, meter in meters.items()}
        await asyncio.sleep(PING_S)
        for name, meter in meters.items():
            share = meter.since(before[name])["server"] / PING_S / 1e7
            shares[name].append(share * clients / counts[name])
    for name, load in loads.items():
        if lost := (await load.publications(0, patience_s=0)).lost:
            raise Broken(f"{name}: {lost} silent clients were lost")
        await load.stop()
    row.figures = {name: Spread.of(each) for name, each in shares.items()}
    return [row]


async def _grown(stand: Stand, server: Server, count: int) -> tuple[int, Load]:
    """Return by how many bytes ``count`` clients make the server grow, and who holds them."""
    stand.say(f"idle: {count} clients connect to {server.name}")
    load = await stand.load()
    lines = [with_inbox(server, f"idle-{number}", CHANNEL) for number in range(count + WARM)]
    await load.open(server.port, lines[:WARM], transport=server.transport)
    await load.cut()
    await server.meter.settled()
    before = resident_bytes(server.meter.pids["server"])
    await load.open(server.port, lines[WARM:], transport=server.transport)
    await server.meter.settled()
    return resident_bytes(server.meter.pids["server"]) - before, load
