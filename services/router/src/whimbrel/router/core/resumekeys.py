"""The keys that sign resume grants: who signs now, and when an old key may go."""

from collections.abc import Sequence
from typing import Final

from whimbrel.protocol.limits import RESUME_GRANT_S
from whimbrel.protocol.rpc import ResumeKey

ROTATE_S: Final = 12 * 3600  # a stolen key is worth little for long
KEEP_S: Final = 2 * RESUME_GRANT_S  # after it stopped signing: what it signed last has expired by then, twice over
MAX_RESUME_KEYS: Final = 8  # beyond any honest rotation; bounds what an edge tries


def is_due(keys: Sequence[ResumeKey], *, now: float) -> bool:
    """Tell whether no key is young enough to sign at ``now`` (Unix seconds)."""
    return all(now - key.created >= ROTATE_S for key in keys)


def rotate(keys: Sequence[ResumeKey], fresh: ResumeKey) -> tuple[ResumeKey, ...]:
    """Return the keys with ``fresh`` as the newest, newest first, without those that no grant can need."""
    newest_first = sorted(keys, key=lambda key: key.created, reverse=True)
    kept = [fresh]
    for key in newest_first:
        stopped_signing = kept[-1].created
        if fresh.created - stopped_signing < KEEP_S:
            kept.append(key)
    return tuple(kept[:MAX_RESUME_KEYS])
