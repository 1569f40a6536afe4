"""Signs users in and refreshes them: draws what must be random, reads the clock, stores what the core decides."""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from whimbrel.auth.core.families import (
    HANDLE_BYTES,
    NONCE_BYTES,
    SECRET_BYTES,
    Dead,
    Expired,
    Family,
    RefreshToken,
    Repeated,
    Reused,
    Rotated,
    begin,
    present,
)
from whimbrel.auth.core.keys import Key
from whimbrel.auth.core.tokens import mint
from whimbrel.auth.shell.metrics import Counts
from whimbrel.protocol.bodies import TokenReply, TokenRequest
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.errors import Refused
from whimbrel.runtime.logs import Logger

MAX_TRIES: Final = 5  # of one refresh against others of the same family; two tabs need two
RETRY_S: Final = 0.1  # a replica that answers reads is up to 20 ms behind right after a write
JTI_BYTES: Final = 12


class Stored(NamedTuple):
    """A family and the revision under which it was read."""

    family: Family
    revision: int


class Store(Protocol):
    """Where families are kept. A read may be some milliseconds old; a write never overwrites what it did not see."""

    async def read(self, key: str) -> Stored | None:
        """Return the family under ``key``, None where there is none. Raises BusFault."""
        ...

    async def write(self, key: str, family: Family, *, revision: int, lifetime: float) -> bool:
        """Replace ``revision`` (0: create) and forget it after ``lifetime`` seconds; False where another was faster.

        Raises BusFault.
        """
        ...


class SignedOut(Exception):
    """A refresh token that is good for nothing any more: whoever holds it has to sign in again."""

    def __init__(self, code: ErrorCode | CloseCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Issuer:
    """Issues access and refresh tokens. ``lifetime`` is how long an unused refresh token lives, in seconds."""

    def __init__(
        self,
        store: Store,
        key: Key,
        counts: Counts,
        log: Logger,
        *,
        lifetime: float,
        clock: Callable[[], float],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._key = key
        self._counts = counts
        self._log = log
        self._lifetime = lifetime
        self._clock = clock
        self._entropy = entropy

    async def sign_in(self, request: TokenRequest) -> TokenReply:
        """Start a family for ``request``.

        Raises NotMinted, BusFault, JetStreamRefused.
        """
        now = self._clock()
        handle, secret = self._entropy(HANDLE_BYTES), self._entropy(SECRET_BYTES)
        family, token = begin(request, handle=handle, secret=secret, now=now, lifetime=self._lifetime)
        reply = self._reply(family, token, now)
        if not await self._store.write(token.family, family, revision=0, lifetime=self._lifetime):
            raise RuntimeError("two families drew the same handle: the source of randomness is broken")
        return reply

    async def refresh(self, text: str) -> TokenReply:
        """Exchange a refresh token.

        Raises SignedOut, Refused; after BusFault or JetStreamRefused the token can be presented again.
        """
        token = RefreshToken.parse(text)
        if token is None:
            raise self._signed_out("malformed", ErrorCode.UNAUTHORIZED, "this is not a refresh token")
        for _ in range(MAX_TRIES):
            reply = await self._exchange(token, await self._read(token))
            if reply is not None:
                return reply
            await asyncio.sleep(RETRY_S)
        raise Refused(ErrorCode.UNAVAILABLE, "too many refreshes of one sign-in at once")

    async def _read(self, token: RefreshToken) -> Stored:
        stored = await self._store.read(token.family)
        if stored is None:
            await asyncio.sleep(RETRY_S)
            stored = await self._store.read(token.family)
        if stored is None:
            raise self._signed_out("unknown", ErrorCode.UNAUTHORIZED, "this refresh token is unknown: sign in again")
        return stored

    async def _exchange(self, token: RefreshToken, stored: Stored) -> TokenReply | None:
        """Return the answer, or None where ``stored`` turns out not to be the newest."""
        now = self._clock()
        outcome = present(stored.family, token, nonce=self._entropy(NONCE_BYTES), now=now, lifetime=self._lifetime)
        match outcome:
            case Rotated(family, successor):
                reply = self._reply(family, successor, now)
                if not await self._replace(token, stored, family):
                    return None
                self._counts.refreshes["rotated"] += 1
                return reply
            case Repeated(family, successor):
                self._counts.refreshes["repeated"] += 1
                return self._reply(family, successor, now)
            case Reused(family):
                # Only a write that succeeds proves that the read was not old: a token newer than it looks the same.
                if not await self._replace(token, stored, family):
                    return None
                self._log.warning("family.revoked", family=token.family[:8], user=family.grant.user)
                raise self._signed_out("reused", CloseCode.REVOKED, "an old refresh token came back: sign in again")
            case Dead():
                raise self._signed_out("revoked", CloseCode.REVOKED, "this sign-in was revoked: sign in again")
            case Expired():
                raise self._signed_out("expired", ErrorCode.TOKEN_EXPIRED, "this refresh token expired: sign in again")

    async def _replace(self, token: RefreshToken, stored: Stored, family: Family) -> bool:
        return await self._store.write(token.family, family, revision=stored.revision, lifetime=self._lifetime)

    def _reply(self, family: Family, token: RefreshToken, now: float) -> TokenReply:
        access = mint(family.grant, self._key, jti=self._entropy(JTI_BYTES).hex(), now=now)
        self._counts.minted += 1
        return TokenReply(access_token=access, refresh_token=str(token), expires_in=family.grant.ttl)

    def _signed_out(self, outcome: str, code: ErrorCode | CloseCode, detail: str) -> SignedOut:
        self._counts.refreshes[outcome] += 1
        return SignedOut(code, detail)
