"""Whimbrel as `whimbrel dev` runs it, with a store of its own, and what a benchmark does with it."""

import asyncio
import base64
import json
import logging
import os
import re
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from bench.load import Transport
from bench.meter import Meter
from bench.pacing import beats
from bench.program import ROOT, Broken
from bench.publications import EVENT, TIME, Numbers, event_headers, now
from bench.trial import connect_frame
from whimbrel.auth.core.keys import KeySet
from whimbrel.auth.core.tokens import mint
from whimbrel.cli.dev.store import Store
from whimbrel.protocol import subjects
from whimbrel.protocol.bodies import TokenRequest
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.publications import MSG_ID, encode_body
from whimbrel.runtime import jetstream
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection, Delivery

START_S: Final = 60.0
STOP_S: Final = 20.0
ISSUER: Final = "whimbrel"
# What is measured is what the edge can do, not where it would say no: a storm at full speed, a load beyond its means.
UNLIMITED: Final = {"WHIMBREL_EDGE_CONNECTS_PER_S": "1000000", "WHIMBREL_EDGE_BROWNOUT_LAG_S": "60"}

ANSWER_S: Final = 5.0  # of a process under full load
LOOK_S: Final = 0.02  # between two looks at what is stored
_SAMPLE: Final = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)

Metrics = Counter[str]  # a sample's name, with its labels as they are written: `a_total`, `b_total{source="ring"}`
Send = Callable[[Channel, str, bytes], asyncio.Future[Delivery]]


