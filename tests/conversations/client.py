"""A client under test: a process that is told what to do, and tells what it sees, as lines of JSON."""

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

Json = dict[str, Any]

ANSWERS: Final = ("ready", "advanced", "positions", "ended")  # to a word of ours; everything else is what it sees
ANSWER_S: Final = 60.0  # of the real clock, for an answer, and for the process to start on a busy machine
LINE_BYTES: Final = 4 * 1024 * 1024


class ClientDied(Exception):
    """The process ended, or gives no answer."""


class ClientProcess:
    """``command`` runs it; one process plays one conversation after the other."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = command
        self.states: deque[Json] = deque()
        self.seen: deque[Json] = deque()
        self.happened = asyncio.Event()
        self._answers: asyncio.Queue[Json] = asyncio.Queue()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self, happened: asyncio.Event, **options: Any) -> None:
        """Begin a conversation, in a process that is started if there is none; whatever it tells sets ``happened``."""
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE_BYTES
            )
        self.happened = happened
        self.states.clear()
        self.seen.clear()
        self._answers = asyncio.Queue()
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        await self.ask("start", **options)

    async def ask(self, do: str, **fields: Any) -> Json:
        """Tell the client what to do, and wait until it says that it was done.

        Raises ClientDied.
        """
        self.tell(do, **fields)
        asked = asyncio.ensure_future(self._answers.get())
        assert self._reading is not None
        limit_s = ANSWER_S + float(fields.get("seconds", 0.0))  # it may have no other clock than the real one
        await asyncio.wait([asked, self._reading], timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            asked.cancel()
            how = "ended before it answered" if self._reading.done() else f"gave within {limit_s:g} s no answer to"
            raise ClientDied(f"`{' '.join(self.command)}` {how} `{do}`")
        return asked.result()

    def tell(self, do: str, **fields: Any) -> None:
        """Tell the client what to do."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do} | fields).encode() + b"\n")

    async def stop(self) -> None:
        """End the process."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._reading is not None:
            await self._reading

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            event: Json = json.loads(line)
            match event:
                case {"event": "state"}:
                    self.states.append(event)
                case {"event": kind} if kind in ANSWERS:
                    self._answers.put_nowait(event)
                case _:
                    self.seen.append(event)
            self.happened.set()
