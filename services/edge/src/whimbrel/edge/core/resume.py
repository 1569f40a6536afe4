"""Resume grants: what auth and router said of a session, signed, so that a reconnect need ask neither.

A grant is ``<kid>.<payload>.<mac>``: base64 of a JSON array and of keyed BLAKE2b (RFC 7693) over ``kid.payload``. The
client keeps it as opaque text. Reading one costs 4 µs, of them 0.7 the MAC (HMAC-SHA-256: 1.7, and 9 in a storm, where
OpenSSL finds nothing of its own in the caches): what carries our own MAC is not validated again.
"""

import binascii
import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import pydantic_core

from whimbrel.edge.core.identity import Identity, group_set
from whimbrel.protocol.limits import MAX_GRANT_BYTES, RESUME_GRANT_S
from whimbrel.protocol.namespaces import Action, Grant

LAYOUT: Final = 1  # of the payload: pods of another version sign with the same keys
FIELDS: Final = 9
MAC_BYTES: Final = 32
MAX_KEY_BYTES: Final = hashlib.blake2b.MAX_KEY_SIZE  # 64; auth makes secrets of 43 characters


def seal(identity: Identity, *, kid: str, secret: bytes, now: int) -> str | None:
    """Return the grant of ``identity`` made at ``now`` (Unix seconds), or None where it would exceed 4 KiB."""
    payload = pydantic_core.to_json(
        (
            LAYOUT,
            identity.user,
            sorted(identity.groups),
            sorted(identity.token_groups),
            [(grant.channel, grant.allow) for grant in identity.grants],
            identity.token_id,
            identity.token_issued,
            identity.expires,
            now,
        )
    )
    signed = f"{kid}.{_encode(payload)}"
    grant = f"{signed}.{_encode(_mac(secret, signed))}"
    return grant if len(grant) <= MAX_GRANT_BYTES else None


def unseal(grant: str, *, secrets: Mapping[str, bytes], now: int) -> tuple[Identity, int] | None:
    """Return the identity of ``grant`` and when it was made, or None where it is forged, too old, of another layout or
    past the token's life.
    """
    signed, _, mac = grant.rpartition(".")
    kid, _, payload = signed.partition(".")
    secret = secrets.get(kid)
    try:
        if secret is None or not hmac.compare_digest(_decode(mac), _mac(secret, signed)):
            return None
        content: Any = pydantic_core.from_json(_decode(payload))
    except ValueError:  # binascii.Error and UnicodeError are
        return None
    if type(content) is not list or len(content) != FIELDS or content[0] != LAYOUT:
        return None
    _, user, groups, token_groups, grants, token_id, token_issued, token_expires, made = content
    if now >= token_expires or now >= made + RESUME_GRANT_S:
        return None
    identity = Identity(
        user,
        group_set(groups),
        group_set(token_groups),
        tuple(_grant(channel, tuple(allow)) for channel, allow in grants),
        token_expires,
        token_id,
        token_issued,
    )
    return identity, made


@lru_cache(maxsize=4096)
def _grant(channel: str, allow: tuple[Action, ...]) -> Grant:
    # Most users have the grants of many others: one object serves all.
    return Grant(channel=channel, allow=allow)


def _mac(secret: bytes, signed: str) -> bytes:
    return hashlib.blake2b(signed.encode(), key=secret[:MAX_KEY_BYTES], digest_size=MAC_BYTES).digest()


def _encode(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode()


def _decode(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)
