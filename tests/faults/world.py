"""A real installation in a network of its own, with proxies before it, and what is done to it."""

import asyncio
import fcntl
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final
from urllib.parse import urlsplit

from tests.faults import isolation, team
from tests.faults.clients import FAITHFUL_S, FLEETING_S, Client
from tests.faults.evidence import evidence
from tests.faults.harm import PARTITIONS, Harm, said_by
from tests.faults.inside.sitecustomize import ADDRESSES, FOLDER, ONE_IN, Switches
from tests.faults.proxy import Proxy
from tests.faults.records import History
from tests.faults.schedule import Step
from tests.support.dev import Development, running
from whimbrel.cli.dev.ports import numbered
from whimbrel.cli.dev.store import Store

INSIDE: Final = Path(__file__).with_name("inside")
TEAMS: Final = 6
CHANNELS_EACH: Final = 32  # to which each of a team's events goes
CLIENTS: Final = 12
FAITHFUL: Final = 4  # … of which stay where they are
CHANNELS_OF_A_CLIENT: Final = 32  # so that each channel has two
START_S: Final = 240.0  # on a machine with a load of 30
LOOK_S: Final = 0.05
IMPATIENT: Final = {"WHIMBREL_EDGE_PING_S": "1", "WHIMBREL_EDGE_PONG_S": "2"}  # clients take silence for death
LEDGER_S: Final = 30.0  # the edges tell it once a second, of storms every 10 s, and where the bus takes it
LEDGER_PAUSE_S: Final = 2.0  # each question is a process
SECOND: Final = "notifier-2"  # `whimbrel dev` runs one; the other takes over


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run was, and whether everybody had everything in time."""

    history: History
    settled: bool
    seconds: float


class World:
    """One installation for many runs."""

    def __init__(
        self, development: Development, switches: dict[str, Switches], edges: Sequence[Proxy], bus: Sequence[Proxy]
    ) -> None:
        self._development = development
        self._switches = switches
        self._edges = edges
        self._bus = bus
        self._harm = Harm(development, switches, edges, bus, self._pid)
        self._second: asyncio.subprocess.Process | None = None
        self._tokens = [development.token(f"user-{number}") for number in range(CLIENTS)]  # auth may be away later

    @property
    def parts(self) -> list[str]:
        """What faults can hit."""
        pids = list(self._development.running["pids"])
        services = [part for part in (*pids, SECOND) if not part.startswith("nats")]
        servers = [part for part in pids if part.startswith("nats")]
        cluster = ["leader", *(f"{kind}-{server}" for kind in ("routes", "disk") for server in servers)]
        return [
            *services,
            *servers,
            *(cluster if len(servers) > 1 else ()),
            "team",
            "history",
            *(f"clients-{number}" for number in range(len(self._edges))),
            *(f"client-{number}" for number in range(CLIENTS)),
            *(f"{kind}-{service}" for kind in ("wire", "clock") for service in services),
        ]

    def wake(self, bug: str) -> None:
        """Have the services err from now on as ``bug`` says, or not at all."""
        for switches in self._switches.values():
            switches.bug = bug

    async def run(
        self, name: str, steps: Sequence[Step], random: Random, *, pause_s: float, patience_s: float, events: int = 0
    ) -> Outcome:
        """Have clients follow and teams publish while ``steps`` happen, each team at least ``events``; then until
        everybody has everything, at most ``patience_s`` seconds.
        """
        began = time.monotonic()
        history = History()
        url = urlsplit(self._development.nats)
        bus = await team.connect([f"nats://{url.username}:{url.password}@127.0.0.1:{one.port}" for one in self._bus])
        publishers = [
            team.Publisher(
                bus, f"{name}-{entity}", [f"orders:{name}-{entity}-{n}" for n in range(CHANNELS_EACH)], random
            )
            for entity in range(TEAMS)
        ]
        history.published = {channel: each.published for each in publishers for channel in each.channels}
        self._harm.begin(history)
        clients = [self._client(number, history, random) for number in range(CLIENTS)]
        following = [asyncio.create_task(client.run()) for client in clients]
        publishing: list[asyncio.Task[None]] = []
        hitting: list[asyncio.Task[None]] = []
        try:
            try:
                async with asyncio.timeout(patience_s):  # what comes from then on is everybody's to receive
                    await asyncio.gather(*(client.placed.wait() for client in clients))
            except TimeoutError:
                return Outcome(history, False, time.monotonic() - began)
            publishing += [asyncio.create_task(each.run(pause_s=pause_s)) for each in publishers]
            for step in steps:
                await asyncio.sleep(step.after_s)
                hitting.append(asyncio.create_task(self._harm.hit(step, history, clients)))
            # Sometimes before all is well again: what comes last has nothing behind it that would show it is missing.
            await asyncio.sleep(random.random() * max((step.for_s for step in steps), default=4.0))
            await _until(lambda: all(each.published.begun + 1 >= events for each in publishers), patience_s)
            for each in publishers:
                each.stop()
            await asyncio.gather(*publishing, *hitting)
            settled = await _until(lambda: all(history.has_all(*each) for each in history.seen), patience_s)
            if history.resets and not any(step.kind == "edge" for step in steps):
                history.ledger = await self._ledger(history)  # an edge that was killed took a second of it along
        finally:
            await _ended(*following, *publishing, *hitting)
            await bus.close()
        return Outcome(history, settled, time.monotonic() - began)

    async def evidence(self, history: History) -> list[str]:
        """Return what the streams do not hold, though it was acknowledged; one line each."""
        return await evidence(self._development, history, partitions=PARTITIONS)

    def _client(self, number: int, history: History, random: Random) -> Client:
        channels = sorted(history.published)
        return Client(
            f"user-{number}",
            [
                channels[(number * CHANNELS_OF_A_CLIENT + each * 5) % len(channels)]
                for each in range(CHANNELS_OF_A_CLIENT)
            ],
            history,
            edges=[f"http://127.0.0.1:{proxy.port}" for proxy in self._edges],
            token=self._tokens[number],
            known=lambda channel: history.published[channel].begun,
            life_s=FAITHFUL_S if number < FAITHFUL else FLEETING_S,
            random=Random(random.random()),
        )

    # The second notifier

    async def keep_second(self, log: Path) -> None:
        """Run another notifier, started again whenever it dies; until cancelled."""
        environment = await asyncio.to_thread(_environment_of, self._pid("notifier"))
        environment |= {"WHIMBREL_NOTIFIER_INSTANCE": SECOND, "WHIMBREL_NOTIFIER_OPS_PORT": "9093"}
        with log.open("wb") as output:
            while True:
                self._second = second = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "whimbrel.notifier", env=environment, stdout=output, stderr=output
                )
                try:
                    await second.wait()
                finally:
                    if second.returncode is None:
                        second.kill()
                        await second.wait()

    def _pid(self, part: str) -> int:
        if part == SECOND:
            return self._second.pid if self._second is not None else 0
        return int(self._development.running["pids"].get(part, 0))

    async def _ledger(self, history: History) -> dict[str, int]:
        """Ask how many were told to reload, by channel, until the ledger knows of all or its time is over."""
        deadline = time.monotonic() + LEDGER_S
        while True:
            said = await asyncio.to_thread(said_by, self._development, "gaps", "--limit", "1000", "--json")
            known: Counter[str] = Counter()
            for line in said.splitlines():
                gap = json.loads(line)
                known[gap["channel"]] += gap["clients"]
            if known >= history.told or time.monotonic() > deadline:
                return dict(known)
            await asyncio.sleep(LEDGER_PAUSE_S)


async def _until(so: Callable[[], bool], patience_s: float) -> bool:
    """Wait until something is so; return whether it was within ``patience_s``."""
    deadline = time.monotonic() + patience_s
    while not so():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_S)
    return True


async def _ended(*tasks: asyncio.Task[None]) -> None:
    waiting: set[asyncio.Task[None]] = set(tasks)
    while waiting:  # what the tasks call may swallow a cancellation
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=1.0)


def _environment_of(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().rstrip(b"\0").split(b"\0")
    return dict(pair.decode().split("=", 1) for pair in pairs)


@contextmanager
def _installation(
    folder: Path, *, nats_servers: int, edges: int, one_in: int
) -> Iterator[tuple[Development, dict[str, Switches]]]:
    levers = folder / "switches"
    levers.mkdir(parents=True)
    switches = {part: Switches.make(levers, part) for part in ADDRESSES}
    environment = {**IMPATIENT, "PYTHONPATH": str(INSIDE), FOLDER: str(levers), ONE_IN: str(one_in)}
    with ExitStack() as disks:
        if nats_servers > 1:
            store = Store(folder / "store")
            for name in numbered("nats", nats_servers):
                disks.enter_context(isolation.disk(store.streams(nats_servers, name)))
            store.stamp()  # or it is taken for one that an older version made
        options = ("--ports", "", "--nats-servers", str(nats_servers), "--edges", str(edges))
        with ExitStack() as stack:
            with _turn():
                development = stack.enter_context(running(folder, *options, patience_s=START_S, **environment))
            yield development, switches


@contextmanager
def _turn() -> Iterator[None]:
    """Wait until no other installation is starting: several at once on two cores would take each other's time."""
    with Path(__file__).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@asynccontextmanager
async def world(folder: Path, *, nats_servers: int, edges: int, one_in: int) -> AsyncIterator[World]:
    """Start an installation with proxies before it; bugs that are awake spoil one publication in ``one_in``."""
    with _installation(folder, nats_servers=nats_servers, edges=edges, one_in=one_in) as (development, switches):
        doors = [await _proxy(url).start() for url in development.running["edges"]]
        bus = [await _proxy(url).start() for url in development.running["nats_servers"]]
        place = World(development, switches, doors, bus)
        second = asyncio.create_task(place.keep_second(folder / "store/logs" / f"{SECOND}.log"))
        try:
            yield place
        finally:
            second.cancel()
            await asyncio.wait([second])
            for proxy in (*doors, *bus):
                await proxy.stop()


def _proxy(url: str) -> Proxy:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return Proxy(parts.hostname, parts.port)
