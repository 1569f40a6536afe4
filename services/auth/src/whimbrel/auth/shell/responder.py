"""Answers `rpc.auth.v1.verify` and `rpc.auth.v1.redeem`: the tokens or tickets of one tick of an edge at a time."""

import asyncio
from collections.abc import Callable
from typing import Final

from pydantic import ValidationError

from whimbrel.auth.core.verdicts import Verdicts
from whimbrel.auth.shell.metrics import Counts
from whimbrel.auth.shell.tickets import Tickets
from whimbrel.protocol import subjects
from whimbrel.protocol.rpc import TokenVerdict, VerifyReply, VerifyRequest
from whimbrel.runtime.errors import RequestRefused
from whimbrel.runtime.nats import Connection

MAX_TOKENS: Final = 1024  # in one request; their verdicts fit one NATS message
SLICE: Final = 16  # tokens between two turns of the loop: 2.5 ms of ES256 signatures


class Responder:
    """Judges tokens for edges; what ``tickets`` stand for is theirs to say."""

    def __init__(self, verdicts: Verdicts, tickets: Tickets, counts: Counts, *, clock: Callable[[], float]) -> None:
        self._verdicts = verdicts
        self._tickets = tickets
        self._counts = counts
        self._clock = clock

    async def attach(self, bus: Connection) -> None:
        """Take part in answering."""
        await bus.respond(subjects.AUTH_VERIFY, self.verify, queue=subjects.AUTH_QUEUE)
        await bus.respond(subjects.AUTH_REDEEM, self._tickets.redeem, queue=subjects.AUTH_QUEUE)

    async def verify(self, payload: bytes) -> bytes:
        """Answer one VerifyRequest.

        Raises RequestRefused for one that is malformed or holds more than MAX_TOKENS.
        """
        try:
            tokens = VerifyRequest.model_validate_json(payload).tokens
        except ValidationError:
            raise RequestRefused(400, "not a VerifyRequest") from None
        if len(tokens) > MAX_TOKENS:
            raise RequestRefused(413, f"{len(tokens)} tokens in one request, at most {MAX_TOKENS}")
        verdicts: list[TokenVerdict] = []
        for token in tokens:
            verdict = self._verdicts.judge(token, now=self._clock())
            self._counts.verdicts[verdict.code] += 1
            verdicts.append(verdict)
            if len(verdicts) % SLICE == 0:
                await asyncio.sleep(0)
        return VerifyReply(verdicts=tuple(verdicts)).model_dump_json(exclude_defaults=True).encode()
