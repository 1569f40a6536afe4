"""JetStream: streams and buckets are declared by the router at its start and read back by everybody else; publishing.

Each stream carries an ``epoch`` in its metadata, made when the stream is created: positions of a stream that was
lost and declared anew therefore belong to another epoch, and clients learn that their history is gone.
"""

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from whimbrel.protocol import subjects
from whimbrel.protocol.versions import LAYOUT_VERSION
from whimbrel.runtime.catalogue import BUCKETS, EPOCH, EPOCH_BYTES, LAYOUT, PARTITIONS, RESTORED_AT, Config, streams
from whimbrel.runtime.delivery import Delivery
from whimbrel.runtime.errors import BusFault, JetStreamRefused, LayoutMismatch, LayoutMissing
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection

STREAM_NOT_FOUND: Final = 10059
STREAM_NAME_IN_USE: Final = 10058
API_TIMEOUT_S: Final = 10.0  # creating a replicated stream takes the election of its leader
INFO_TIMEOUT_S: Final = 1.5  # nobody answers while the stream's leader is elected; whoever waits for that asks again
PUBLISH_TIMEOUT_S: Final = 5.0  # a lost leader is replaced within 4–9 s; the caller repeats with the same Nats-Msg-Id


@dataclass(frozen=True, slots=True)
class Layout:
    """What everybody must know about the streams: ``epochs[p]`` is the epoch of partition p.

    A backup was restored at ``restored_at`` (Unix seconds, 0 for never): what an older event led to may be stored
    although its consumer does not know it.
    """

    partitions: int
    epochs: tuple[str, ...]
    events_epoch: str
    restored_at: int = 0


@dataclass(frozen=True, slots=True)
class PubAck:
    """A message is stored under ``seq``; ``duplicate``: it was stored before, under the same Nats-Msg-Id."""

    stream: str
    seq: int
    duplicate: bool


# Declare and read back


async def declare(connection: Connection, *, partitions: int, replicas: int) -> Layout:
    """Create what is missing and bring the rest to the table's settings; safe to call from several routers at once.

    Raises LayoutMismatch, before anything is changed, where the streams exist with another partition count or of
    another layout version; JetStreamRefused, BusFault.
    """
    wanted = list(streams(partitions=partitions, replicas=replicas))
    found = await asyncio.gather(*(_info(connection, config["name"]) for config in wanted))
    for config, info in zip(wanted, found, strict=True):
        if info is not None:
            _check(config, info["config"], partitions)
    for config, info in zip(wanted, found, strict=True):
        if info is None:
            await _create(connection, config, partitions)
        else:
            await _update(connection, config, info["config"])
    return await layout(connection)


async def layout(connection: Connection) -> Layout:
    """Read the layout back.

    Raises LayoutMissing until a router has declared all of it; LayoutMismatch, BusFault.
    """
    first = _declared(subjects.history_stream(0), await _info(connection, subjects.history_stream(0)))
    partitions = int(first[PARTITIONS])
    history = subjects.all_history_streams(partitions)
    kept = (subjects.EVENTS, subjects.DLQ, subjects.SESSIONS, subjects.GAPS)
    names = [*history, *kept, *map(subjects.bucket_stream, BUCKETS)]
    found = await asyncio.gather(*(_info(connection, name) for name in names))
    declared = [_declared(name, info) for name, info in zip(names, found, strict=True)]
    epochs = [metadata[EPOCH] for metadata in declared]
    restored_at = int(declared[partitions].get(RESTORED_AT, 0))
    return Layout(partitions, tuple(epochs[:partitions]), epochs[partitions], restored_at)


async def await_layout(connection: Connection, log: Logger) -> Layout:
    """Return the layout once a router has declared it, however long that takes; cancel to give up.

    Raises LayoutMismatch.
    """
    wait_s = 0.05
    logged_after = 0.5
    while True:
        try:
            return await layout(connection)
        except (LayoutMissing, BusFault, JetStreamRefused) as missing:
            if wait_s >= logged_after:
                log.info("layout.awaited", reason=str(missing))
                logged_after *= 4
            await asyncio.sleep(min(wait_s, 1.0))
            wait_s *= 1.5


