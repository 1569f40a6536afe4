"""How an event lives in inboxes: what its team says in headers beside the content, and what becomes of it.

In other channels these headers mean nothing: a channel is a log of what happened, an inbox is what a user has still to
see.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import pydantic_core

from whimbrel.notifier.core.errors import Reason, Undeliverable
from whimbrel.protocol.limits import MAX_TTL_S
from whimbrel.protocol.publications import TOPIC, TOPIC_PATTERN, TTL, WITHDRAW, WITHDRAW_TOPIC, WITHDRAWN, encode_body

_TOPIC: Final = re.compile(TOPIC_PATTERN)
_SECONDS: Final = re.compile(r"[1-9][0-9]{0,5}")
_MAX_ID_CHARS: Final = 256  # as of any event


class Terms(NamedTuple):
    """What the headers say. ``ttl_s`` 0 is as long as the history; topics are `<domain>:<topic>`, so that one team
    never overtakes or takes back by topic what another one wrote.
    """

    ttl_s: int = 0
    topic: str = ""
    withdraws_event: str = ""
    withdraws_topic: str = ""

    @property
    def is_withdrawal(self) -> bool:
        """Whether the event takes something back and says nothing else."""
        return bool(self.withdraws_event or self.withdraws_topic)


PLAIN: Final = Terms()


class Place(NamedTuple):
    """What a publication in an inbox makes superfluous there: what came before it of the same ``topic``, or what it
    withdraws. ``event_id`` is how it can be withdrawn itself.
    """

    event_id: str
    topic: str = ""
    withdraws_event: str = ""
    withdraws_topic: str = ""

    @property
    def supersedes(self) -> bool:
        """Whether something before it may have become superfluous."""
        return bool(self.topic or self.withdraws_event or self.withdraws_topic)

    @property
    def headers(self) -> Mapping[str, str]:
        """What is stored beside the body, for who must find it without reading bodies."""
        named = {TOPIC: self.topic, WITHDRAW: self.withdraws_event, WITHDRAW_TOPIC: self.withdraws_topic}
        return {name: value for name, value in named.items() if value}


def read_terms(headers: Mapping[str, str], domain: str) -> Terms:
    """Read the terms of an event of ``domain``; ``headers`` by their names in lower case.

    Raises Undeliverable.
    """
    if not any(name in headers for name in (TTL, TOPIC, WITHDRAW, WITHDRAW_TOPIC)):
        return PLAIN
    withdrawn, withdrawn_topic = headers.get(WITHDRAW), headers.get(WITHDRAW_TOPIC)
    if (withdrawn is not None) + (withdrawn_topic is not None) + (TTL in headers or TOPIC in headers) > 1:
        raise _refusal(
            f"{WITHDRAW} and {WITHDRAW_TOPIC} exclude each other, and {TTL} and {TOPIC}: a withdrawal is all"
        )
    if withdrawn is not None:
        if not (0 < len(withdrawn) <= _MAX_ID_CHARS and withdrawn.isprintable()):
            raise _refusal(f"{WITHDRAW} must be the id of an event: 1 to {_MAX_ID_CHARS} printable characters")
        return Terms(withdraws_event=withdrawn)
    if withdrawn_topic is not None:
        return Terms(withdraws_topic=_topic(WITHDRAW_TOPIC, withdrawn_topic, domain))
    topic = _topic(TOPIC, headers[TOPIC], domain) if TOPIC in headers else ""
    return Terms(_ttl(headers[TTL]) if TTL in headers else 0, topic)


def _topic(header: str, text: str, domain: str) -> str:
    if _TOPIC.fullmatch(text):
        return f"{domain}:{text}"
    raise _refusal(f"{header} must be 1 to 64 of A-Z a-z 0-9 _ - : = @ ~, not {text[:80]!r}")


def _ttl(text: str) -> int:
    if _SECONDS.fullmatch(text) and int(text) <= MAX_TTL_S:
        return int(text)
    raise _refusal(f"{TTL} must be whole seconds from 1 to {MAX_TTL_S} (7 days), not {text[:80]!r}")


def _refusal(why: str) -> Undeliverable:
    return Undeliverable(Reason.BAD_INBOX, why)


def place_of(terms: Terms, event_id: str) -> Place:
    """Return where a publication on these ``terms`` stands in an inbox."""
    return Place(event_id, terms.topic, terms.withdraws_event, terms.withdraws_topic)


def encode(terms: Terms, event: str, event_id: str, time: str, data: bytes, expires: str) -> bytes:
    """Return the body that an inbox stores; ``expires`` counts only where the terms have an end."""
    if terms.withdraws_event:
        return encode_body(WITHDRAWN, event_id, time, pydantic_core.to_json({"event_id": terms.withdraws_event}))
    if terms.withdraws_topic:
        return encode_body(WITHDRAWN, event_id, time, pydantic_core.to_json({"topic": terms.withdraws_topic}))
    return encode_body(event, event_id, time, data, topic=terms.topic or None, expires=expires if terms.ttl_s else None)
