"""A whole edge inside the test's own loop, on a real bus: everything but the process."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.edge.neighbours import Neighbours
from tests.edge.peers import Answer, Peer, Stream, Wire
from tests.support.services import running
from whimbrel.edge import app
from whimbrel.edge.settings import Settings
from whimbrel.edge.shell.connection import Connection
from whimbrel.edge.shell.pod import Pod
from whimbrel.protocol.channels import Channel
from whimbrel.runtime.service import Service

HOSPITABLE = {  # storms and strain are what some tests are about; a busy machine is no strain of the pod's
    "connects_per_s": 10_000,
    "brownout_lag_s": 60,
}


async def eventually(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until ``condition`` holds; a test that waits longer has failed."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.002)  # between two looks


class Edge:
    """One running edge, and what the test may look into."""

    def __init__(self, service: Service, pod: Pod, neighbours: Neighbours) -> None:
        self.service = service
        self.pod = pod
        self.neighbours = neighbours
        port = service.detail()["port"]
        assert isinstance(port, int)
        self.port = port
        self.tls: ssl.SSLContext | None = None  # of its clients, where it speaks TLS
        self._wires: list[Wire] = []

    async def wire(self, **more: Any) -> Wire:
        wire = await Wire.open(self.port, tls=self.tls, **more)
        self._wires.append(wire)
        return wire

    async def socket(self, **more: Any) -> Peer:
        """Return a WebSocket on which nobody has said anything."""
        peer = await Peer.open(self.port, tls=self.tls, **more)
        self._wires.append(peer.wire)
        return peer

    async def session(
        self, user: str, *channels: str, token: str | None = None, receive_buffer: int | None = None
    ) -> Peer:
        """Return a connected WebSocket of ``user`` that is subscribed to ``channels``."""
        peer = await self.socket(receive_buffer=receive_buffer)
        connected = await peer.ask(
            "connect", token=token or self.neighbours.token(user), channels=dict.fromkeys(channels)
        )
        assert connected["type"] == "connected", connected
        return peer

    async def stream(self, request: bytes, *, receive_buffer: int | None = None) -> Stream:
        """Return the stream of events that ``request`` opens."""
        stream = await Stream.open(self.port, request, receive_buffer=receive_buffer)
        self._wires.append(stream.wire)
        return stream

    async def ask(self, request: bytes) -> Answer:
        """Return the answer to one HTTP request on a connection of its own."""
        wire = await self.wire()
        wire.send(request)
        answer = await wire.answer()
        await wire.close()
        return answer

    async def publish(self, channel: str, *data: Any) -> list[int]:
        """Publish to a durable channel in order; return the offsets, once the pod can tell of them."""
        offsets = await self.neighbours.publish(channel, *data)
        await self.heard(Channel.parse(channel), offsets[-1])
        return offsets

    async def heard(self, channel: Channel, offset: int) -> None:
        """Wait until the pod can tell of ``offset``: the stream acknowledges before what it republished is here."""
        live = self.pod.hub.channels.get(channel)
        await eventually(lambda: live is None or live.ring is None or live.ring.head >= offset)

    async def in_group(self, user: str, group: str, *, joined: bool = True) -> None:
        """Wait until the pod knows that ``user`` joined, or left."""
        users = self.pod.users
        await eventually(lambda: (group in (users.watch(user, now=self.pod.now()).groups or ())) is joined)

    @property
    def nothing_left(self) -> bool:
        """Whether no trace of a client is left in the pod."""
        pod = self.pod
        return not (
            pod.connections
            or pod.slow
            or pod.errands
            or len(pod.wheel)
            or pod.sockets
            or any(pod.counters.open.values())
            or any(not live.idle for live in pod.hub.channels.values())
            or any(user.devices for user in pod.users._users.values())
        )

    def stop_clock(self) -> Callable[[float], None]:
        """Have the pod's time stand still, however busy the machine is; what is returned moves it on by seconds."""
        at = self.pod.now()

        def pass_(seconds: float) -> None:
            nonlocal at
            at += seconds

        self.pod.now = lambda: at
        return pass_

    async def forget_clients(self) -> None:
        """Cut whoever is connected, and count from zero."""
        for wire in self._wires:
            wire.writer.transport.abort()
        self._wires.clear()
        for connection in tuple(self.pod.connections):  # the loop hears nothing of a client where it reads nothing
            if isinstance(connection, Connection):
                connection.transport.abort()
        neighbours, counters = self.neighbours, self.pod.counters
        if neighbours.before_resolve is not None:
            neighbours.before_resolve.set()
            neighbours.before_resolve = None
        await eventually(lambda: self.nothing_left)
        neighbours.verified.clear()
        neighbours.resolved.clear()
        for each in (counters.accepted, counters.closed, counters.refused):
            each.clear()
        counters.fell_behind = 0


@asynccontextmanager
async def an_edge(neighbours: Neighbours, **changes: Any) -> AsyncIterator[Edge]:
    """Run an edge beside ``neighbours``."""
    pods: list[Pod] = []

    class Seen(Pod):
        def __init__(self, *parts: Any) -> None:
            super().__init__(*parts)
            pods.append(self)

    settings = Settings.model_validate(
        {"nats_url": neighbours.server.url("edge"), "port": 0, "ops_port": 0, "drain_s": 0, **HOSPITABLE, **changes}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("whimbrel.edge.app.Pod", Seen)
        async with running("edge", settings, app.run) as service:
            edge = Edge(service, pods[0], neighbours)
            try:
                yield edge
            finally:
                await edge.forget_clients()
