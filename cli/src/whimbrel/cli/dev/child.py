"""One process that must not outlive us."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from whimbrel.cli.dev.parts import Part
from whimbrel.cli.exits import Failure

LAST_LINES: Final = 12  # of a child that did not start, shown to whoever wonders
LAST_COMPLAINTS: Final = 3  # of a child that died; its log has the rest
MAX_LINE_BYTES: Final = 1024 * 1024  # of a log; a longer one is a mistake, and is not shown
READY_POLL_S: Final = 0.05
READY_ANSWER_S: Final = 2.0
KILL_AFTER_S: Final = 5.0  # a child that was asked to end has this long
QUIET: Final = (" INFO ", " DEBUG ", "INFO: ", "[INF]", "[DBG]", "[TRC]")
WARNINGS: Final = (" WARNING ", " ERROR ", "[WRN]", "[ERR]", "[FTL]")
EXPECTED: Final = (
    "Plaintext passwords detected",  # those of a development store, drawn at random
    "failed to be ready for connections",  # what NATS says of our own asking whether it is ready
)
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


class Child:
    """A part at work. What it writes goes to ``log``; warnings go to ``warn`` as well.

    Until it is ready its warnings are only counted: a bus that was killed has one per stream to say as it recovers.
    """

    def __init__(self, part: Part, log: Path, warn: Callable[[str], None]) -> None:
        self.part = part
        self.log = log
        self.tail: deque[str] = deque(maxlen=LAST_LINES)
        self.complaints: deque[str] = deque(maxlen=LAST_COMPLAINTS)
        self.started = 0.0
        self._held: int | None = 0  # warnings of the start; None once it is ready
        self._warn = warn
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The process id of the latest start."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start the process, in a group of its own: a Ctrl-C on the terminal is ours to pass on, in order.

        Raises Failure.
        """
        self.started = time.monotonic()
        self.tail.clear()
        self.complaints.clear()
        self._held = 0
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.part.command,
                env={**os.environ, **self.part.env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=MAX_LINE_BYTES,
                process_group=0,
                preexec_fn=_die_with(os.getpid()),
            )
        except OSError as error:
            raise Failure(f"{self.part.name} cannot be started ({self.part.command[0]}): {error.strerror}") from error
        self._reading = asyncio.create_task(self._read(), name=f"log of {self.part.name}")

    async def ready(self) -> float:
        """Wait until the part may be used; return the seconds since its start. Never returns for one that died."""
        while True:
            if await answers(self.part.ready):
                self.release()
                return time.monotonic() - self.started
            await asyncio.sleep(READY_POLL_S)

    async def ended(self) -> int:
        """Wait for the end of the process and of its log; return the exit code, negative for a signal."""
        assert self._process is not None
        assert self._reading is not None
        code = await self._process.wait()
        await self._reading
        return code

    async def stop(self) -> None:
        """Ask the process to end, and make it end."""
        if self._process is None or self._process.returncode is not None:
            return
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(KILL_AFTER_S):
                await self.ended()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.ended()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if there is anybody to receive it."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self.log.open("ab") as log:
            while line := await _line(self._process.stdout):
                log.write(line)
                log.flush()
                text = line.decode(errors="replace").rstrip()
                self.tail.append(text)
                self.heed(text)

    def heed(self, text: str) -> None:
        """Take note of a line that the process wrote."""
        if any(each in text for each in EXPECTED):
            return
        if text and not any(mark in text for mark in QUIET):  # a traceback has no mark of its own
            self.complaints.append(text)
        if not any(mark in text for mark in WARNINGS):
            return
        if self._held is None:
            self._warn(text)
        else:
            self._held += 1

    def release(self) -> None:
        """Say in one line how much was held back: after a kill, NATS tells at length how it reads its files again."""
        held, self._held = self._held or 0, None
        if held:
            warnings = "1 warning" if held == 1 else f"{held} warnings"
            self._warn(f"{self.part.name} had {warnings} as it started: see {self.log}")


async def answers(url: str) -> bool:
    """Tell whether a GET earns 200. By hand: an HTTP client costs more than the services' own start leaves over."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(READY_ANSWER_S):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
            status = await reader.readline()
            writer.close()
    except (OSError, TimeoutError):
        return False
    return status.split()[1:2] == [b"200"]


async def _line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError:  # longer than the limit: the rest of it comes as a line of its own
        return b"[a line too long to show]\n"


def _die_with(parent: int) -> Callable[[], None]:
    """Return what makes a child die with ``parent``, however that ends: kill -9 runs nobody's clean-up.

    Linux alone can do so (prctl(2), PR_SET_PDEATHSIG); elsewhere children of a killed `whimbrel dev` stay.
    """
    if not sys.platform.startswith("linux"):
        return lambda: None
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)

    return prepare
