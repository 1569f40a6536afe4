"""How sessions are, and how they ended: asked of the edges first, then read from stream SESSIONS, newest first."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

from pydantic import ValidationError

from whimbrel.protocol import subjects
from whimbrel.protocol.bodies import SessionReply, SessionsReply
from whimbrel.protocol.sessions import (
    PodBeat,
    SessionBatch,
    SessionBegun,
    SessionRecord,
    SessionsAnswer,
    SessionsQuestion,
)
from whimbrel.router.core import fates
from whimbrel.router.shell.newest import newest_first
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.kv import Bucket
from whimbrel.runtime.nats import Connection, Delivery

ANSWER_S: Final = 0.3  # nobody knows how many edges there are, so all have this long to answer
MAX_PODS: Final = 1000


class Told(NamedTuple):
    """What the edges answered: their names, and what they hold."""

    pods: frozenset[str]
    sessions: tuple[SessionRecord, ...]


class Sessions:
    """Every method raises BusFault and JetStreamRefused."""

    def __init__(self, bus: Connection, reads: DirectGet, *, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._reads = reads
        self._pods = Bucket(bus, reads, subjects.PODS)
        self._clock = clock

    async def find(self, session: str) -> SessionReply | None:
        """Return what is known of ``session``; None where nobody knows it, or no longer."""
        told = await self._ask(SessionsQuestion(session=session))
        for record in told.sessions:
            return fates.of_living(record, self._clock())
        needle = f'"{session}"'.encode()
        begun: tuple[str, SessionBegun] | None = None
        async for batch in self._newest_first(needle):
            for ended in batch.ended:
                if ended.session == session:
                    return fates.of_ended(ended, None)
            begun = begun or next(((batch.pod, each) for each in batch.begun if each.session == session), None)
            if begun is not None:  # its end, if any, would have come first
                break
        return None if begun is None else await self._missing(*begun, told)

    async def of_user(self, user: str, *, limit: int) -> SessionsReply:
        """Return up to ``limit`` sessions of ``user``: those that live, then the latest that ended."""
        told = await self._ask(SessionsQuestion(user=user))
        now = self._clock()
        found = {record.session: fates.of_living(record, now) for record in told.sessions}
        async for batch in self._newest_first(_json_text(user)):
            for ended in reversed(batch.ended):
                if ended.user == user and ended.session not in found:
                    found[ended.session] = fates.of_ended(ended, None)
            for begun in reversed(batch.begun):
                if begun.user == user and begun.session not in found:
                    found[begun.session] = await self._missing(batch.pod, begun, told)
            if len(found) >= limit:
                break
        latest = sorted(found.values(), key=lambda reply: (reply.fate == "open", _when(reply)), reverse=True)
        return SessionsReply(sessions=tuple(latest[:limit]))

    async def _missing(self, pod: str, begun: SessionBegun, told: Told) -> SessionReply:
        entry = await self._pods.get(pod)
        beat = None if entry is None else PodBeat.model_validate_json(entry.value)
        return fates.of_begun(pod, begun, beat, answered=pod in told.pods, now=self._clock())

    async def _ask(self, question: SessionsQuestion) -> Told:
        pods: set[str] = set()
        sessions: list[SessionRecord] = []
        enough: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def receive(delivery: Delivery) -> None:
            with contextlib.suppress(ValidationError):  # of another version: not understood is not answered
                answer = SessionsAnswer.model_validate_json(delivery.payload)
                pods.add(answer.pod)
                sessions.extend(answer.sessions)
                if len(pods) >= MAX_PODS and not enough.done():
                    enough.set_result(None)

        address = self._bus.inbox.collect(receive, enough)
        try:
            await self._bus.publish(subjects.EDGE_SESSIONS, question.model_dump_json().encode(), reply=address)
            await asyncio.wait([enough], timeout=ANSWER_S)
        finally:
            enough.cancel()
        return Told(frozenset(pods), tuple(sessions))

    async def _newest_first(self, needle: bytes) -> AsyncIterator[SessionBatch]:
        """Yield the batches that contain ``needle``, the latest first."""
        async for message in newest_first(self._reads, subjects.SESSIONS, subjects.SESSIONS_ALL):
            if needle in message.payload:
                with contextlib.suppress(ValidationError):
                    yield SessionBatch.model_validate_json(message.payload)


def _when(reply: SessionReply) -> float:
    return reply.record.closed_at or reply.record.opened_at


def _json_text(text: str) -> bytes:
    """Return ``text`` as it stands in JSON."""
    return SessionsQuestion(user=text).model_dump_json(include={"user"})[len('{"user":') : -1].encode()
