"""Plays a script: the edge's part and the application's, and compares what the client makes of it."""

import asyncio
import textwrap
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from tests.conversations.answers import WELCOME, refusal, whole
from tests.conversations.client import ClientProcess
from tests.conversations.commands import Json
from tests.conversations.edge import Arrival, ScriptedEdge
from tests.conversations.lines import CUT, INBOX, Gone, Line, PollLine
from tests.conversations.patterns import Names, difference
from tests.conversations.script import OVER, Farewell, Script, Step

PATIENCE_S: Final = 10.0  # of the real clock, for what is expected next; only a conversation that fails waits for it
MAX_UNDER_WAY: Final = 64  # requests of one session: an edge refuses more, for now
STEPS: Final = 20  # in which the time passes in which a client is to come …
SHORTEST_STEP_S: Final = 0.1
LONGEST_STEP_S: Final = 2.0  # … less than it waits for an answer (4 s)
SHOWN_CHARS: Final = 300  # of each
SHOWN: Final = 8  # of what the client did beyond what was expected
TURNS: Final = 5  # of the loop, in which what has already arrived is noticed


@dataclass(frozen=True, slots=True)
class Mismatch(Exception):
    """The client did something else than the script expects."""

    script: Script
    step: Step
    place: int
    what: str
    log: tuple[str, ...]

    def __str__(self) -> str:
        where = f"line {self.step.line}" if self.step.line else "its beginning"
        before = "".join(f"\n      {each}" for each in self.log)
        return (
            f"{self.script} failed at step {self.place} ({self.script.name}.yaml, {where}):\n"
            f"  - {self.step}\n{self.what}\n"
            f"  guards: {self.script.guards}\n  before it:{before}"
        )


class _Unmet(Exception):
    """What a step expected, and what came instead."""


