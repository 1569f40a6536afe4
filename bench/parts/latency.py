"""The whole path: from a domain team's event, by EVENTS, notifier, history and edge, to the frame at the client."""

from typing import Final

from bench.report import Row, at_most
from bench.stand import Stand
from bench.trial import Trial, connect_frame, spread, tried
from whimbrel.protocol.channels import Channel

CLIENTS: Final = 500
RATE: Final = 1000.0  # events per second
SECONDS: Final = 4
BESIDE: Final = ("notifier", "nats", "publisher", "load")


async def measure(stand: Stand) -> list[Row]:
    """Measure from when an event was to be published: a sender that lags counts as delay."""
    whimbrel, clients = stand.whimbrel, stand.machine.clients(CLIENTS)
    await whimbrel.renew_edge()
    channels = [Channel("orders", f"latency-{number}") for number in range(clients)]
    load = await stand.load()
    stand.say(f"latency: {clients} clients connect")
    await load.open(
        whimbrel.port,
        [connect_frame(whimbrel.token(f"watcher-{channel.name}"), {str(channel): None}) for channel in channels],
    )
    count = int(RATE * SECONDS)
    trials: list[Trial] = []
    for turn in range(stand.rounds):
        stand.say(f"latency: round {turn + 1}")
        events = whimbrel.events(RATE, count, channels, series=0)
        trials.append(await tried(whimbrel, load, events, publications=count))
    await load.stop()
    middle = Row(f"event to client at {RATE:g} events/s, p50", "ms", at_most(2.5))
    late = Row("… p99", "ms", at_most(10))
    middle.figures["whimbrel"] = spread(trials, lambda trial: trial.counts.p50_us / 1000)
    late.figures["whimbrel"] = spread(trials, lambda trial: trial.counts.p99_us / 1000)
    cost = Row("… CPU time of the edge", "µs per event")
    cost.figures["whimbrel"] = spread(trials, lambda trial: trial.us("server", count))
    for process in BESIDE:
        cost.beside[process] = spread(trials, lambda trial, of=process: trial.us(of, count))  # type: ignore[misc]
    return [middle, late, cost]