async def request(
    connection: Connection,
    operation: str,
    body: Mapping[str, Any] | None = None,
    *,
    timeout: float = API_TIMEOUT_S,
) -> dict[str, Any]:
    """Ask JetStream's API, e.g. ``STREAM.INFO.EVENTS``, and return its answer.

    For what nats-py's dataclasses do not know. Raises JetStreamRefused, BusFault.
    """
    payload = json.dumps(body).encode() if body is not None else b""
    reply = await connection.request(f"$JS.API.{operation}", payload, timeout=timeout)
    answer: dict[str, Any] = json.loads(reply.payload)
    _raise_refusal(answer)
    return answer


async def stream_config(connection: Connection, name: str) -> Config | None:
    """Return the configuration of a stream, None where it does not exist.

    Raises JetStreamRefused, BusFault.
    """
    info = await _info(connection, name)
    return None if info is None else info["config"]


def check(reply: Delivery) -> None:
    """Raise JetStreamRefused where JetStream says no; an empty reply is a yes."""
    if reply.payload:
        _raise_refusal(json.loads(reply.payload))


async def _info(connection: Connection, name: str) -> dict[str, Any] | None:
    try:
        return await request(connection, f"STREAM.INFO.{name}", timeout=INFO_TIMEOUT_S)
    except JetStreamRefused as refusal:
        if refusal.err_code == STREAM_NOT_FOUND:
            return None
        raise


async def _create(connection: Connection, config: Config, partitions: int) -> None:
    name = config["name"]
    metadata = {**config["metadata"], EPOCH: secrets.token_hex(EPOCH_BYTES)}
    try:
        await request(connection, f"STREAM.CREATE.{name}", {**config, "metadata": metadata})
    except JetStreamRefused as refusal:
        if refusal.err_code != STREAM_NAME_IN_USE:
            raise
        info = await _info(connection, name)  # another router was faster
        _check(config, (info or {"config": {}})["config"], partitions)


async def _update(connection: Connection, wanted: Config, current: Config) -> None:
    name = wanted["name"]
    changed = {**current, **wanted, "metadata": {**current["metadata"], **wanted["metadata"]}}
    if changed == current:
        return
    try:
        await request(connection, f"STREAM.UPDATE.{name}", changed)
    except JetStreamRefused as refusal:
        raise LayoutMismatch(
            f"stream {name} cannot be changed as this version needs: {refusal.description}"
        ) from refusal


def _check(wanted: Config, current: Config, partitions: int) -> None:
    metadata = _declared(wanted["name"], {"config": current})
    declared = metadata.get(PARTITIONS)
    if wanted["metadata"].get(PARTITIONS) != declared:
        raise LayoutMismatch(
            f"the streams were declared with {declared} partitions, this router is set to {partitions}: "
            f"the count is fixed for an installation, set it back to {declared}"
        )


def _declared(name: str, info: dict[str, Any] | None) -> dict[str, str]:
    if info is None:
        raise LayoutMissing(f"stream {name} does not exist yet")
    metadata: dict[str, str] = info["config"].get("metadata") or {}
    if EPOCH not in metadata:
        raise LayoutMismatch(f"stream {name} exists, but no Whimbrel router declared it")
    if metadata.get(LAYOUT) != str(LAYOUT_VERSION):
        raise LayoutMismatch(
            f"stream {name} has layout {metadata.get(LAYOUT)}, this version needs {LAYOUT_VERSION}: do not mix versions"
        )
    return metadata


# Publish


async def publish(
    connection: Connection,
    subject: str,
    payload: bytes,
    headers: Mapping[str, str] | None = None,
    *,
    timeout: float = PUBLISH_TIMEOUT_S,
) -> PubAck:
    """Publish and wait until the stream has stored it.

    After RequestTimeout it may be stored or not: repeat with the same Nats-Msg-Id. Raises BusUnavailable,
    NoResponders (no stream keeps the subject, or its leader is being elected), RequestTimeout, JetStreamRefused,
    MalformedMessage.
    """
    return ack_of(await connection.request(subject, payload, headers=headers, timeout=timeout))


def ack_of(reply: Delivery) -> PubAck:
    """Read the acknowledgement of a publication, e.g. of one sent with ``Connection.ask`` to have many in flight.

    Raises JetStreamRefused.
    """
    answer = json.loads(reply.payload)
    _raise_refusal(answer)
    return PubAck(answer["stream"], answer["seq"], answer.get("duplicate", False))


def _raise_refusal(answer: dict[str, Any]) -> None:
    error = answer.get("error")
    if error is not None:
        raise JetStreamRefused(error.get("code", 500), error.get("err_code", 0), error.get("description", ""))
