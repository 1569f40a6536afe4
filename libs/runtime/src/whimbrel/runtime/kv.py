"""Key-value buckets: writes with revisions, and a live copy of a small bucket for those who read it all the time.

A revision is the sequence of the write in the bucket's stream. Reads are direct gets and may be a few milliseconds
old, which a write that names the revision it replaces finds out. A watch per process would be a consumer per
process; instead the bucket's stream republishes its changes to ``ctl.<bucket>.>``, where one plain subscription
hears them.
"""

import asyncio
import contextlib
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Final, NamedTuple

from whimbrel.protocol import subjects
from whimbrel.runtime import catalogue, jetstream
from whimbrel.runtime.delivery import Delivery, header, number
from whimbrel.runtime.directget import DirectGet, Stored
from whimbrel.runtime.errors import BusFault, JetStreamRefused, RuntimeFault
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection, Subscription

WRONG_LAST_SEQUENCE: Final = frozenset({10071, 10164})  # nats-server's errors.json: another write came first
TOO_MANY_RESULTS: Final = 413  # over 1024 in one answer
SWEEP_S: Final = 30.0  # republishing is at most once: what a copy did not hear it reads this often
RETRY_S: Final = 0.2
MAX_RETRY_S: Final = 5.0


class RevisionConflict(RuntimeFault):
    """Another write to the key came first: read again, decide again."""


class Entry(NamedTuple):
    """The value of a key and the revision that a write must name to replace it."""

    value: bytes
    revision: int


class Bucket:
    """One bucket. Every method raises BusFault and JetStreamRefused."""

    def __init__(self, connection: Connection, reads: DirectGet, name: str) -> None:
        self.name = name
        self._connection = connection
        self._reads = reads
        self._stream = subjects.bucket_stream(name)

    async def get(self, key: str) -> Entry | None:
        """Return the value of ``key``, None where it is missing, deleted or expired."""
        stored = await self._reads.last(self._stream, subjects.key_subject(self.name, key))
        return None if stored is None or _is_marker(stored.headers) else Entry(stored.payload, stored.seq)

    async def find(self, pattern: str) -> dict[str, Entry]:
        """Return the values by key that match ``pattern`` (wildcards as in subjects)."""
        subject = subjects.key_subject(self.name, pattern)
        try:
            stored = list((await self._reads.multi_last(self._stream, [subject])).messages.values())
        except JetStreamRefused as refusal:
            if refusal.code != TOO_MANY_RESULTS:
                raise
            stored = [one async for one in _pages(self._reads, self._stream, subject, 1)]  # slower, and complete
        return {self._key(one): Entry(one.payload, one.seq) for one in stored if not _is_marker(one.headers)}

    async def put(self, key: str, value: bytes, *, ttl_s: float | None = None) -> int:
        """Write ``key`` whatever was there and return the revision; it expires after ``ttl_s`` (whole seconds).

        A key that expires once must expire in every write: see ``delete``.
        """
        return await self._write(key, value, {}, ttl_s)

    async def create(self, key: str, value: bytes, *, ttl_s: float | None = None) -> int:
        """Write ``key`` where it is missing, deleted or expired, and return the revision.

        Raises RevisionConflict where it is there.
        """
        try:
            return await self.update(key, value, 0, ttl_s=ttl_s)
        except RevisionConflict:
            stored = await self._reads.last(self._stream, subjects.key_subject(self.name, key))
            if stored is None or not _is_marker(stored.headers):
                raise
            return await self.update(key, value, stored.seq, ttl_s=ttl_s)

    async def update(self, key: str, value: bytes, revision: int, *, ttl_s: float | None = None) -> int:
        """Replace ``revision`` (0: none) and return the new one.

        Raises RevisionConflict where another write came first.
        """
        return await self._write(key, value, {"Nats-Expected-Last-Subject-Sequence": str(revision)}, ttl_s)

    async def delete(self, key: str) -> int:
        """Leave a marker in place of ``key``, for good, and return its revision.

        A marker with a TTL would be cheaper, but a server that is killed after it expired restores the value before it
        (nats-server 2.15.1): who left a group would be a member again.
        """
        return await self._write(key, b"", {"KV-Operation": "DEL"}, None)

    async def _write(self, key: str, value: bytes, headers: dict[str, str], ttl_s: float | None) -> int:
        if ttl_s is not None:
            headers["Nats-TTL"] = f"{math.ceil(ttl_s)}s"
        try:
            ack = await jetstream.publish(self._connection, subjects.key_subject(self.name, key), value, headers)
        except JetStreamRefused as refusal:
            if refusal.err_code in WRONG_LAST_SEQUENCE:
                raise RevisionConflict(f"{self.name} {key}: another write came first") from refusal
            raise
        return ack.seq

    def _key(self, stored: Stored) -> str:
        return stored.subject[len(subjects.key_subject(self.name, "")) :]


Changed = Callable[[str, bytes | None], None]


