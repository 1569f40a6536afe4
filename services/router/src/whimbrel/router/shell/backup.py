"""All streams and buckets as files, and back: JetStream's own snapshots, in an order that loses and doubles nothing.

The notifier goes on while a backup is made. So first it is noted how far it had come, then the histories are written,
and the events last: what it publishes meanwhile may be in a history already, but its event is in the events for
certain. After a restore it begins where it was noted to be, and looks each of those publications up before it sends it
(``restored_at``).

A restored history gets a new epoch: positions from after the backup mean nothing in it, and clients are told to reload.
EVENTS keeps its own, for by it a publication is known to be stored.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from whimbrel.protocol import subjects
from whimbrel.protocol.versions import LAYOUT_VERSION
from whimbrel.runtime import catalogue, jetstream
from whimbrel.runtime.errors import BusFault, NoResponders, RequestTimeout, RuntimeFault, StartRefused
from whimbrel.runtime.nats import Connection, Delivery

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
CHUNK_BYTES: Final = 128 * 1024  # below the server's largest message
ELECTION_S: Final = 60.0  # of the leaders of what was restored: each consumer of a cluster has its own
AGAIN_S: Final = 0.25
INTEREST_S: Final = 5.0  # until all servers know who wants the chunks: milliseconds, but for a route that is down
CHUNK_S: Final = 20.0  # the server packs a whole stream before the first one


@dataclass(frozen=True, slots=True)
class Manifest:
    """What lies in a backup: each stream's configuration and state as the server told it, in order of writing."""

    format: int
    layout: int
    made_at: float
    streams: list[dict[str, Any]]
    handled: dict[str, int]
    """By consumer of EVENTS: the last event that was certainly published when the backup began."""


async def backup(bus: Connection, folder: Path, *, now: float) -> AsyncIterator[str]:
    """Write everything into ``folder``, which is empty, and say what was written.

    Raises JetStreamRefused, BusFault, OSError.
    """
    layout = await jetstream.layout(bus)
    handled = {
        info["name"]: info["ack_floor"]["stream_seq"]
        for info in (await jetstream.request(bus, f"CONSUMER.LIST.{subjects.EVENTS}", {})).get("consumers") or ()
    }
    names = [config["name"] for config in catalogue.streams(partitions=layout.partitions, replicas=1)]
    written = []
    for name in sorted(names, key=lambda name: name == subjects.EVENTS):
        snapshot = await _save(bus, name, _file(folder, name))
        written.append({"name": name, "config": snapshot["config"], "state": snapshot["state"]})
        yield f"{name}: {snapshot['state']['messages']} messages"
    manifest = Manifest(FORMAT, LAYOUT_VERSION, now, written, handled)
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1))  # a backup without one is none
    yield f"the backup in {folder} is complete"


async def restore(bus: Connection, folder: Path, *, now: float, replicas: int) -> AsyncIterator[str]:
    """Make all streams anew from ``folder``, with new epochs, and say what was restored: all of it, or nothing.

    Raises StartRefused where ``folder`` is no backup of this layout or where there are streams already;
    JetStreamRefused, BusFault, OSError.
    """
    manifest = _manifest(folder)
    for stream in manifest.streams:
        if await jetstream.stream_config(bus, stream["name"]) is not None:
            raise StartRefused(f"stream {stream['name']} exists: restore into an installation that has no streams")
    made: list[str] = []
    try:
        for stream in manifest.streams:
            config = {**stream["config"], "num_replicas": replicas}
            metadata = dict(config["metadata"])
            if stream["name"] == subjects.EVENTS:
                metadata[catalogue.RESTORED_AT] = str(int(now))
            else:
                metadata[catalogue.EPOCH] = secrets.token_hex(catalogue.EPOCH_BYTES)
            made.append(stream["name"])
            await _load(bus, {**config, "metadata": metadata}, stream["state"], _file(folder, stream["name"]))
            yield f"{stream['name']}: {stream['state']['messages']} messages"
        for consumer, sequence in manifest.handled.items():
            await _reset(bus, consumer, sequence + 1)
    except BaseException:  # Ctrl-C as well
        for name in made:  # who runs it again must not find half of it
            with suppress(RuntimeFault):
                await jetstream.request(bus, f"STREAM.DELETE.{name}")
        raise
    yield "everything is restored, with new epochs"


async def _reset(bus: Connection, consumer: str, sequence: int) -> None:
    """Have a consumer of EVENTS begin at ``sequence``. In a cluster it has no leader at first, and nobody answers."""
    deadline = asyncio.get_running_loop().time() + ELECTION_S
    while True:
        try:
            operation = f"CONSUMER.RESET.{subjects.EVENTS}.{consumer}"
            await jetstream.request(bus, operation, {"seq": sequence}, timeout=jetstream.INFO_TIMEOUT_S)
        except BusFault:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(AGAIN_S)
        else:
            return


def _manifest(folder: Path) -> Manifest:
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise StartRefused(f"{folder} holds no complete backup: {error}") from error
    if manifest.format != FORMAT or manifest.layout != LAYOUT_VERSION:
        raise StartRefused(
            f"the backup in {folder} has layout {manifest.layout} and this version needs {LAYOUT_VERSION}: restore it "
            "with the version that made it, then migrate"
        )
    if missing := [stream["name"] for stream in manifest.streams if not _file(folder, stream["name"]).is_file()]:
        raise StartRefused(f"{folder} holds no complete backup: {', '.join(missing)} is missing")
    return manifest


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.snapshot"


async def _save(bus: Connection, name: str, file: Path) -> dict[str, Any]:
    """Write the snapshot of a stream, chunk by chunk: the server sends on as we acknowledge."""
    chunks: asyncio.Queue[Delivery] = asyncio.Queue()
    address = f"{bus.inbox.prefix}.snapshot.{name}"
    subscription = await bus.subscribe(address, chunks.put_nowait)
    try:
        request = {"deliver_subject": address, "no_consumers": False, "chunk_size": CHUNK_BYTES}
        told = await jetstream.request(bus, f"STREAM.SNAPSHOT.{name}", request)
        with file.open("wb") as out:
            while (chunk := await _next(chunks, name)).payload:
                out.write(chunk.payload)
                if chunk.reply:
                    bus.send(chunk.reply, b"")
        if chunk.status():  # an end that is no good end bears one
            raise RequestTimeout(f"the server gave up the snapshot of {name}: {chunk.status()}")
        return told
    finally:
        subscription.detach()


async def _next(chunks: asyncio.Queue[Delivery], name: str) -> Delivery:
    try:
        return await asyncio.wait_for(chunks.get(), CHUNK_S)
    except TimeoutError:
        raise RequestTimeout(f"no more of the snapshot of {name} within {CHUNK_S:g} s") from None


async def _load(bus: Connection, config: dict[str, Any], state: dict[str, Any], file: Path) -> None:
    name = config["name"]
    told = await jetstream.request(bus, f"STREAM.RESTORE.{name}", {"config": config, "state": state})
    address = told["deliver_subject"]
    with file.open("rb") as saved:
        while chunk := saved.read(CHUNK_BYTES):
            await _hand_in(bus, address, chunk)
    await _hand_in(bus, address, b"")


async def _hand_in(bus: Connection, address: str, chunk: bytes) -> None:
    """Send one chunk of a snapshot. Which server of a cluster takes it is known to the others a moment later."""
    deadline = asyncio.get_running_loop().time() + INTEREST_S
    while True:
        try:
            return jetstream.check(await bus.request(address, chunk, timeout=CHUNK_S))
        except NoResponders:  # it reached nobody, so it may be sent again
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(AGAIN_S)
