"""Brings the streams of an installation to the layout of this version.

A step may be cut short anywhere and is then begun again: it looks at what is there and goes on from it. The streams
bear the new number only when every step is done, HISTORY_0 last: by it the layout of an installation is known.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

from whimbrel.protocol import subjects
from whimbrel.protocol.versions import LAYOUT_VERSION
from whimbrel.runtime import jetstream
from whimbrel.runtime.errors import StartRefused
from whimbrel.runtime.nats import Connection

LOOK_S: Final = 0.2  # between two looks at a stream that is being copied
_COPY: Final = f"{subjects.DLQ}_COPY"


async def migrate(bus: Connection) -> AsyncIterator[str]:
    """Migrate, and say in a sentence what was done.

    Raises StartRefused where there is nothing that this version can migrate; JetStreamRefused, BusFault.
    """
    config = await jetstream.stream_config(bus, subjects.history_stream(0))
    if config is None:
        raise StartRefused("there is no installation here: a router makes one at its start")
    found = config.get("metadata", {}).get(jetstream.LAYOUT, "")
    if not found.isdecimal() or int(found) > LAYOUT_VERSION or int(found) < min(_STEPS):
        raise StartRefused(
            f"the streams have layout {found or 'of somebody else'}, and this version knows {min(_STEPS)} to "
            f"{LAYOUT_VERSION}: use the version of Whimbrel that belongs to them"
        )
    for version in range(int(found), LAYOUT_VERSION):
        about, step = _STEPS[version]
        await step(bus)
        yield f"layout {version} to {version + 1}: {about}"
    partitions = int(config["metadata"][jetstream.PARTITIONS])
    for name in reversed([each["name"] for each in jetstream.streams(partitions=partitions, replicas=1)]):
        await _stamp(bus, name)
    yield f"layout {LAYOUT_VERSION} is complete"


async def _stamp(bus: Connection, name: str) -> None:
    config = await jetstream.stream_config(bus, name)
    if config is None:  # of a bucket that is new in this layout: the router declares it
        return
    stamped = {**config["metadata"], jetstream.LAYOUT: str(LAYOUT_VERSION)}
    if stamped != config["metadata"]:
        await jetstream.request(bus, f"STREAM.UPDATE.{name}", {**config, "metadata": stamped})


async def _dead_letters_can_go(bus: Connection) -> None:
    """Replace DLQ by one that lets go of single messages, by way of a copy: a stream cannot be changed to that."""
    config = await jetstream.stream_config(bus, subjects.DLQ)
    copy = await jetstream.stream_config(bus, _COPY)
    if config is not None and config.get("deny_delete"):
        if copy is None:
            copy = {key: value for key, value in config.items() if key != "subjects"} | {"name": _COPY}
            await jetstream.request(bus, f"STREAM.CREATE.{_COPY}", {**copy, "sources": [{"name": subjects.DLQ}]})
        await _copied(bus, subjects.DLQ, _COPY)
        await _cut_off(bus, _COPY)
        await jetstream.request(bus, f"STREAM.DELETE.{subjects.DLQ}")
        config = None
    if config is None and copy is not None:
        made = {**copy, "name": subjects.DLQ, "subjects": [subjects.DLQ_ALL], "deny_delete": False}
        await jetstream.request(bus, f"STREAM.CREATE.{subjects.DLQ}", {**made, "sources": [{"name": _COPY}]})
    if copy is not None:
        await _copied(bus, _COPY, subjects.DLQ)
        await _cut_off(bus, subjects.DLQ)
        await jetstream.request(bus, f"STREAM.DELETE.{_COPY}")


async def _copied(bus: Connection, source: str, copy: str) -> None:
    """Wait until ``copy`` has all of ``source``; nobody writes meanwhile."""
    while True:
        states = [(await jetstream.request(bus, f"STREAM.INFO.{name}"))["state"] for name in (source, copy)]
        if states[0]["messages"] <= states[1]["messages"]:
            return
        await asyncio.sleep(LOOK_S)


async def _cut_off(bus: Connection, copy: str) -> None:
    config = await jetstream.stream_config(bus, copy)
    if config is not None and config.pop("sources", None):
        await jetstream.request(bus, f"STREAM.UPDATE.{copy}", config)


_Step = Callable[[Connection], Awaitable[None]]
_STEPS: Final[Mapping[int, tuple[str, _Step]]] = {
    1: ("dead letters can be replayed and dropped", _dead_letters_can_go),
}