class Play:
    """One conversation with ``client``."""

    def __init__(self, script: Script, client: ClientProcess, *, patience_s: float = PATIENCE_S) -> None:
        self._script = script
        self._client = client
        self._patience_s = patience_s
        self._edge = ScriptedEdge()
        self._names: Names = {}
        self._line: Line | None = None  # opened last
        self._arrival: Arrival | None = None
        self._asked: dict[str, int] = {}  # by line, id of the request that was heard last
        self._log: deque[str] = deque(maxlen=12)

    async def run(self) -> None:
        """Play all steps.

        Raises Mismatch, and ClientDied.
        """
        async with self._edge:
            for place, step in enumerate(self._script.steps, start=1):
                try:
                    await self._play(step)
                except _Unmet as unmet:
                    await self._settle()
                    raise Mismatch(self._script, step, place, str(unmet), (*self._log, *self._left())) from None
                self._log.append(f"ok  {step}")
            await self._settle()
            if left := self._left():
                last = self._script.steps[-1]
                why = "  expected nothing more, and got:\n    " + "\n    ".join(left)
                raise Mismatch(self._script, last, len(self._script.steps), why, tuple(self._log))
            await self._client.ask("end")

    async def _play(self, step: Step) -> None:
        verb, value = step.verb, step.value
        match verb:
            case "start":
                begun = [each.model_dump(exclude_none=True) for each in value]
                tokens = list(self._script.tokens)
                options = {"url": self._edge.url, "transport": self._script.over, "tokens": tokens, "subscribe": begun}
                await self._client.start(self._edge.happened, **options)
            case "unsubscribe" | "resume" | "presence":
                self._client.tell(verb, channel=value)
            case "subscribe" | "ack" | "history":
                self._client.tell(verb, **value.model_dump(exclude_none=True))
            case "publish":
                said = value.model_dump(exclude_none=True, exclude={"times", "bytes"})
                text = {} if value.bytes is None else {"data": "x" * value.bytes}
                for _ in range(value.times):
                    self._client.tell(verb, **said | text)
            case "stop":
                self._client.tell(verb)
            case "states" | "applies" | "sees" | "stands":
                await self._application(verb, value)
            case "arrives" | "connects" | "hears" | "gone":
                await self._expect_of_client(step)
            case "serve":
                await self._serve(self._on(step), value)
            case "advise":
                self._edge.advice = value
            case "within":
                await self._await_arrival(value)
            case "passes":
                await self._pass(value)
            case "quiet":
                await self._expect_nothing(f"before {value:g} s in which nothing may happen")
                await self._pass(value)
                await self._expect_nothing(f"within {value:g} s in which nothing may happen")
            case _:
                self._act(step)

    # --- what the edge does

    def _act(self, step: Step) -> None:
        verb, value = step.verb, step.value
        if verb in ("refuse", "hold") or (verb in ("cut", "accept") and self._arrival is not None):
            arrival, self._arrival = self._arrival, None
            if arrival is None:
                raise _Unmet("  nobody has arrived: `arrives` comes first")
            if verb == "accept":
                self._line = self._edge.accept(arrival, step.modifiers.name or self._next_name())
            elif verb != "hold":
                arrival.decided.set_result(refusal(value) if verb == "refuse" else CUT)
            return
        line = self._on(step)
        match verb:
            case "welcome":
                channels = {"inbox": INBOX} | value.get("channels", {})
                line.welcome(whole(WELCOME | {"id": self._asked.get(line.name, 1)} | value | {"channels": channels}))
            case "reply":
                line.reply(whole({"id": self._asked.get(line.name, 0)} | value))
            case "send":
                line.send([whole(each) for each in value])
            case "say":
                line.say(value)
            case "beat":
                line.beat()
            case "cut":
                line.cut()
            case "mute":
                line.mute()
            case "close":
                self._close(line, value)
            case _:
                raise AssertionError(f"{verb} is not played")

    def _close(self, line: Line, farewell: Farewell) -> None:
        reconnect = farewell.code < 4500 if farewell.reconnect is None else farewell.reconnect
        said = {"code": farewell.code, "slug": farewell.slug, "reason": farewell.slug, "after_ms": farewell.after_ms}
        line.close(None if farewell.quietly else {"type": "disconnect", "reconnect": reconnect} | said, farewell.code)

    # --- what is expected

    async def _expect_of_client(self, step: Step) -> None:
        match step.verb:
            case "arrives":
                self._arrival = await self._arrives(self._script.over if step.value == OVER else step.value)
            case "connects":
                over = step.modifiers.over or ("websocket" if self._script.over == "auto" else self._script.over)
                line = self._line = self._edge.accept(
                    await self._arrives(over), step.modifiers.name or self._next_name()
                )
                await self._hears(line, {"type": "connect"} | step.value)
            case "hears":
                await self._hears(self._on(step), step.value)
            case _:
                line = self._on(step)
                if isinstance(line, PollLine):
                    return  # who polls no longer does not say so
                got = await self._next(line.heard, f"that the client leaves connection {line.name}")
                if not isinstance(got, Gone):
                    raise _Unmet(f"  expected that the client leaves connection {line.name}\n  got      {got}")

    async def _arrives(self, transport: str) -> Arrival:
        arrival: Arrival = await self._next(self._edge.arrivals, f"a client over {transport}")
        if arrival.transport != transport:
            raise _Unmet(f"  expected a client over {transport}\n  got      one over {arrival.transport}")
        return arrival

    async def _await_arrival(self, limit_s: float) -> None:
        """Let time pass until the client arrives; in small steps, for who has arrived must not be kept waiting."""
        passed_s, step_s = 0.0, min(LONGEST_STEP_S, max(limit_s / STEPS, SHORTEST_STEP_S))
        await self._settle()
        while not self._edge.arrivals and passed_s < limit_s:
            step_s = min(step_s, limit_s - passed_s)
            await self._advance(step_s)
            passed_s += step_s
        await self._next_is(self._edge.arrivals, f"that the client comes within {limit_s:g} s")

    async def _pass(self, seconds: float) -> None:
        """Let time pass; a poll that waits is answered when its time is over."""
        left_s = seconds
        while left_s > 0:
            waits = [wait_s for line in self._edge.lines.values() if (wait_s := line.wait_s) is not None]
            step_s = min([left_s, *(max(wait_s, SHORTEST_STEP_S) for wait_s in waits)])
            await self._advance(step_s)
            left_s -= step_s

    async def _advance(self, seconds: float) -> None:
        await self._client.ask("advance", seconds=seconds)
        for line in self._edge.lines.values():
            line.passed(seconds)
        await self._settle()

    async def _hears(self, line: Line, pattern: Json) -> None:
        got = await self._next(line.heard, f"on connection {line.name}: {pattern}")
        if isinstance(got, Gone):
            raise _Unmet(f"  expected {pattern}\n  got      the end of connection {line.name}")
        if "id" in got:
            self._asked[line.name] = got["id"]
        self._compare(pattern, got)

    async def _serve(self, line: Line, times: int) -> None:
        """Answer ``times`` publishes, of which never more are under way than an edge takes."""
        for _ in range(times):
            await self._hears(line, {"type": "publish"})
            await self._client.ask("positions")  # whatever it would say without an answer, it has said
            if len(line.heard) >= MAX_UNDER_WAY:
                raise _Unmet(f"  expected at most {MAX_UNDER_WAY} requests under way\n  got      {len(line.heard) + 1}")
            line.reply({"type": "ok", "id": self._asked[line.name]})
        for _ in range(times):
            await self._application("sees", {"event": "answer", "to": "publish"})

    async def _application(self, verb: str, value: Any) -> None:
        match verb:
            case "states":
                for each in value:
                    state, _, code = each.partition(" ")
                    expected = {"event": "state", "state": state} | ({"code": int(code)} if code else {})
                    self._compare(expected, await self._next(self._client.states, f"state {each}"))
            case "applies":
                for each in value:
                    got = await self._next(self._client.seen, f"that the application is given {each!r}")
                    self._compare({"event": "publication", "data": each}, got)
            case "sees":
                self._compare(value, await self._next(self._client.seen, f"that the application sees {value}"))
            case _:
                expected = {name: place.model_dump() for name, place in value.items()}
                answer = await self._client.ask("positions")
                self._compare(expected, answer["positions"])

    def _compare(self, expected: Any, got: Any) -> None:
        found = difference(expected, got, self._names)
        if found is not None:
            raise _Unmet(f"  expected {expected}\n  got      {got}\n  {found}")

    async def _next(self, queue: deque[Any], expected: str) -> Any:
        """Return what comes next in ``queue``."""
        await self._next_is(queue, expected)
        return queue.popleft()

    async def _next_is(self, queue: deque[Any], expected: str) -> None:
        """Wait until there is something in ``queue``, within the patience."""
        try:
            async with asyncio.timeout(self._patience_s):
                while not queue:
                    self._edge.happened.clear()
                    await self._edge.happened.wait()
        except TimeoutError:
            raise _Unmet(f"  expected {expected}\n  got      nothing within {self._patience_s:g} s") from None

    async def _expect_nothing(self, when: str) -> None:
        await self._settle()
        if left := self._left():
            raise _Unmet(f"  expected nothing {when}\n  got      " + "\n           ".join(left))

    async def _settle(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)

    def _left(self) -> list[str]:
        """Return what the client did and no step has looked at."""
        arrived = [f"a client over {each.transport}" for each in self._edge.arrivals]
        heard = [
            f"on connection {line.name}: {'its end' if isinstance(each, Gone) else each}"
            for line in self._edge.lines.values()
            for each in line.heard
        ]
        told = [f"to the application: {each}" for each in (*self._client.states, *self._client.seen)]
        left = [textwrap.shorten(each, SHOWN_CHARS) for each in (*arrived, *heard, *told)]
        return left if len(left) <= SHOWN else [*left[:SHOWN], f"… and {len(left) - SHOWN} more"]

    def _on(self, step: Step) -> Line:
        line = self._edge.lines.get(step.modifiers.via) if step.modifiers.via else self._line
        if line is None:
            raise _Unmet(f"  there is no connection {step.modifiers.via or ''}: `connects` comes first")
        return line

    def _next_name(self) -> str:
        return str(len(self._edge.lines) + 1)
