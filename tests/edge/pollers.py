"""Clients who poll, and what is waited for before something is published to them."""

from tests.edge.edges import Edge, eventually
from tests.edge.peers import Wire, poll
from whimbrel.protocol.channels import Channel


async def positions(wire: Wire, token: str, *channels: str) -> dict[str, object]:
    """Return where a client who asks for ``channels`` for the first time is told to go on."""
    wire.send(poll(token, dict.fromkeys(channels)))
    found: dict[str, object] = (await wire.answer()).json["channels"]
    return found


async def data(wire: Wire) -> list[object]:
    return [frame["data"] for frame in (await wire.answer()).json["frames"]]


async def waiting(edge: Edge, number: int = 1) -> None:
    await eventually(lambda: edge.pod.counters.open["poll"] == number)


async def waiting_in(edge: Edge, channel: str) -> None:
    lives = edge.pod.hub.channels
    await eventually(lambda: (live := lives.get(Channel.parse(channel))) is not None and live.waiters)
