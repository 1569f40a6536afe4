"""The gatekeeper asks auth who a token belongs to and the router what the user may do, and remembers both.

A resume grant answers both questions by itself, unless the user's rights changed after it was made.
"""

import asyncio
import hashlib
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from pydantic import TypeAdapter

from whimbrel.edge.core import resume
from whimbrel.edge.core.effects import Identified, Rejected
from whimbrel.edge.core.identity import Identity
from whimbrel.edge.shell.batches import Batches, ServiceUnavailable, resolve
from whimbrel.edge.shell.users import Users
from whimbrel.protocol import subjects
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.limits import MAX_TOKEN_BYTES, RESUME_GRANT_S
from whimbrel.protocol.rpc import RedeemRequest, ResumeKey, RightsChange, TokenVerdict, VerifyReply, VerifyRequest
from whimbrel.runtime.metrics import Metrics
from whimbrel.runtime.nats import Connection

REMEMBERED: Final = 50_000  # verified tokens, about 400 bytes each; the least recently used goes first
YOUNG_S: Final = RESUME_GRANT_S / 4  # a grant younger than that is given back as it came: signing costs 14 µs
RETRY_MS: Final = 1000
MAX_TICKET_CHARS: Final = 64  # auth makes them of 32
MAX_TICKETS: Final = 32  # asked about at once: spent by it, so the answer must fit, and each may hold 6 KiB of claims
NO_ANSWER: Final = "auth or router does not answer; nothing is wrong with the token"

_REFUSALS: Final[Mapping[str, tuple[CloseCode, ErrorCode]]] = {
    "unauthorized": (CloseCode.UNAUTHORIZED, ErrorCode.UNAUTHORIZED),
    "token_expired": (CloseCode.TOKEN_EXPIRED, ErrorCode.TOKEN_EXPIRED),
    "revoked": (CloseCode.REVOKED, ErrorCode.UNAUTHORIZED),
    "forbidden": (CloseCode.FORBIDDEN, ErrorCode.PERMISSION_DENIED),
}


Answered = Callable[[Identified | Rejected], None]
_RESUME_KEYS: Final = TypeAdapter(tuple[ResumeKey, ...])


