"""Long-polling: each publication answers every client's request, and every client asks again."""

from typing import Final

from bench.load import Load
from bench.parts.fanout import p99_ms, per_delivery
from bench.peers.nchan import Nchan
from bench.report import Row, at_most
from bench.stand import Stand
from bench.trial import Trial, tried
from whimbrel.protocol.channels import Channel

CLIENTS: Final = 1000
RATE: Final = 10.0  # publications per second
NAIVE_RATE: Final = 2.0  # it cannot keep up with more
SECONDS: Final = 2.0
CHANNEL: Final = Channel("orders", "bench")


async def measure(stand: Stand) -> list[Row]:
    """Measure request and answer together."""
    whimbrel, clients = stand.whimbrel, stand.machine.clients(CLIENTS)
    await whimbrel.renew_edge()
    lines = [f'{whimbrel.token(f"poller-{number}")}\t{{"{CHANNEL}":null}}' for number in range(clients)]
    servers = [server for server in stand.servers if server.name not in ("socketio", "bun")]  # Bun has no long-poll
    loads: dict[str, Load] = {}
    for server in servers:
        stand.say(f"polling: {clients} clients poll {server.name}")
        loads[server.name] = load = await stand.load()
        if isinstance(server, Nchan):
            await load.open(server.port, [server.poll(CHANNEL)], count=clients, transport="nchan-poll")
        else:
            await load.open(server.port, lines, transport="poll")
    trials: dict[str, list[Trial]] = {server.name: [] for server in servers}
    for turn in range(stand.rounds):
        stand.say(f"polling: round {turn + 1}")
        for server in servers:
            rate = NAIVE_RATE if server is stand.naive else RATE
            count = max(1, int(rate * SECONDS))
            work = (server.keep if isinstance(server, Nchan) else server.publish)(rate, count, [CHANNEL], series=0)
            trial = await tried(server, loads[server.name], work, publications=count * clients)
            trials[server.name].append(trial)
    for load in loads.values():
        await load.stop()
    cost = Row(f"long-poll, {clients} clients, {RATE:g} publications/s", "µs per delivery", at_most(18))
    late = Row("… event to client, p99", "ms", at_most(30))
    for name, each in trials.items():
        cost.figures[name], late.figures[name] = per_delivery(each), p99_ms(each)
    return [cost, late]
