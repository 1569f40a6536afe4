"""The state of the whole: which processes run, what the streams hold, how far the notifier is behind."""

import asyncio
import contextlib
from typing import Any, Final

from pydantic import ValidationError

from whimbrel.protocol import subjects
from whimbrel.protocol.bodies import ConsumerLag, StatusReply, StreamStatus
from whimbrel.protocol.rpc import ServiceStatus
from whimbrel.runtime import jetstream
from whimbrel.runtime.nats import Connection, Delivery

ANSWER_S: Final = 0.3  # nobody knows how many processes there are, so all have this long to answer
PATIENCE_S: Final = 1.0  # a role of which nobody has answered by then, is not well
ROLES: Final = ("edge", "auth", "router", "notifier")
MAX_PROCESSES: Final = 1000


class Status:
    """Asks around. ``read`` raises BusFault and JetStreamRefused."""

    def __init__(self, bus: Connection) -> None:
        self._bus = bus

    async def read(self) -> StatusReply:
        """Return the state now, with a service that is not ready for each role of which nobody answers.

        Takes ANSWER_S, and up to PATIENCE_S where a role is silent.
        """
        services, streams, consumers = await asyncio.gather(self.services(), self._streams(), self._consumers())
        return StatusReply(
            services=tuple(sorted(services, key=lambda each: (each.service, each.instance))),
            streams=tuple(streams),
            lag=tuple(consumers),
            dead_letters=sum(stream.messages for stream in streams if stream.name == subjects.DLQ),
        )

    async def services(self) -> list[ServiceStatus]:
        """Return what each process tells of itself, and one with pid 0 for each role of which nobody answers."""
        answers: list[ServiceStatus] = []
        enough: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        complete = asyncio.Event()
        silent = set(ROLES)

        def receive(delivery: Delivery) -> None:
            try:
                answer = ServiceStatus.model_validate_json(delivery.payload)
            except ValidationError:
                return  # of another version; it is not counted rather than half understood
            answers.append(answer)
            silent.discard(answer.service)
            if not silent:
                complete.set()
            if len(answers) >= MAX_PROCESSES and not enough.done():
                enough.set_result(None)

        address = self._bus.inbox.collect(receive, enough)
        try:
            await self._bus.publish(subjects.STATUS, b"", reply=address)
            await asyncio.wait([enough], timeout=ANSWER_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(complete.wait(), PATIENCE_S - ANSWER_S)
        finally:
            enough.cancel()
        return [*answers, *map(_silent, silent)]

    async def _streams(self) -> list[StreamStatus]:
        return [
            StreamStatus(
                name=info["config"]["name"],
                messages=info["state"]["messages"],
                bytes=info["state"]["bytes"],
                first=info["state"]["first_seq"],
                last=info["state"]["last_seq"],
                leader=(info.get("cluster") or {}).get("leader", ""),
                replicas=info["config"]["num_replicas"],
            )
            for info in await self._list("STREAM.LIST", "streams")
        ]

    async def _consumers(self) -> list[ConsumerLag]:
        names = {subjects.event_consumer(partition): partition for partition in range(subjects.EVENT_PARTITIONS)}
        lag = [
            ConsumerLag(
                partition=names[info["name"]], pending=info["num_pending"], unacknowledged=info["num_ack_pending"]
            )
            for info in await self._list(f"CONSUMER.LIST.{subjects.EVENTS}", "consumers")
            if info["name"] in names
        ]
        return sorted(lag, key=lambda each: each.partition)

    async def _list(self, operation: str, field: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:  # 256 at a time
            answer = await jetstream.request(self._bus, operation, {"offset": len(found)})
            page = answer.get(field) or []
            found += page
            if not page or len(found) >= answer["total"]:
                return found


def _silent(role: str) -> ServiceStatus:
    """Return what stands for a role of which no process answers: hung, dead or cut off, nobody can tell which."""
    return ServiceStatus(
        service=role, instance="", version="", ready=False, reasons=("does not answer",), started_at=0, pid=0
    )
