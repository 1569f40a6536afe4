"""Read marks: how far a user has handled a channel, kept for all devices.

A mark is written at most every 10 s per user and channel: the first at once, later ones with the next write. What was
acknowledged within the last seconds before a pod dies is delivered again to a device that comes without a position.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError

from whimbrel.protocol import subjects
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.rpc import ReadMark
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.errors import BusFault, JetStreamRefused
from whimbrel.runtime.kv import Bucket, RevisionConflict
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection

WRITE_EVERY_S: Final = 10.0
TURN_S: Final = 1.0  # between two looks at the marks that wait
WRITTEN_AT_ONCE: Final = 32  # each is a read and a write
HEARD_S: Final = 2 * WRITE_EVERY_S  # a mark of another pod is remembered for that long at least, twice that at most
MAX_UNWRITTEN: Final = 50_000  # marks that wait for their turn; beyond, the oldest is written first and waits no longer


class ReadMarks:
    """Marks in the bucket READMARKS; ``unwritten`` holds those that wait for their turn."""

    def __init__(self, connection: Connection, reader: DirectGet, log: Logger) -> None:
        self._reader = reader
        self._bucket = Bucket(connection, reader, subjects.READMARKS)
        self._log = log
        self._unwritten: dict[str, ReadMark] = {}
        self._written_at: dict[str, float] = {}
        self._heard: dict[str, ReadMark] = {}  # acknowledged on other pods, which may not have written them yet
        self._heard_before: dict[str, ReadMark] = {}
        self._forget_at = 0.0
        self._moved = asyncio.Event()
        self.writes = 0

    async def read(self, user: str, channel: Channel) -> ReadMark | None:
        """Return the user's mark, None where nothing was acknowledged yet. Raises BusFault, JetStreamRefused."""
        key = subjects.readmark_key(user, channel)
        mark = self._unwritten.get(key)
        return _newer(await self._stored(key) if mark is None else mark, self._heard.get(key))

    async def _stored(self, key: str) -> ReadMark | None:
        bucket = subjects.READMARKS
        stored = await self._reader.last(subjects.bucket_stream(bucket), subjects.key_subject(bucket, key))
        try:
            return None if stored is None else ReadMark.model_validate_json(stored.payload)
        except ValidationError:
            return None  # a deleted key

    def move(self, user: str, channel: Channel, mark: ReadMark) -> None:
        """Note that everything up to ``mark`` was handled; a mark never moves back within an epoch."""
        key = subjects.readmark_key(user, channel)
        before = self._unwritten.get(key)
        if before is None or before.epoch != mark.epoch or before.offset < mark.offset:
            self._unwritten[key] = mark
            if key not in self._written_at:
                self._moved.set()
            if len(self._unwritten) > MAX_UNWRITTEN:
                self._written_at.pop(next(iter(self._unwritten)), None)

    def hear(self, user: str, channel: Channel, mark: ReadMark) -> None:
        """Note what another pod may write within WRITE_EVERY_S: a device here must not be told otherwise meanwhile."""
        if not self._heard:
            self._moved.set()
        if len(self._heard) < MAX_UNWRITTEN:
            key = subjects.readmark_key(user, channel)
            self._heard[key] = _newer(mark, self._heard.get(key)) or mark

    async def run(self) -> None:
        """Write marks as their turn comes; writes all that are left when cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TURN_S if self._awaits_turn else None):
                        await self._moved.wait()
                self._moved.clear()
                now = loop.time()
                if now >= self._forget_at:
                    self._forget_at = now + HEARD_S
                    self._forget_heard()
                self._written_at = {key: at for key, at in self._written_at.items() if now < at + WRITE_EVERY_S}
                await self._write([key for key in self._unwritten if key not in self._written_at])
        finally:
            await self._write(list(self._unwritten))

    @property
    def _awaits_turn(self) -> bool:
        """Whether there is anything to look at without being told."""
        return bool(self._unwritten or self._written_at or self._heard or self._heard_before)

    def _forget_heard(self) -> None:
        same = [key for key, mark in self._heard_before.items() if self._heard.get(key) is mark]
        for key in same:
            del self._heard[key]
        self._heard_before = dict(self._heard)

    async def _write(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), WRITTEN_AT_ONCE):
            part = keys[start : start + WRITTEN_AT_ONCE]
            for trouble in await asyncio.gather(*map(self._write_one, part)):
                if trouble is not None:
                    self._log.warning("readmarks.write_delayed", waiting=len(self._unwritten), error=str(trouble))
                    return

    async def _write_one(self, key: str) -> BusFault | JetStreamRefused | None:
        mark = self._unwritten[key]
        try:
            stored = await self._bucket.get(key)
            if stored is None or _moves(stored.value, mark):
                revision = 0 if stored is None else stored.revision
                await self._bucket.update(key, mark.model_dump_json().encode(), revision)
                self.writes += 1
        except RevisionConflict:  # another pod wrote meanwhile: compare again, with the next turn
            return None
        except (BusFault, JetStreamRefused) as trouble:
            return trouble
        self._written_at[key] = asyncio.get_running_loop().time()
        if self._unwritten.get(key) == mark:
            del self._unwritten[key]
        return None


def _newer(mark: ReadMark | None, heard: ReadMark | None) -> ReadMark | None:
    if mark is None or heard is None:
        return mark or heard
    # What was heard is seconds old: of two histories, it is of the later one.
    return mark if mark.epoch == heard.epoch and mark.offset >= heard.offset else heard


def _moves(stored: bytes, mark: ReadMark) -> bool:
    try:
        before = ReadMark.model_validate_json(stored)
    except ValidationError:
        return True
    return before.epoch != mark.epoch or before.offset < mark.offset
