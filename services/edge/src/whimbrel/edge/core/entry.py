"""A client on its way in: what is known of it until `connected` was sent. An open session holds nothing of it."""

from collections.abc import Mapping
from typing import Final

from whimbrel.edge.core.effects import Identified, Wanted
from whimbrel.edge.core.identity import Identity
from whimbrel.edge.core.rights import permit
from whimbrel.edge.core.subscription import NotOpened, Opened
from whimbrel.edge.core.subscriptions import wanted
from whimbrel.protocol.channels import INBOX, group_channel, inbox_of
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.errors import Refused
from whimbrel.protocol.frames import ClientFrame, Connect
from whimbrel.protocol.namespaces import Namespace
from whimbrel.protocol.positions import Position

MAX_WAITING: Final = 64  # frames sent behind `connect` before `connected` came back


class Entry:
    """``connect`` is being answered; ``presented`` is who the client is, as its HTTP request said or its token."""

    __slots__ = ("connect", "presented", "waiting")

    def __init__(self) -> None:
        self.connect: Connect | None = None
        self.presented: Identified | None = None  # its grant goes out with `connected`
        self.waiting: list[ClientFrame | Refused] | None = None

    def hold(self, frame: ClientFrame | Refused) -> bool:
        """Keep what came behind `connect` until that is answered; False where it is too much."""
        if self.waiting is None:
            self.waiting = []
        if len(self.waiting) >= MAX_WAITING:
            return False
        self.waiting.append(frame)
        return True

    def wanted(self, identity: Identity, rules: Mapping[str, Namespace], most: int) -> list[Wanted]:
        """Return at most so many channels to open: the inbox, those of the user's groups, and those of `connect` that
        ``identity`` may have.
        """
        assert self.connect is not None
        asked: dict[str, Position | None] = {INBOX: None}
        if identity.groups:
            asked |= {str(group_channel(group)): None for group in sorted(identity.groups)}
        found: list[Wanted] = []
        for name, position in {**asked, **self.connect.channels}.items():
            if len(found) >= most:
                break
            try:
                channel = inbox_of(identity.user) if name == INBOX else permit(identity, "subscribe", name, rules)
            except Refused:
                continue  # answered in ``answers``
            found.append(wanted(name, channel, position, None))
        return found

    def answers(
        self,
        results: Mapping[str, Opened | NotOpened],
        identity: Identity,
        rules: Mapping[str, Namespace],
        no_room: NotOpened | None,
    ) -> Mapping[str, Opened | NotOpened]:
        """Return ``results``, and with them why a channel of `connect` was not even tried: rights, or ``no_room``."""
        assert self.connect is not None
        untried = [name for name in self.connect.channels if name not in results]
        if not untried:
            return results
        return {**results, **{name: _refusal(name, identity, rules, no_room) for name in untried}}


def _refusal(name: str, identity: Identity, rules: Mapping[str, Namespace], no_room: NotOpened | None) -> NotOpened:
    try:
        permit(identity, "subscribe", name, rules)
    except Refused as refusal:
        return NotOpened(refusal.code, refusal.message)
    if no_room is not None:
        return no_room
    return NotOpened(ErrorCode.UNAVAILABLE, "the channel's namespace changed meanwhile; subscribe again")
