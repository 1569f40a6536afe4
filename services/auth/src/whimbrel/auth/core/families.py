"""Refresh tokens: opaque, rotated at each use, revoked together when one is used twice (RFC 9700 §4.14.2).

A refresh token is ``<handle>.<secret>``. All tokens that descend from one sign-in share the handle and form a family;
only the newest is good. The store keeps hashes: the family's key is the hash of the handle, so nobody who reads the
store can name a family, and whoever presents a right handle with a wrong secret has held an older token of it.

A lost response must not sign anybody out, and two tabs may refresh at once: for REFRESH_GRACE_S the token before the
newest gets the very same answer again. The newest is therefore not drawn but derived, HMAC(secret before, nonce of the
rotation): only who holds the token before can be told it again, and the store never holds it.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from pydantic import BaseModel, ConfigDict

from whimbrel.protocol.bodies import TokenRequest

REFRESH_GRACE_S: Final = 10  # a client that got no answer tries again within a few seconds
HANDLE_BYTES: Final = 16  # 128 bits cannot be guessed
SECRET_BYTES: Final = 32
NONCE_BYTES: Final = 16

_TOKEN: Final = re.compile(r"([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})")


class RefreshToken(NamedTuple):
    """What a client holds; ``str(token)`` is what travels."""

    handle: str
    secret: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a refresh token, None for a text that never was one."""
        match = _TOKEN.fullmatch(text)
        return None if match is None else cls(*match.groups())

    @property
    def family(self) -> str:
        """The key of its family in the store."""
        return hashlib.sha256(self.handle.encode()).hexdigest()

    @property
    def digest(self) -> str:
        """What the store keeps of the secret."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    def successor(self, nonce: str) -> "RefreshToken":
        """Return the token that a rotation with ``nonce`` makes out of this one."""
        return RefreshToken(self.handle, _text(hmac.digest(self.secret.encode(), nonce.encode(), "sha256")))

    def __str__(self) -> str:
        return f"{self.handle}.{self.secret}"

    def __repr__(self) -> str:
        return f"<refresh token of family {self.family[:8]}>"


class Family(BaseModel):
    """A family as the store keeps it. Times are Unix seconds."""

    model_config = ConfigDict(frozen=True)

    grant: TokenRequest
    """What each access token of the family says."""
    newest: str
    """Digest of the one token that is good."""
    before: str = ""
    """Digest of the token that it was made from."""
    nonce: str = ""
    """Of that rotation."""
    rotated: float
    expires: float
    """When the family is forgotten if nobody refreshes."""
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Rotated:
    """Store ``family``, then hand out ``token``."""

    family: Family
    token: RefreshToken


@dataclass(frozen=True, slots=True)
class Repeated:
    """The answer got lost, or another tab was faster: hand out ``token`` again."""

    family: Family
    token: RefreshToken


@dataclass(frozen=True, slots=True)
class Reused:
    """An older token came back, so one of its two holders is not who it should be: store ``family``, now revoked."""

    family: Family


@dataclass(frozen=True, slots=True)
class Dead:
    """The family was revoked before."""


@dataclass(frozen=True, slots=True)
class Expired:
    """Nobody refreshed for too long."""


Presented = Rotated | Repeated | Reused | Dead | Expired


def begin(
    grant: TokenRequest, *, handle: bytes, secret: bytes, now: float, lifetime: float
) -> tuple[Family, RefreshToken]:
    """Start a family at a sign-in, forgotten after ``lifetime`` seconds without a refresh.

    ``handle`` and ``secret`` are fresh random bytes.
    """
    token = RefreshToken(_text(handle), _text(secret))
    return Family(grant=grant, newest=token.digest, rotated=now, expires=now + lifetime), token


def present(family: Family, token: RefreshToken, *, nonce: bytes, now: float, lifetime: float) -> Presented:
    """Decide what a refresh with ``token`` does to its ``family``; ``nonce`` is fresh random bytes."""
    if family.revoked:
        return Dead()
    if now >= family.expires:
        return Expired()
    if hmac.compare_digest(token.digest, family.newest):
        text = _text(nonce)
        successor = token.successor(text)
        change = {
            "newest": successor.digest,
            "before": token.digest,
            "nonce": text,
            "rotated": now,
            "expires": now + lifetime,
        }
        return Rotated(family.model_copy(update=change), successor)
    if hmac.compare_digest(token.digest, family.before) and now < family.rotated + REFRESH_GRACE_S:
        return Repeated(family, token.successor(family.nonce))
    return Reused(family.model_copy(update={"revoked": True}))


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
