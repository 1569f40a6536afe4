"""Memberships: one key per user and group in the bucket GROUPS.

A key cannot always be read back (what is too long for a token is hashed), so the value repeats user and group.
"""

from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MAX_USER_CHARS: Final = 512  # as a `sub` claim
MAX_GROUP_CHARS: Final = 128  # as a group in a token
MAX_GROUPS_PER_USER: Final = 100  # each is a channel of every session of the user, and a session has 128

User = Annotated[str, Field(min_length=1, max_length=MAX_USER_CHARS)]
Group = Annotated[str, Field(min_length=1, max_length=MAX_GROUP_CHARS)]


class Membership(BaseModel):
    """``user`` is a member of ``group``."""

    model_config = ConfigDict(frozen=True)

    user: User
    group: Group


def encode(membership: Membership) -> bytes:
    """Return the stored form."""
    return membership.model_dump_json().encode()


def decode(value: bytes) -> Membership | None:
    """Read a stored value; None for a marker of a deletion and for what this version cannot read."""
    try:
        return Membership.model_validate_json(value)
    except ValidationError:
        return None


def rights(named: Iterable[str], stored: Iterable[Membership]) -> tuple[str, ...]:
    """Return all groups of a user, sorted: those that the token ``named`` and the memberships ``stored`` for the
    user.
    """
    return tuple(sorted({*named, *(membership.group for membership in stored)}))