class KvView(Mapping[str, bytes]):
    """A live copy of a small bucket: a mapping from key to value.

    Heard changes apply at once; what was not heard is read every SWEEP_S, and everything anew after each reconnect.
    ``on_change`` callbacks get each change of a value, the first reading included, with None for a key that is gone;
    those that were heard run inside the read loop.
    """

    def __init__(self, connection: Connection, reads: DirectGet, bucket: str, log: Logger) -> None:
        self.bucket = bucket
        self.on_change: list[Changed] = []
        self._connection = connection
        self._reads = reads
        self._log = log.bind(bucket=bucket)
        self._stream = subjects.bucket_stream(bucket)
        self._heard_prefix = len(subjects.bucket_changes(bucket).removesuffix(">"))
        self._stored_prefix = len(subjects.key_subject(bucket, ""))
        self._values: dict[str, bytes] = {}
        self._revisions: dict[
            str, int
        ] = {}  # of present keys, and of those gone lately: an old reading must not revive them
        self._gone: set[str] = set()
        self._gone_before: set[str] = set()
        self._newest = 0
        self._epoch = ""
        self._subscription: Subscription | None = None
        self._wake = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Subscribe, then read everything; returns when the copy is complete, however long that takes."""
        self._subscription = self._connection.attach(subjects.bucket_changes(self.bucket), self._hear)
        self._connection.on_connected.append(self._wake.set)
        await self._until(self._read_all)
        self._follower = asyncio.create_task(self._follow(), name=f"view {self.bucket}")

    async def close(self) -> None:
        """Stop following; the copy stays as it is."""
        self._connection.on_connected.remove(self._wake.set)
        if self._subscription is not None:
            self._subscription.detach()
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.wait([self._follower])

    def __getitem__(self, key: str) -> bytes:
        return self._values[key]

    def __contains__(self, key: object) -> bool:
        return key in self._values  # Mapping's own raises and catches for each key that is missing

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    # Reading

    async def _follow(self) -> None:
        while True:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_S * random.uniform(0.75, 1.25)):
                    await self._wake.wait()
            await self._until(self._read_all if self._wake.is_set() else self._read_newer)

    async def _until(self, read: Callable[[], Awaitable[None]]) -> None:
        wait_s = RETRY_S
        while True:
            try:
                await self._connection.flush()  # the subscription is in place before the first read
                await read()
                return
            except (BusFault, JetStreamRefused) as error:
                self._log.info("view.read_delayed", error=str(error))
                await asyncio.sleep(wait_s * random.uniform(0.75, 1.25))
                wait_s = min(wait_s * 2, MAX_RETRY_S)

    async def _read_newer(self) -> None:
        async for _ in self._stored(self._newest + 1):
            pass
        for key in self._gone_before - self._values.keys():
            self._revisions.pop(key, None)
        self._gone_before, self._gone = self._gone, set()

    async def _read_all(self) -> None:
        info = await jetstream.request(self._connection, f"STREAM.INFO.{self._stream}")
        epoch = info["config"].get("metadata", {}).get(catalogue.EPOCH, "")
        if epoch != self._epoch:  # the bucket was lost and declared anew: its revisions began again
            self._epoch = epoch
            self._revisions.clear()
            self._newest = 0
        seen = [stored async for stored in self._stored(1)]
        # A key that is missing though older than what was read is gone and its marker expired. Up to where the
        # reading is complete the leader tells, if it counts as many messages; a replica that lags proves no more
        # than its newest.
        state = info["state"]
        complete_to = state["last_seq"] if len(seen) == state["messages"] else max((one.seq for one in seen), default=0)
        missing = self._values.keys() - {self._key(stored) for stored in seen}
        for key in [key for key in missing if self._revisions.get(key, 0) <= complete_to]:
            self._revisions.pop(key, None)
            self._drop(key)

    async def _stored(self, start: int) -> AsyncIterator[Stored]:
        async for stored in _pages(self._reads, self._stream, None, start):
            self._apply(self._key(stored), stored.payload, stored.headers, stored.seq)
            yield stored

    def _key(self, stored: Stored) -> str:
        return stored.subject[self._stored_prefix :]

    # Changes

    def _hear(self, delivery: Delivery) -> None:
        key = delivery.subject[self._heard_prefix :]
        self._apply(key, delivery.payload, delivery.headers, number(delivery.headers, "Nats-Sequence"))

    def _apply(self, key: str, value: bytes, headers: bytes | None, revision: int) -> None:
        if revision <= self._revisions.get(key, 0):
            return
        self._revisions[key] = revision
        self._newest = max(self._newest, revision)
        if _is_marker(headers):
            self._gone.add(key)
            self._drop(key)
        elif self._values.get(key) != value:
            self._values[key] = value
            self._tell(key, value)

    def _drop(self, key: str) -> None:
        if self._values.pop(key, None) is not None:
            self._tell(key, None)

    def _tell(self, key: str, value: bytes | None) -> None:
        for changed in self.on_change:
            try:
                changed(key, value)
            except Exception as error:
                self._log.exception("view.callback_failed", error)


async def _pages(reads: DirectGet, stream: str, subject: str | None, start: int) -> AsyncIterator[Stored]:
    while True:
        page = await reads.batch(stream, subject, start)
        for stored in page.messages:
            yield stored
        if not page.messages or page.pending == 0:
            return
        start = page.messages[-1].seq + 1


def _is_marker(headers: bytes | None) -> bool:
    """Tell whether a message says that its key is gone: deleted, purged, or expired."""
    if headers is None:
        return False
    return header(headers, "KV-Operation") in ("DEL", "PURGE") or header(headers, "Nats-Marker-Reason") is not None