class Installation:
    """A running Whimbrel."""

    name = "whimbrel"
    version = ""
    transport: Transport = "ws"
    gives_inbox = True

    def __init__(self, store: Store, process: asyncio.subprocess.Process, secret: bytes) -> None:
        self.secret = secret
        self._store = store
        self._process = process
        self._keys = KeySet.load(store.auth_keys.read_bytes())
        self._numbers = Numbers()
        self._notifier: Connection | None = None
        self._domain: Connection | None = None
        self._histories: tuple[str, ...] = ()

    @classmethod
    async def start(cls, folder: Path, *options: str, **environment: str) -> Self:
        """Run everything on free ports, `whimbrel dev` with ``options``; tokens are signed by HS256. Raises Broken."""
        store = Store(folder / "store")
        store.root.mkdir()
        secret = secrets.token_urlsafe(48).encode()
        key = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
        jwk = {"kid": "bench", "alg": "HS256", "kty": "oct", "issuer": ISSUER, "k": key}
        store.auth_keys.write_text(json.dumps({"keys": [jwk]}))
        whimbrel = str(Path(sys.executable).with_name("whimbrel"))
        with (folder / "whimbrel.out").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(whimbrel, "dev", "--ports", "0", "--no-demo", "--store", str(store.root), "--json", *options),
                env=os.environ | UNLIMITED | environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                cwd=ROOT,
            )
        one = cls(store, process, secret)
        await one._until(store.dev_file.exists)
        one._notifier = await one._connect("notifier", "_INBOX.notifier")
        one._domain = await one._connect("domain", "_INBOX")
        return one

    async def _connect(self, user: str, inbox: str) -> Connection:
        domain = self._running["nats"]
        address = f"nats://{user}:{self._store.secrets()[f'nats_{user}']}@{domain.rpartition('@')[2]}"
        log = Logger(logging.getLogger("bench"))
        connection = Connection(address, name=f"bench-{user}", log=log, inbox_prefix=inbox)
        await connection.open()
        return connection

    async def _until(self, so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_S
        while not so():
            if self._process.returncode is not None or time.monotonic() > deadline:
                said = (self._store.root.parent / "whimbrel.out").read_text()
                raise Broken(f"`whimbrel dev` does not start:\n{said}")
            await asyncio.sleep(0.05)

    @property
    def _running(self) -> dict[str, Any]:
        running: dict[str, Any] = json.loads(self._store.dev_file.read_text())
        return running

    @property
    def port(self) -> int:
        """Where clients connect."""
        return int(self._running["edge"].rpartition(":")[2])

    @property
    def meter(self) -> Meter:
        """CPU time of all processes; the edge is the `server`."""
        pids: dict[str, int] = self._running["pids"]
        return Meter({"server" if name == "edge" else name: pid for name, pid in pids.items()})

    def pid_of(self, name: str) -> int:
        """Return the process of an edge or service."""
        return int(self._running["pids"][name])

    def signal(self, name: str, number: signal.Signals) -> int:
        """Send a signal to a process and return its pid."""
        pid = self.pid_of(name)
        os.kill(pid, number)
        return pid

    async def metrics(self, *names: str) -> Metrics:
        """Return the sum of what these processes count now."""
        total: Metrics = Counter()
        for name in names:
            status, body = await get(f"{self._running['ops'][name]}/metrics")
            if status != 200:
                raise Broken(f"{name} answers {status} to /metrics")
            for sample, labels, value in _SAMPLE.findall(body):
                total[f"{sample}{{{labels}}}" if labels else sample] += int(float(value))
        return total

    async def renew_edge(self) -> None:
        """Have a new edge process that knows nothing: no part may profit from the one before."""
        before = self._running["pids"]["edge"]
        os.kill(before, signal.SIGKILL)
        await self._until(lambda: self._running["pids"]["edge"] != before)
        await self._until(lambda: self._said("part", "edge") == self._running["pids"]["edge"])
        await self.meter.settled()

    def _said(self, event: str, part: str) -> int | None:
        """Return the pid of the latest ``event`` of ``part``."""
        lines = (self._store.root.parent / "whimbrel.out").read_text().splitlines()
        said = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        pids = [each.get("pid") for each in said if (each["event"], each.get("part")) == (event, part)]
        return pids[-1] if pids else None

    def token(self, user: str, groups: tuple[str, ...] = ()) -> str:
        """Return an access token."""
        request = TokenRequest(user=user, groups=groups, claims={}, ttl=3600)
        return mint(request, self._keys.signer(ISSUER), jti=secrets.token_hex(8), now=time.time())

    def line(self, user: str, channels: Sequence[Channel]) -> str:
        """Return a client's first frame."""
        return connect_frame(self.token(user), {str(channel): None for channel in channels})

    # Publish

    async def publish(
        self, rate: float, count: int, channels: Sequence[Channel], *, series: int | Sequence[int]
    ) -> None:
        """Publish as the notifier does, to one channel after the other; returns when all are stored.

        ``series`` is one for all channels, or one for each: a client tells its channels apart by it.
        """
        assert self._notifier is not None
        bus = self._notifier

        def send(channel: Channel, name: str, data: bytes) -> asyncio.Future[Delivery]:
            body = encode_body(EVENT, name, TIME, data)
            return bus.ask(subjects.publish_subject(channel), body, headers={MSG_ID: name})

        await self._pace(rate, count, channels, series, send)

    async def acknowledged_ms(self, rate: float, count: int) -> list[float]:
        """Publish to one channel, thus to one stream, and return how long each acknowledgement took, from when its
        publication was due.
        """
        assert self._notifier is not None
        bus, took = self._notifier, list[float]()
        told: list[asyncio.Future[Delivery]] = []

        def beat(number: int, due_ns: int) -> None:
            body = encode_body(EVENT, f"{number}", TIME, b"0")
            name = f"{due_ns:018}{number:06}"
            reply = bus.ask(subjects.publish_subject(Channel("orders", "bare")), body, headers={MSG_ID: name})
            reply.add_done_callback(lambda _: took.append((time.monotonic_ns() - due_ns) / 1e6))
            told.append(reply)

        await beats(rate, count, beat)
        for reply in await asyncio.gather(*told):
            jetstream.ack_of(reply)
        return took

    async def events(self, rate: float, count: int, channels: Sequence[Channel], *, series: int) -> None:
        """Publish as a domain team does: events that the development routes send to ``channels`` (of `orders`)."""
        assert self._domain is not None
        bus, happened_at = self._domain, now()

        def send(channel: Channel, name: str, data: bytes) -> asyncio.Future[Delivery]:
            return bus.ask(f"events.shop.order.{channel.name}", data, headers=event_headers(name, happened_at))

        await self._pace(rate, count, channels, series, send)

    async def told(self, rate: float, inboxes: Sequence[Channel], *, series: int) -> None:
        """Publish one event for each of ``inboxes``, whose users its header names."""
        assert self._domain is not None
        bus, happened_at = self._domain, now()

        def send(channel: Channel, name: str, data: bytes) -> asyncio.Future[Delivery]:
            headers = {**event_headers(name, happened_at), "whimbrel-users": channel.name}
            return bus.ask(f"events.bench.note.{channel.name}", data, headers=headers)

        await self._pace(rate, len(inboxes), inboxes, series, send)

    async def event(self, name: str, data: bytes, audience: Mapping[str, str]) -> None:
        """Publish one event that is for those whom the headers ``audience`` name."""
        assert self._domain is not None
        headers = {**event_headers(name, now()), **audience}
        jetstream.ack_of(
            await self._domain.request(f"events.bench.bulk.{name}", data, headers=headers, timeout=ANSWER_S)
        )

    async def in_one_partition(self, channels: Iterable[Channel]) -> Iterator[Channel]:
        """Return those of ``channels`` that the first history stream keeps."""
        partitions = len(await self._history_streams())
        return (channel for channel in channels if subjects.partition_of(channel, partitions) == 0)

    async def _history_streams(self) -> tuple[str, ...]:
        assert self._notifier is not None
        if not self._histories:
            partitions = (await jetstream.layout(self._notifier)).partitions
            self._histories = tuple(subjects.all_history_streams(partitions))
        return self._histories

    async def stored(self) -> int:
        """Return how many publications all history streams have taken so far."""
        assert self._notifier is not None
        names = await self._history_streams()
        asked = (jetstream.request(self._notifier, f"STREAM.INFO.{name}") for name in names)
        return sum(info["state"]["last_seq"] for info in await asyncio.gather(*asked))

    async def until_stored(self, number: int, *, patience_s: float = 60.0) -> None:
        """Wait until ``number`` publications are stored. Raises Broken."""
        deadline = time.monotonic() + patience_s
        while (found := await self.stored()) < number:
            if time.monotonic() > deadline:
                raise Broken(f"{number - found} of {number} publications are not stored after {patience_s:g} s")
            await asyncio.sleep(LOOK_S)

    async def _pace(
        self, rate: float, count: int, channels: Sequence[Channel], series: int | Sequence[int], send: Send
    ) -> None:
        each = [series] * len(channels) if isinstance(series, int) else series
        stored: list[asyncio.Future[Delivery]] = []

        def beat(number: int, due_ns: int) -> None:
            at = number % len(channels)
            data = self._numbers.datum(channels[at], each[at], due_ns)
            stored.append(send(channels[at], f"{due_ns:018}{number:06}", data))

        await beats(rate, count, beat)
        for reply in await asyncio.gather(*stored):
            jetstream.ack_of(reply)

    async def stop(self) -> None:
        """End everything."""
        for connection in (self._notifier, self._domain):
            if connection is not None:
                await connection.close(timeout=1)
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(STOP_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


async def get(url: str) -> tuple[int, str]:
    """Return status and body of an answer. Raises OSError, TimeoutError, ValueError."""
    parts = urlsplit(url)
    async with asyncio.timeout(ANSWER_S):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
            answer = (await reader.read()).decode()
        finally:
            writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body
