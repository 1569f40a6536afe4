"""Who a session belongs to, as auth and router said."""

from collections.abc import Iterable
from typing import Final, NamedTuple, Self

from whimbrel.protocol.namespaces import Grant
from whimbrel.protocol.rpc import Claims

_NO_GROUPS: Final[frozenset[str]] = frozenset()


def group_set(names: Iterable[str]) -> frozenset[str]:
    """Return the set of ``names``; all empty ones are one object, for each would cost 216 bytes per session."""
    return frozenset(names) or _NO_GROUPS


class Identity(NamedTuple):
    """A user with rights. ``expires`` and ``token_issued`` are Unix seconds; ``groups`` holds the token's groups
    too.
    """

    user: str
    groups: frozenset[str]
    token_groups: frozenset[str]
    grants: tuple[Grant, ...]
    expires: int
    token_id: str | None
    token_issued: int

    @classmethod
    def of(cls, claims: Claims) -> Self:
        """Return what the token says; the router's groups come by ``within``."""
        groups = group_set(claims.groups)
        return cls(
            user=claims.sub,
            groups=groups,
            token_groups=groups,
            grants=claims.channels,
            expires=claims.exp,
            token_id=claims.jti,
            token_issued=claims.iat,
        )

    def within(self, groups: frozenset[str]) -> Self:
        """Return the identity with the router's ``groups`` added; itself where they are none, as for most."""
        return self._replace(groups=self.token_groups | groups) if groups else self

    def changed(self, *, joined: tuple[str, ...], left: tuple[str, ...]) -> Self:
        """Return the identity after the router's change; a group that the token names stays until the token ends."""
        return self._replace(groups=self.groups.union(joined).difference(left).union(self.token_groups))