class Gatekeeper:
    """Knows who may come in. ``keys`` and ``changes`` are live views of the buckets KEYS and REVOKED."""

    def __init__(
        self, connection: Connection, users: Users, keys: Mapping[str, bytes], changes: Mapping[str, bytes]
    ) -> None:
        self.users = users
        self._keys = keys
        self._changes = changes
        self._verified: dict[bytes, Identity] = {}  # by when they were used last
        self._verify: Batches[str, TokenVerdict] = Batches(
            connection,
            subjects.AUTH_VERIFY,
            lambda tokens: VerifyRequest(tokens=tuple(tokens)).model_dump_json().encode(),
            lambda reply: VerifyReply.model_validate_json(reply).verdicts,
        )
        self._secrets_of: bytes | None = None  # what was read last of the bucket
        self._secrets: Mapping[str, bytes] = {}
        self._sealing = ""  # the id of the newest, which seals
        self._redeem: Batches[str, TokenVerdict] = Batches(
            connection,
            subjects.AUTH_REDEEM,
            lambda tickets: RedeemRequest(tickets=tuple(tickets)).model_dump_json().encode(),
            lambda reply: VerifyReply.model_validate_json(reply).verdicts,
            most=MAX_TICKETS,
        )
        self.resumed = 0  # connects that asked neither auth nor router
        self.remembered = 0  # tokens that auth was not asked about again

    def recall(self, token: str, *, now: float) -> Identity | None:
        """Return who ``token`` belongs to if both services need not be asked: what a poll does many times a minute."""
        digest = token_digest(token)
        identity = self._verified.get(digest)
        if identity is None or identity.expires <= time.time():
            return None
        user = self.users.watch(identity.user, now=now)
        if user.groups is None:
            return None
        self._verified[digest] = self._verified.pop(digest)
        self.remembered += 1
        return identity.within(user.groups)

    def trusts(self, identity: Identity) -> bool:
        """Tell whether the token that proved ``identity`` is still good; what changes the user's rights is told."""
        if identity.expires <= time.time():
            return False
        self.remembered += 1
        return True

    def identify_at_once(self, token: str | None, grant: str | None, *, now: float) -> Identified | Rejected | None:
        """Check ``grant`` or else ``token``; None where auth or the router must be asked (``identify``)."""
        if grant is not None and (found := self._resume(grant)) is not None:
            self.resumed += 1
            resumed, made = found
            return Identified(resumed, grant if time.time() < made + YOUNG_S else self.seal(resumed))
        if token is None:
            return _reject(
                "unauthorized", "the resume grant is no longer good and there is no token; reconnect with one"
            )
        known = self.recall(token, now=now)
        return None if known is None else Identified(known, self.seal(known))

    async def identify(self, token: str | None, grant: str | None, *, now: float) -> Identified | Rejected:
        """Check ``grant`` or else ``token``."""
        outcome = self.identify_at_once(token, grant, now=now)
        if outcome is not None:
            return outcome
        assert token is not None
        answer: asyncio.Future[Identified | Rejected] = asyncio.get_running_loop().create_future()
        self.ask(token, partial(resolve, answer), now=now)
        return await answer

    def ask(self, token: str, answered: Answered, *, now: float) -> None:
        """Check ``token``, which ``identify_at_once`` cannot, and call ``answered``, which must not raise.

        No task waits for the two services: in a storm that is 50 µs of each connect.
        """
        digest = token_digest(token)
        identity = self._verified.get(digest)
        if identity is not None and identity.expires > time.time():
            self._verified[digest] = self._verified.pop(digest)
            self.remembered += 1
            self._resolve(identity, answered, now)
        elif len(token) > MAX_TOKEN_BYTES:
            answered(_reject("unauthorized", f"the token is longer than {MAX_TOKEN_BYTES} bytes"))
        else:
            self._verify.put(token, partial(self._verdict, digest, answered, now))

    def _verdict(
        self, digest: bytes, answered: Answered, now: float, verdict: TokenVerdict | ServiceUnavailable
    ) -> None:
        if isinstance(verdict, ServiceUnavailable):
            answered(_unavailable(NO_ANSWER))
        elif verdict.claims is None:
            answered(_reject(verdict.code, verdict.reason))
        else:
            identity = self._verified[digest] = Identity.of(verdict.claims)
            if len(self._verified) > REMEMBERED:
                del self._verified[next(iter(self._verified))]
            self._resolve(identity, answered, now)

    def _resolve(self, identity: Identity, answered: Answered, now: float) -> None:
        user = self.users.watch(identity.user, now=now)
        self.users.ask_groups(user, partial(self._resolved, identity, answered))

    def _resolved(self, identity: Identity, answered: Answered, groups: frozenset[str] | ServiceUnavailable) -> None:
        if isinstance(groups, ServiceUnavailable):
            answered(_unavailable(NO_ANSWER))
            return
        identity = identity.within(groups)
        answered(Identified(identity, self.seal(identity)))

    async def redeem(self, ticket: str, *, now: float) -> Identified | Rejected:
        """Spend ``ticket`` and return whom it stands for."""
        if len(ticket) > MAX_TICKET_CHARS:  # auth need not be asked
            return _reject("unauthorized", "this is no ticket")
        try:
            verdict = await self._redeem.ask(ticket)
            if verdict.claims is None:
                return _reject(verdict.code, verdict.reason)
            identity = Identity.of(verdict.claims)
            identity = identity.within(await self.users.groups(self.users.watch(identity.user, now=now)))
        except ServiceUnavailable:
            return _unavailable("auth or router does not answer; make another ticket")
        return Identified(identity, self.seal(identity))

    def expose(self, metrics: Metrics) -> None:
        """Publish the counters."""
        metrics.counter("whimbrel_edge_resumed_total", "Connects by resume grant.", lambda: self.resumed)
        metrics.counter("whimbrel_edge_tokens_remembered_total", "Tokens not asked about.", lambda: self.remembered)

    # Resume grants

    def seal(self, identity: Identity) -> str | None:
        """Return a fresh resume grant, None where no key is known yet or it would not fit."""
        secrets = self._resume_keys()
        if not secrets:
            return None
        kid = self._sealing
        return resume.seal(identity, kid=kid, secret=secrets[kid], now=int(time.time()))

    def _resume_keys(self) -> Mapping[str, bytes]:
        """Return the secrets by their ids, read anew only where the bucket brought others."""
        stored = self._keys.get(subjects.RESUME_KEYS)
        if stored is not self._secrets_of:
            keys = () if stored is None else _RESUME_KEYS.validate_json(stored)
            self._secrets_of = stored
            self._secrets = {key.kid: key.secret.encode() for key in keys}
            self._sealing = max(keys, key=lambda key: key.created).kid if keys else ""
        return self._secrets

    def _resume(self, grant: str) -> tuple[Identity, int] | None:
        found = resume.unseal(grant, secrets=self._resume_keys(), now=int(time.time()))
        if found is None:
            return None
        identity, made = found
        if not self._changes:  # as mostly
            return found
        key = subjects.rights_key(identity.user)
        if key in self._changes and RightsChange.model_validate_json(self._changes[key]).at >= made:
            return None
        return found


def token_digest(token: str) -> bytes:
    """Return what a token is remembered by: shorter than itself, and nothing that could be used if it leaked."""
    # Nobody finds two tokens of 128 equal bits of which auth has taken one.
    return hashlib.blake2b(token.encode(), digest_size=16).digest()


def _unavailable(why: str) -> Rejected:
    after_ms = int(RETRY_MS * (1 + 2 * random.random()))
    return Rejected(CloseCode.BUS_UNAVAILABLE, ErrorCode.UNAVAILABLE, why, after_ms)


def _reject(verdict: str, reason: str) -> Rejected:
    close, error = _REFUSALS.get(verdict, _REFUSALS["unauthorized"])
    return Rejected(close, error, reason)
