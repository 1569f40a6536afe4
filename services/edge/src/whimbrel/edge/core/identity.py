"""Who a session belongs to, as auth and router said."""

from dataclasses import dataclass, replace
from typing import Self

from whimbrel.protocol.namespaces import Grant
from whimbrel.protocol.rpc import Claims


@dataclass(frozen=True, slots=True)
class Identity:
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
    def of(cls, claims: Claims, groups: tuple[str, ...]) -> Self:
        """Join what the token says with the router's ``groups``."""
        return cls(
            user=claims.sub,
            groups=frozenset(groups),
            token_groups=frozenset(claims.groups),
            grants=claims.channels,
            expires=claims.exp,
            token_id=claims.jti,
            token_issued=claims.iat,
        )

    def changed(self, *, joined: tuple[str, ...], left: tuple[str, ...]) -> Self:
        """Return the identity after the router's change; a group that the token names stays until the token ends."""
        return replace(self, groups=self.groups.union(joined).difference(left).union(self.token_groups))
