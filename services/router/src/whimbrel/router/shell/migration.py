"""Brings the streams of an installation to the layout of this version.

A step may be cut short anywhere and is then begun again: it looks at what is there and goes on from it. The streams
bear the new number only when every step is done, HISTORY_0 last: by it the layout of an installation is known.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

from whimbrel.protocol import subjects
from whimbrel.protocol.versions import LAYOUT_VERSION
from whimbrel.runtime import catalogue, jetstream
from whimbrel.runtime.errors import StartRefused
from whimbrel.runtime.nats import Connection

LOOK_S: Final = 0.2  # between two looks at a stream that is being copied
_COPY: Final = f"{subjects.DLQ}_COPY"


async def migrate(bus: Connection) -> AsyncIterator[str]:
    """Migrate, and say in a sentence what was done.

    Raises StartRefused where there is nothing that this version can migrate; JetStreamRefused, BusFault.
    """
    config = await _first(bus)
    if config is None:
        raise StartRefused("there is no installation here: a router makes one at its start")
    found = config.get("metadata", {}).get(catalogue.LAYOUT, "")
    if not found.isdecimal() or int(found) > LAYOUT_VERSION or int(found) < min(_STEPS):
        raise StartRefused(
            f"the streams have layout {found or 'of somebody else'}, and this version knows {min(_STEPS)} to "
            f"{LAYOUT_VERSION}: use the version of Whimbrel that belongs to them"
        )
    for version in range(int(found), LAYOUT_VERSION):
        about, step = _STEPS[version]
        await step(bus)
        yield f"layout {version} to {version + 1}: {about}"
    partitions = int(config["metadata"][catalogue.PARTITIONS])
    for name in reversed([each["name"] for each in catalogue.streams(partitions=partitions, replicas=1)]):
        await _stamp(bus, name)
    yield f"layout {LAYOUT_VERSION} is complete"


async def _first(bus: Connection) -> catalogue.Config | None:
    """Return the stream by which the layout is known: HISTORY_0, or what stands for it while it is replaced."""
    name = subjects.history_stream(0)
    return await jetstream.stream_config(bus, name) or await jetstream.stream_config(bus, _mirror_of(name))


def _mirror_of(name: str) -> str:
    return f"{name}_MIRROR"


async def _stamp(bus: Connection, name: str) -> None:
    config = await jetstream.stream_config(bus, name)
    if config is None:  # of a bucket that is new in this layout: the router declares it
        return
    stamped = {**config["metadata"], catalogue.LAYOUT: str(LAYOUT_VERSION)}
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


async def _cut_off(bus: Connection, copy: str, own: catalogue.Config | None = None) -> None:
    """Let ``copy`` stand alone from now on, with ``own`` settings; nothing happens where it does."""
    config = await jetstream.stream_config(bus, copy)
    if config is None:
        return
    alone = {key: value for key, value in config.items() if key not in ("sources", "mirror")} | (own or {})
    if alone != config:
        await jetstream.request(bus, f"STREAM.UPDATE.{copy}", alone)


async def _messages_can_go(bus: Connection) -> None:
    """Replace each history by one that lets go of single messages, by way of a mirror: it keeps sequences and times, so
    that every position of a client stays what it is.
    """
    config = await _first(bus)
    assert config is not None
    for partition in range(int(config["metadata"][catalogue.PARTITIONS])):
        await _by_way_of_a_mirror(bus, partition)


async def _by_way_of_a_mirror(bus: Connection, partition: int) -> None:
    name = subjects.history_stream(partition)
    mirror = _mirror_of(name)
    config = await jetstream.stream_config(bus, name)
    copy = await jetstream.stream_config(bus, mirror)
    if config is not None and config.get("deny_delete"):
        if copy is None:
            copy = await _mirror(bus, config, mirror, of=name)
        await _copied(bus, name, mirror)
        await _cut_off(bus, mirror)
        await jetstream.request(bus, f"STREAM.DELETE.{name}")
        config = None
    if config is None and copy is not None:
        await _mirror(bus, copy, name, of=mirror)
    if copy is not None:
        await _copied(bus, mirror, name)
        source, destination = subjects.history_republish(partition)
        await _cut_off(
            bus,
            name,
            {"subjects": [subjects.history_filter(partition)], "republish": {"src": source, "dest": destination}},
        )
        await jetstream.request(bus, f"STREAM.DELETE.{mirror}")


async def _mirror(bus: Connection, config: catalogue.Config, name: str, *, of: str) -> catalogue.Config:
    left_out = ("subjects", "republish", "mirror", "first_seq")  # a mirror has none of its own
    kept = {key: value for key, value in config.items() if key not in left_out}
    state = (await jetstream.request(bus, f"STREAM.INFO.{of}"))["state"]
    # Of a stream that has forgotten everything a mirror would not learn where it is.
    follows = {"mirror": {"name": of}} if state["messages"] else {"first_seq": state["last_seq"] + 1}
    made = {**kept, "name": name, "deny_delete": False, **follows}
    await jetstream.request(bus, f"STREAM.CREATE.{name}", made)
    return made


_Step = Callable[[Connection], Awaitable[None]]
_STEPS: Final[Mapping[int, tuple[str, _Step]]] = {
    1: ("dead letters can be replayed and dropped", _dead_letters_can_go),
    2: ("inboxes let go of what is overtaken or withdrawn", _messages_can_go),
}
