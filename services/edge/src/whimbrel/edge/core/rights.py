"""What an identity may do where, as refusals that tell the client why."""

from collections.abc import Mapping
from typing import assert_never

from whimbrel.edge.core.effects import Request
from whimbrel.edge.core.identity import Identity
from whimbrel.protocol.channels import INBOX, USER_NAMESPACE, Channel, channel_for, inbox_of, refusal_of
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.errors import MalformedChannel, Refused
from whimbrel.protocol.frames import Ack, History, Inbox, Presence, Publish
from whimbrel.protocol.namespaces import Action, Namespace, decide


def permit(
    identity: Identity, action: Action, name: str, rules: Mapping[str, Namespace], subscribed: bool = False
) -> Channel:
    """Return the channel that ``name`` means for ``identity``.

    ``subscribed``: the session is subscribed to it. Raises Refused where no such channel can exist, or where ``action``
    is not allowed.
    """
    try:
        channel = channel_for(name, identity.user)
    except MalformedChannel as error:
        raise Refused(refusal_of(name), str(error)) from None
    if channel.namespace == USER_NAMESPACE and name != INBOX:
        raise Refused(ErrorCode.PERMISSION_DENIED, "an inbox has one name for its user: `inbox`")
    verdict = decide(
        rules,
        action,
        channel,
        user=identity.user,
        groups=identity.groups,
        grants=identity.grants,
        subscribed=subscribed,
    )
    if verdict == "allowed":
        return channel
    why = f"{identity.user} may not {action} {name}"
    if verdict is ErrorCode.UNKNOWN_CHANNEL:
        why = f"there is no namespace {channel.namespace!r}"
    raise Refused(verdict, why)


def still_permitted(identity: Identity, channel: Channel, rules: Mapping[str, Namespace]) -> bool:
    """Tell whether an open subscription to ``channel`` may stay."""
    if channel == inbox_of(identity.user):
        return True
    verdict = decide(rules, "subscribe", channel, user=identity.user, groups=identity.groups, grants=identity.grants)
    return verdict == "allowed"


def action_of(frame: Request) -> Action:
    """Return what a request needs to be allowed; who may subscribe may acknowledge."""
    match frame:
        case Publish():
            return "publish"
        case Ack():
            return "subscribe"
        case History() | Inbox():
            return "history"
        case Presence():
            return "presence"
        case _:
            assert_never(frame)
