"""The state of the whole: which processes run, what the streams hold, how far the notifier is behind."""

import asyncio
from typing import Any, Final

from pydantic import ValidationError

from whimbrel.protocol import subjects
from whimbrel.protocol.bodies import ConsumerLag, StatusReply, StreamStatus
from whimbrel.protocol.rpc import ServiceStatus
from whimbrel.runtime import jetstream
from whimbrel.runtime.nats import Connection, Delivery

ANSWER_S: Final = 0.3  # a process that takes longer to say how it is, is not well
MAX_PROCESSES: Final = 1000


class Status:
    """Asks around. ``read`` raises BusFault and JetStreamRefused."""

    def __init__(self, bus: Connection) -> None:
        self._bus = bus

    async def read(self) -> StatusReply:
        """Return the state now; takes ANSWER_S."""
        services, streams, consumers = await asyncio.gather(self._services(), self._streams(), self._consumers())
        return StatusReply(
            services=tuple(sorted(services, key=lambda each: (each.service, each.instance))),
            streams=tuple(streams),
            lag=tuple(consumers),
            dead_letters=sum(stream.messages for stream in streams if stream.name == subjects.DLQ),
        )

    async def _services(self) -> list[ServiceStatus]:
        answers: list[ServiceStatus] = []
        enough: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def receive(delivery: Delivery) -> None:
            try:
                answers.append(ServiceStatus.model_validate_json(delivery.payload))
            except ValidationError:
                return  # of another version; it is not counted rather than half understood
            if len(answers) >= MAX_PROCESSES and not enough.done():
                enough.set_result(None)

        address = self._bus.inbox.collect(receive, enough)
        try:
            await self._bus.publish(subjects.STATUS, b"", reply=address)
            await asyncio.wait([enough], timeout=ANSWER_S)
        finally:
            enough.cancel()
        return answers

    async def _streams(self) -> list[StreamStatus]:
        return [
            StreamStatus(
                name=info["config"]["name"],
                messages=info["state"]["messages"],
                bytes=info["state"]["bytes"],
                first=info["state"]["first_seq"],
                last=info["state"]["last_seq"],
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
