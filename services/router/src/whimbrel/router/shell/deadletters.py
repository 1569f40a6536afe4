"""Events that the notifier put aside, read without a consumer."""

from typing import Final

from whimbrel.protocol import publications, subjects
from whimbrel.protocol.bodies import DeadLetter, DeadLettersReply
from whimbrel.runtime.delivery import fields
from whimbrel.runtime.directget import DirectGet, Stored

MAX_LETTERS: Final = 1000
LETTERS: Final = 100

_OURS: Final = frozenset(
    {
        publications.REASON_CODE,
        publications.REASON,
        publications.ORIGINAL_SUBJECT,
        publications.ORIGINAL_SEQUENCE,
    }
)
_SERVERS: Final = "Nats-"


class DeadLetters:
    """The dead letters."""

    def __init__(self, reads: DirectGet) -> None:
        self._reads = reads

    async def read(self, *, after: int, limit: int) -> DeadLettersReply:
        """Return up to ``limit`` letters behind sequence ``after``, fewer where they are large; none: that was all.

        Raises BusFault, JetStreamRefused.
        """
        batch = await self._reads.batch(subjects.DLQ, None, after + 1, limit)
        return DeadLettersReply(letters=tuple(map(_letter, batch.messages)))


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
        headers={name: value for name, value in headers.items() if name not in _OURS and not name.startswith(_SERVERS)},
        data=stored.payload.decode("utf-8", "replace"),
    )
