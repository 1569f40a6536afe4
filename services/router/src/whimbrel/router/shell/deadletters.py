"""Events that the notifier put aside: read without a consumer, published again, or dropped."""

from dataclasses import dataclass
from typing import Final

from whimbrel.protocol import publications, subjects
from whimbrel.protocol.bodies import DeadLetter, DeadLettersReply, ReplayReply
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.errors import Refused
from whimbrel.runtime import jetstream
from whimbrel.runtime.delivery import fields, header
from whimbrel.runtime.directget import DirectGet, Stored
from whimbrel.runtime.errors import JetStreamRefused
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection

MAX_LETTERS: Final = 1000
LETTERS: Final = 100
MAX_PAGES: Final = 5  # looked through for one request; a caller who filters goes on where it ended

_GONE: Final = 10043  # JetStream's number for a message that was there
_OURS: Final = frozenset(
    {
        publications.REASON_CODE,
        publications.REASON,
        publications.ORIGINAL_SUBJECT,
        publications.ORIGINAL_SEQUENCE,
    }
)
_SERVERS: Final = "nats-"


@dataclass(frozen=True, slots=True)
class Sought:
    """Which letters are meant: with this reason ``code``, from a subject that ``pattern`` covers; None: any."""

    code: str | None = None
    pattern: str | None = None

    def __contains__(self, letter: DeadLetter) -> bool:
        return self.code in (None, letter.code) and (
            self.pattern is None or subjects.matches(letter.subject, self.pattern)
        )


class DeadLetters:
    """The dead letters."""

    def __init__(self, bus: Connection, reads: DirectGet, log: Logger) -> None:
        self._bus = bus
        self._reads = reads
        self._log = log

    async def read(self, sought: Sought, *, after: int, limit: int) -> DeadLettersReply:
        """Return up to ``limit`` of the letters ``sought`` behind number ``after``; fewer, even none, where they are
        large or far apart.

        Raises BusFault, JetStreamRefused.
        """
        found: list[DeadLetter] = []
        page = limit if sought == Sought() else MAX_LETTERS
        for _ in range(MAX_PAGES):
            batch = await self._reads.batch(subjects.DLQ, None, after + 1, page)
            for stored in batch.messages:
                after = stored.seq
                if (letter := _letter(stored)) in sought:
                    found.append(letter)
                    if len(found) == limit:
                        return DeadLettersReply(
                            letters=tuple(found),
                            after=after,
                            complete=batch.pending == 0 and stored is batch.messages[-1],
                        )
            if not batch.pending:
                return DeadLettersReply(letters=tuple(found), after=after, complete=True)
        return DeadLettersReply(letters=tuple(found), after=after, complete=False)

    async def one(self, number: int) -> DeadLetter:
        """Return a letter.

        Raises Refused where there is none of this number; BusFault, JetStreamRefused.
        """
        return _letter(await self._stored(number))

    async def replay(self, number: int) -> ReplayReply:
        """Publish the event of a letter again, as it came, and drop the letter.

        Safe to repeat, at any time and from several sides: the event is published again under an id that follows from
        the letter, and who comes later than streams remember ids finds it among the events. Raises Refused where there
        is no such letter, or its event is gone; BusFault, JetStreamRefused.
        """
        stored = await self._stored(number)
        letter = _letter(stored)
        own = header(stored.headers, publications.MSG_ID)
        if own is None or not letter.subject:
            raise Refused(ErrorCode.BAD_REQUEST, f"dead letter {number} does not say which event it was")
        again = f"{own}-again"
        before = await self._published(letter, again)
        if before is None:
            headers, payload = await self._event(letter, stored)
            headers[publications.MSG_ID] = again
            acknowledged = await jetstream.publish(self._bus, letter.subject, payload, headers)
            reply = ReplayReply(event_sequence=acknowledged.seq, repeated=acknowledged.duplicate)
        else:
            reply = ReplayReply(event_sequence=before, repeated=True)
        await self.drop(number)
        self._log.info("deadletter.replayed", number=number, subject=letter.subject, **reply.model_dump())
        return reply

    async def drop(self, number: int) -> None:
        """Remove a letter for good; one that is not there is removed.

        Raises BusFault, JetStreamRefused.
        """
        if await self._find(number) is None:
            return
        try:
            await jetstream.request(self._bus, f"STREAM.MSG.DELETE.{subjects.DLQ}", {"seq": number, "no_erase": True})
        except JetStreamRefused as refusal:
            if refusal.err_code != _GONE:  # somebody was faster
                raise
        self._log.info("deadletter.dropped", number=number)

    async def _stored(self, number: int) -> Stored:
        stored = await self._find(number)
        if stored is None:
            raise Refused(ErrorCode.UNRECOVERABLE, f"there is no dead letter {number}, or it is gone")
        return stored

    async def _find(self, number: int) -> Stored | None:
        batch = await self._reads.batch(subjects.DLQ, None, number, 1)
        return batch.messages[0] if batch.messages and batch.messages[0].seq == number else None

    async def _published(self, letter: DeadLetter, again: str) -> int | None:
        """Return where among the events the letter's event already stands again, None where it does not."""
        at = letter.event_sequence + 1
        while True:
            batch = await self._reads.batch(subjects.EVENTS, subjects.stored_event_subjects(letter.subject), at)
            for event in batch.messages:
                if header(event.headers, publications.MSG_ID) == again:
                    return event.seq
            if not batch.pending or not batch.messages:
                return None
            at = batch.messages[-1].seq + 1

    async def _event(self, letter: DeadLetter, stored: Stored) -> tuple[dict[str, str], bytes]:
        """Return headers and payload of the event; a large one is not in the letter, but still among the events."""
        if stored.payload:
            return dict(letter.headers), stored.payload
        batch = await self._reads.batch(subjects.EVENTS, None, letter.event_sequence, 1)
        if not batch.messages or batch.messages[0].seq != letter.event_sequence:
            raise Refused(
                ErrorCode.UNRECOVERABLE,
                f"dead letter {letter.sequence} has no payload, and event {letter.event_sequence} is not kept any more",
            )
        return _publishers(fields(batch.messages[0].headers)), batch.messages[0].payload


def _letter(stored: Stored) -> DeadLetter:
    headers = fields(stored.headers)
    sequence = headers.get(publications.ORIGINAL_SEQUENCE, "")
    return DeadLetter(
        sequence=stored.seq,
        time=stored.time,
        subject=headers.get(publications.ORIGINAL_SUBJECT, ""),
        event_sequence=int(sequence) if sequence.isdecimal() else 0,
        code=headers.get(publications.REASON_CODE, ""),
        reason=headers.get(publications.REASON, ""),
        headers=_publishers(headers),
        data=stored.payload.decode("utf-8", "replace"),
    )


def _publishers(headers: dict[str, str]) -> dict[str, str]:
    """Return the headers that the domain team sent."""
    return {
        name: value for name, value in headers.items() if name not in _OURS and not name.lower().startswith(_SERVERS)
    }
