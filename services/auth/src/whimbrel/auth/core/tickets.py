"""Tickets: what stands for an access token where no header can be sent, in the URL of an EventSource or an upgrade.

URLs are written into logs, so a ticket is good once and for TICKET_S. It is random text; what it stands for is kept
under its hash, and being redeemed is a write that only one of several can make.
"""

import base64
import hashlib
import re
from typing import Final

from pydantic import BaseModel, ConfigDict

from whimbrel.protocol.limits import TICKET_S
from whimbrel.protocol.rpc import Claims, TokenVerdict

TICKET_BYTES: Final = 24  # 192 bits: not to be guessed among however many are good at once
_TICKET: Final = re.compile(r"[A-Za-z0-9_-]{32}")
_SPENT: Final = TokenVerdict(code="unauthorized", reason="this ticket was used before, or is older than 30 s")


class Ticket(BaseModel):
    """A ticket as the store keeps it. ``until`` is Unix seconds; without ``claims`` it is spent."""

    model_config = ConfigDict(frozen=True)

    until: float
    claims: Claims | None = None


def draw(claims: Claims, *, entropy: bytes, now: float) -> tuple[str, Ticket]:
    """Return a ticket's text and what is kept of it; it ends with the token at the latest.

    ``entropy`` are TICKET_BYTES fresh random bytes.
    """
    return base64.urlsafe_b64encode(entropy).decode(), Ticket(until=min(now + TICKET_S, claims.exp), claims=claims)


def ticket_key(text: str) -> str | None:
    """Return the key of a ticket in the store, None for a text that never was one."""
    return hashlib.sha256(text.encode()).hexdigest() if _TICKET.fullmatch(text) else None


def judge(ticket: Ticket | None, *, now: float) -> TokenVerdict:
    """Return what a ticket stands for; before an ``ok`` is told it must be marked as spent."""
    if ticket is None or ticket.claims is None or now >= ticket.until:
        return _SPENT
    return TokenVerdict(code="ok", claims=ticket.claims)
