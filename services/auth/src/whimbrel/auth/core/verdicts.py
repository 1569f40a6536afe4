"""Verdicts on tokens seen before: a reconnect brings the same token, and an ES256 signature costs 180 µs to check."""

import hashlib
from collections import OrderedDict
from typing import Final

from whimbrel.auth.core.keys import KeySet
from whimbrel.auth.core.tokens import LEEWAY_S, verify
from whimbrel.protocol.rpc import TokenVerdict

MAX_VERDICTS: Final = 16_384  # ~2 KiB each: 32 MiB at most


class Verdicts:
    """Verifies, and remembers the ``ok`` verdicts of the last tokens until they expire.

    A refusal is not remembered: whoever sends garbage could push out what is worth remembering.
    """

    def __init__(self, keys: KeySet, *, size: int = MAX_VERDICTS) -> None:
        self._keys = keys
        self._size = size
        self._known: OrderedDict[bytes, TokenVerdict] = OrderedDict()  # by SHA-256: the tokens themselves are not kept
        self.hits = 0

    def judge(self, token: str, *, now: float) -> TokenVerdict:
        """Judge ``token`` at ``now`` (Unix seconds)."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(digest)
        if known is not None and known.claims is not None and now < known.claims.exp + LEEWAY_S:
            self._known.move_to_end(digest)
            self.hits += 1
            return known
        self._known.pop(digest, None)
        verdict = verify(token, self._keys, now=now)
        if verdict.code == "ok":
            self._known[digest] = verdict
            if len(self._known) > self._size:
                self._known.popitem(last=False)
        return verdict

    def __len__(self) -> int:
        return len(self._known)
