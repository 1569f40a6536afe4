"""Long-polling: each publication answers every client's request, and every client asks again."""

from typing import Final

from bench.report import Row
from bench.stand import Stand
from bench.trial import Target, Trial, spread, tried
from whimbrel.protocol.channels import Channel

CLIENTS: Final = 1000
RATE: Final = 10.0  # publications per second
NAIVE_RATE: Final = 2.0  # it cannot keep up with more
SECONDS: Final = 2
CHANNEL: Final = Channel("orders", "bench")


async def measure(stand: Stand) -> list[Row]:
    """Measure request and answer together."""
    whimbrel, clients = stand.whimbrel, stand.machine.clients(CLIENTS)
    await whimbrel.renew_edge()
    lines = [f'{whimbrel.token(f"poller-{number}")}\t{{"{CHANNEL}":null}}' for number in range(clients)]
    loads = {}
    for target in (stand.floor, stand.naive, whimbrel):
        stand.say(f"polling: {clients} clients poll {target.name}")
        loads[target.name] = await stand.load()
        await loads[target.name].open(target.port, lines, transport="poll")
    trials: dict[str, list[Trial]] = {}

    async def send(target: Target, rate: float) -> None:
        if target is whimbrel:
            await whimbrel.publish(rate, int(rate * SECONDS), [CHANNEL], series=0)
        elif target is stand.naive:
            await stand.naive.broadcast(rate, int(rate * SECONDS))
        else:
            await stand.floor.broadcast(rate, int(rate * SECONDS))

    for turn in range(stand.rounds):
        stand.say(f"polling: round {turn + 1}")
        for target, rate in ((stand.floor, RATE), (stand.naive, NAIVE_RATE), (whimbrel, RATE)):
            number = int(rate * SECONDS) * clients
            trial = await tried(target, loads[target.name], send(target, rate), publications=number)
            trials.setdefault(target.name, []).append(trial)
    for load in loads.values():
        await load.stop()
    cost = Row(f"long-poll, {clients} clients, {RATE:g} publications/s", "µs per delivery", "≤ 18")
    late = Row("… event to client, p99", "ms", "< 30")
    for name, each in trials.items():
        cost.figures[name] = spread(each, lambda trial: trial.us("server", trial.counts.publications))
        late.figures[name] = spread(each, lambda trial: trial.counts.p99_us / 1000)
    return [cost, late]
