"""Verdicts on tokens seen before: a reconnect brings the same token, and an ES256 signature costs 155 µs to check."""

import hashlib
from collections import OrderedDict
from typing import Final, NamedTuple

from whimbrel.auth.core.keys import KeySet
from whimbrel.auth.core.tokens import verify
from whimbrel.protocol.rpc import TokenVerdict

MAX_REMEMBERED_CHARS: Final = 4 * 1024 * 1024  # of tokens, e.g. 10,000; their claims take 8–13 times that: ≤ 54 MiB


class Verdict(NamedTuple):
    """A verdict and the length of the token that it is about."""

    verdict: TokenVerdict
    chars: int


class Verdicts:
    """Verifies, and remembers the ``ok`` verdicts of the last tokens until they expire.

    A refusal is not remembered: whoever sends garbage could push out what is worth remembering.
    """

    def __init__(self, keys: KeySet, *, max_chars: int = MAX_REMEMBERED_CHARS) -> None:
        self._keys = keys
        self._max_chars = max_chars
        self._chars = 0
        self._known: OrderedDict[bytes, Verdict] = OrderedDict()  # by SHA-256: the tokens themselves are not kept
        self.hits = 0

    def judge(self, token: str, *, now: float) -> TokenVerdict:
        """Judge ``token`` at ``now`` (Unix seconds)."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(digest)
        if known is not None:
            claims = known.verdict.claims
            if claims is not None and now < claims.exp:
                self._known.move_to_end(digest)
                self.hits += 1
                return known.verdict
            self._forget(digest)
        verdict = verify(token, self._keys, now=now)
        if verdict.code == "ok":
            self._known[digest] = Verdict(verdict, len(token))
            self._chars += len(token)
            while self._chars > self._max_chars:
                self._forget(next(iter(self._known)))
        return verdict

    def _forget(self, digest: bytes) -> None:
        self._chars -= self._known.pop(digest).chars

    def __len__(self) -> int:
        return len(self._known)
