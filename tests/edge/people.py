"""Sessions, identities and publications for the tests of the edge's cores."""

import json
from collections.abc import Sequence
from typing import Any

from whimbrel.edge.core.effects import Close, Effect, Identified, Open, Send
from whimbrel.edge.core.hub import Turn
from whimbrel.edge.core.identity import Identity
from whimbrel.edge.core.liveness import Terms
from whimbrel.edge.core.quotas import Quotas
from whimbrel.edge.core.ring import Stored
from whimbrel.edge.core.session import Session
from whimbrel.edge.core.subscription import Opened
from whimbrel.protocol.namespaces import Grant, Namespace
from whimbrel.protocol.publications import encode_body

RULES = {
    "orders": Namespace(durable=True, subscribe="authenticated"),
    "typing": Namespace(durable=False, subscribe="authenticated", publish="subscribers"),
    "secret": Namespace(durable=True),
}
EPOCH = "e1"
NOON = 1_000_000.0  # Unix seconds


def alice(*groups: str, expires: float = NOON + 3600, grants: tuple[Grant, ...] = ()) -> Identity:
    return Identity(
        user="alice",
        groups=frozenset(groups),
        token_groups=frozenset(),
        grants=grants,
        expires=int(expires),
        token_id="t1",
        token_issued=int(NOON),
    )


def a_new_session(*, requests_per_s: float = 400.0, **terms: Any) -> Session:
    rules = Terms(**terms)
    quotas = Quotas(requests_per_s=requests_per_s, publish_per_s=rules.publish_per_s)
    return Session("s1", rules, RULES, quotas, now=0.0)


def say(session: Session, frame: object, *, now: float = 0.0, wall: float = NOON) -> list[Effect]:
    """Have the client send ``frame``."""
    message = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
    return session.receive(message, now=now, wall=wall)


def an_open_session(
    *groups: str, subscribed: tuple[str, ...] = (), who: Identity | None = None, **terms: Any
) -> Session:
    """Return a connected session of alice, subscribed to ``subscribed`` at offset 0."""
    session = a_new_session(**terms)
    say(session, {"type": "connect", "id": 1, "token": "t", "channels": dict.fromkeys(subscribed)})
    effects = session.identified(Identified(who or alice(*groups), "grant-1"), wall=NOON)
    session.opened({each.name: Opened(EPOCH, 0) for each in the_open(effects).wanted}, 0, now=0.0, wall=NOON)
    return session


def the_open(effects: Sequence[Effect]) -> Open:
    """Return the one Open among ``effects``."""
    [found] = [effect for effect in effects if isinstance(effect, Open)]
    return found


def frames(effects: Sequence[Effect]) -> list[dict[str, Any]]:
    """Return the frames that ``effects`` send."""
    sent = [json.loads(effect.message) for effect in effects if isinstance(effect, Send)]
    return [frame for message in sent for frame in (message if isinstance(message, list) else [message])]


def close_code(effects: Sequence[Effect]) -> int | None:
    """Return the code with which ``effects`` close, None where they do not."""
    codes = [int(effect.code) for effect in effects if isinstance(effect, Close)]
    return codes[0] if codes else None


def a_publication(offset: int, prev: int, data: object = None) -> Stored:
    body = encode_body("changed", f"event-{offset}", "2026-01-01T00:00:00Z", json.dumps(data).encode())
    return Stored(offset, prev, body)


def a_run(*offsets: int) -> list[Stored]:
    """Return publications at ``offsets``, each naming the one before it."""
    return [a_publication(offset, prev) for prev, offset in zip((0, *offsets), offsets, strict=False)]


class Patient:
    """Somebody who waits for publications: what was heard, and in which turns it was answered."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.turns: list[Turn] = []

    def hear(self, frames: Sequence[bytes]) -> None:
        self.heard += frames

    def answer(self, turn: Turn) -> None:
        self.turns.append(turn)
