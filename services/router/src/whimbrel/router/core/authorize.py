"""`authorize`: the question of permission in full words, for tools and tests."""

from collections.abc import Collection

from whimbrel.protocol.channels import INBOX, USER_NAMESPACE, channel_for, refusal_of
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.errors import MalformedChannel
from whimbrel.protocol.namespaces import Action, decide
from whimbrel.protocol.rpc import AuthorizeReply, AuthorizeRequest
from whimbrel.router.core.namespaces import Table


def authorize(table: Table, request: AuthorizeRequest, groups: Collection[str]) -> AuthorizeReply:
    """Answer ``request`` for a user who is in ``groups``; where only subscribers may publish, whoever may subscribe
    counts.
    """
    try:
        channel = channel_for(request.channel, request.user)
    except MalformedChannel as fault:
        return _refused(refusal_of(request.channel), str(fault))
    if channel.namespace == USER_NAMESPACE and request.channel != INBOX:
        return _refused(ErrorCode.PERMISSION_DENIED, "an inbox has one name for its user: `inbox`")

    def verdict(action: Action, *, subscribed: bool) -> str | ErrorCode:
        return decide(
            table,
            action,
            channel,
            user=request.user,
            groups=groups,
            grants=request.grants,
            subscribed=subscribed,
        )

    answer = verdict(request.action, subscribed=verdict("subscribe", subscribed=False) == "allowed")
    if isinstance(answer, ErrorCode):
        return _refused(answer, answer.advice)
    return AuthorizeReply(allowed=True, code="ok", reason="")


def _refused(code: ErrorCode, reason: str) -> AuthorizeReply:
    return AuthorizeReply(allowed=False, code=code.slug, reason=reason)
