"""Resume grants: what auth and router said of a session, signed, so that a reconnect need ask neither.

A grant is ``<kid>.<payload>.<mac>``: base64url of the JSON payload and of HMAC-SHA-256 over ``kid.payload``. The
client keeps it as opaque text.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, ValidationError

from whimbrel.edge.core.identity import Identity, group_set
from whimbrel.protocol.limits import MAX_GRANT_BYTES, RESUME_GRANT_S
from whimbrel.protocol.namespaces import Grant


class _Payload(BaseModel):
    model_config = ConfigDict(frozen=True)

    user: str
    groups: tuple[str, ...]
    token_groups: tuple[str, ...]
    grants: tuple[Grant, ...]
    token_id: str | None
    token_issued: int
    token_expires: int
    made: int


def seal(identity: Identity, *, kid: str, secret: bytes, now: int) -> str | None:
    """Return the grant of ``identity`` made at ``now`` (Unix seconds), or None where it would exceed 4 KiB."""
    payload = _Payload(
        user=identity.user,
        groups=tuple(sorted(identity.groups)),
        token_groups=tuple(sorted(identity.token_groups)),
        grants=identity.grants,
        token_id=identity.token_id,
        token_issued=identity.token_issued,
        token_expires=identity.expires,
        made=now,
    )
    signed = f"{kid}.{_encode(payload.model_dump_json().encode())}"
    grant = f"{signed}.{_encode(_mac(secret, signed))}"
    return grant if len(grant) <= MAX_GRANT_BYTES else None


def unseal(grant: str, *, secrets: Mapping[str, bytes], now: int) -> tuple[Identity, int] | None:
    """Return the identity of ``grant`` and when it was made, or None where it is forged, too old or past the token's
    life.
    """
    try:
        signed, _, mac = grant.rpartition(".")
        kid, _, payload = signed.partition(".")
        secret = secrets.get(kid)
        if secret is None or not hmac.compare_digest(_decode(mac), _mac(secret, signed)):
            return None
        content = _Payload.model_validate_json(_decode(payload))
    except (ValidationError, binascii.Error, ValueError):
        return None
    if now >= content.token_expires or now >= content.made + RESUME_GRANT_S:
        return None
    identity = Identity(
        user=content.user,
        groups=group_set(content.groups),
        token_groups=group_set(content.token_groups),
        grants=content.grants,
        expires=content.token_expires,
        token_id=content.token_id,
        token_issued=content.token_issued,
    )
    return identity, content.made


def _mac(secret: bytes, signed: str) -> bytes:
    return hmac.digest(secret, signed.encode(), "sha256")


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
