"""Namespaces: what a channel is, and who may do what in it.

One pure function, ``decide``, answers every question of permission. The edge applies it to its copy of the namespaces
and the session's groups and grants; the router answers `rpc.router.v1.authorize` with it.
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from whimbrel.protocol.channels import (
    GRANT_PATTERN,
    GROUP_NAMESPACE,
    ROUTER_NAMESPACES,
    USER_NAMESPACE,
    Channel,
    grant_covers,
    group_channel,
    inbox_of,
)
from whimbrel.protocol.codes import ErrorCode

Action = Literal["subscribe", "publish", "history", "presence"]
Verdict = Literal["allowed"] | ErrorCode


class Groups(BaseModel):
    """Members of any of these groups."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    groups: Annotated[tuple[str, ...], Field(min_length=1)]


Who = Literal["nobody", "authenticated"] | Groups


class Namespace(BaseModel):
    """Rules for all channels ``<namespace>:*``. ``nobody`` still admits whom a token's grants name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    durable: bool = Field(description="Publications are stored, have positions and are recovered.")
    subscribe: Who = "nobody"
    publish: Who | Literal["subscribers"] = "nobody"
    history: Who | None = Field(None, description="Who may read back; unset: whoever may subscribe.")
    presence: Who = "nobody"

    @model_validator(mode="after")
    def _history_needs_a_stream(self) -> Self:
        if not self.durable and self.history is not None:
            raise ValueError("an ephemeral namespace keeps no history: leave `history` out or set `durable: true`")
        return self


class Grant(BaseModel):
    """Channels that a token opens."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    channel: Annotated[str, Field(pattern=GRANT_PATTERN)]
    """An exact name, or a prefix followed by `*`."""
    allow: tuple[Action, ...]
    """What may be done there."""


ROUTER_OWNED: Final[Mapping[str, Namespace]] = {name: Namespace(durable=True) for name in sorted(ROUTER_NAMESPACES)}


def decide(
    namespaces: Mapping[str, Namespace],
    action: Action,
    channel: Channel,
    *,
    user: str,
    groups: Collection[str],
    grants: Collection[Grant],
    subscribed: bool = False,
) -> Verdict:
    """Tell whether ``user`` may do ``action`` in ``channel``; ``subscribed``: the session is subscribed to it.

    The namespaces `user` and `group` follow from identity and membership alone: no grant opens another's inbox, and
    no client publishes there.
    """
    if channel.namespace in ROUTER_NAMESPACES:
        own = channel == inbox_of(user) if channel.namespace == USER_NAMESPACE else _is_member(channel, groups)
        return "allowed" if own and action != "publish" else ErrorCode.PERMISSION_DENIED
    namespace = namespaces.get(channel.namespace)
    if namespace is None:
        return ErrorCode.UNKNOWN_CHANNEL
    rule = _rule(namespace, action)
    if rule == "authenticated":  # as in most namespaces
        return "allowed"
    for grant in grants:
        if action in grant.allow and grant_covers(grant.channel, channel):
            return "allowed"
    return "allowed" if _admits(rule, groups, subscribed) else ErrorCode.PERMISSION_DENIED


def _rule(namespace: Namespace, action: Action) -> Who | Literal["subscribers"]:
    match action:
        case "subscribe":
            return namespace.subscribe
        case "publish":
            return namespace.publish
        case "history":
            return namespace.subscribe if namespace.history is None else namespace.history
        case "presence":
            return namespace.presence


def _admits(who: Who | Literal["subscribers"], groups: Collection[str], subscribed: bool) -> bool:
    match who:
        case "authenticated":
            return True
        case "subscribers":
            return subscribed
        case Groups(groups=admitted):
            return any(group in groups for group in admitted)
        case "nobody":
            return False


def _is_member(channel: Channel, groups: Collection[str]) -> bool:
    assert channel.namespace == GROUP_NAMESPACE
    return any(channel == group_channel(group) for group in groups)
