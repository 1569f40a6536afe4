"""Words for tests of the session: what goes in, and what of the effects one looks at."""

from collections.abc import Sequence
from typing import Any, TypeVar

from whimbrel.client.core.effects import (
    Effect,
    Send,
)
from whimbrel.client.core.session import Session
from whimbrel.client.core.timing import Timing
from whimbrel.client.core.transports import Preference
from whimbrel.protocol.frames import (
    EdgeFrame,
    decode_edge_object,
)

E = TypeVar("E")


def of(kind: type[E], effects: Sequence[Effect]) -> list[E]:
    return [effect for effect in effects if isinstance(effect, kind)]


def sent(effects: Sequence[Effect]) -> list[Any]:
    return [effect.frame for effect in of(Send, effects)]


def edge(kind: str, **fields: Any) -> list[EdgeFrame]:
    return list(decode_edge_object({"type": kind} | fields))


def connected(**fields: Any) -> list[EdgeFrame]:
    usual = {
        "id": 1, "session": "s1", "user": "alice", "expires_in": 3600, "ping": 25, "pong": 10, "resume": "grant 1",
        "limits": {"frame_bytes": 65536, "channels": 128, "publish_per_s": 100}, "channels": {},
    }  # fmt: skip
    return edge("connected", **(usual | fields))


def a_session(preference: Preference = "auto", *, renewable: bool = True) -> Session:
    return Session(timing=Timing(), preference=preference, renewable=renewable, jitter=lambda: 1.0)


def an_open_session(**fields: Any) -> Session:
    """A session that is connected by WebSocket on link 1 since time 0."""
    session = a_session()
    session.start(0)
    session.token("token 1", 0)
    session.opened(1, 0)
    session.received(1, connected(**fields), 0)
    return session


def subscribe(session: Session, channel: str = "orders:42", now: float = 0, **options: Any) -> list[Effect]:
    return session.subscribe(channel, **({"position": None, "last": None, "capacity": 10, "now": now} | options))
