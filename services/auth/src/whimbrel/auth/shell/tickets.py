"""Makes tickets and redeems each of them once, whichever process is asked."""

import asyncio
from collections.abc import Callable
from typing import Final

from pydantic import ValidationError

from whimbrel.auth.core.tickets import TICKET_BYTES, Ticket, draw, judge, ticket_key
from whimbrel.auth.shell.metrics import Counts
from whimbrel.protocol.bodies import TicketReply
from whimbrel.protocol.rpc import Claims, RedeemRequest, TokenVerdict, VerifyReply
from whimbrel.runtime.errors import RequestRefused
from whimbrel.runtime.kv import Bucket, RevisionConflict

MAX_TICKETS: Final = 256  # in one request; an edge joins fewer, for the answer has to fit into one message
LAG_S: Final = 0.1  # a replica that answers reads is up to 20 ms behind right after a write
SPENT_S: Final = 60  # how long a spent ticket is told apart from one that never was: past its own end


class Tickets:
    """Tickets in the bucket TICKETS."""

    def __init__(
        self, bucket: Bucket, counts: Counts, *, clock: Callable[[], float], entropy: Callable[[int], bytes]
    ) -> None:
        self._bucket = bucket
        self._counts = counts
        self._clock = clock
        self._entropy = entropy

    async def make(self, claims: Claims) -> TicketReply:
        """Return a ticket for who these are. Raises BusFault, JetStreamRefused."""
        now = self._clock()
        text, ticket = draw(claims, entropy=self._entropy(TICKET_BYTES), now=now)
        key = ticket_key(text)
        assert key is not None
        await self._bucket.create(key, ticket.model_dump_json(exclude_defaults=True).encode(), ttl_s=SPENT_S)
        self._counts.tickets["made"] += 1
        return TicketReply(ticket=text, expires_in=int(ticket.until - now))

    async def redeem(self, payload: bytes) -> bytes:
        """Answer one RedeemRequest with a VerifyReply.

        Raises RequestRefused for one that is malformed or holds more than MAX_TICKETS, BusFault, JetStreamRefused.
        """
        try:
            tickets = RedeemRequest.model_validate_json(payload).tickets
        except ValidationError:
            raise RequestRefused(400, "not a RedeemRequest") from None
        if len(tickets) > MAX_TICKETS:
            raise RequestRefused(413, f"{len(tickets)} tickets in one request, at most {MAX_TICKETS}")
        verdicts = await asyncio.gather(*map(self._redeem, tickets))
        return VerifyReply(verdicts=tuple(verdicts)).model_dump_json(exclude_defaults=True).encode()

    async def _redeem(self, text: str) -> TokenVerdict:
        key = ticket_key(text)
        verdict = judge(None, now=self._clock()) if key is None else await self._spend(key)
        self._counts.tickets["redeemed" if verdict.code == "ok" else "refused"] += 1
        return verdict

    async def _spend(self, key: str) -> TokenVerdict:
        entry = await self._bucket.get(key)
        if entry is None:
            await asyncio.sleep(LAG_S)
            entry = await self._bucket.get(key)
        ticket = None if entry is None else Ticket.model_validate_json(entry.value)
        verdict = judge(ticket, now=self._clock())
        if entry is not None and ticket is not None and verdict.code == "ok":
            spent = Ticket(until=ticket.until).model_dump_json(exclude_defaults=True).encode()
            try:
                await self._bucket.update(key, spent, entry.revision, ttl_s=SPENT_S)
            except RevisionConflict:  # somebody else was faster
                return judge(None, now=self._clock())
        return verdict
