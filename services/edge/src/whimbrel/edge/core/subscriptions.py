"""The channels of one session, by the names that its client uses: open, or on their way."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from whimbrel.edge.core.effects import Detach, Effect, Open, Send, Wanted
from whimbrel.edge.core.identity import Identity
from whimbrel.edge.core.replies import error_frame, subscribed_frames, unsubscribed_frame
from whimbrel.edge.core.rights import permit
from whimbrel.edge.core.subscription import NotOpened, Opened
from whimbrel.protocol.channels import INBOX, Channel, group_channel
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.errors import Refused
from whimbrel.protocol.frames import Ok, Subscribe, Unsubscribe, encode
from whimbrel.protocol.namespaces import Namespace
from whimbrel.protocol.positions import Position


class Subscriptions:
    """Not more channels than the terms' limit. One that is on its way belongs to the ``Open`` that asked for it last:
    what an earlier one found is not wanted any more.
    """

    __slots__ = ("_opening", "channels")

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}  # open, or on their way
        self._opening: dict[str, Open] | None = None  # those on their way

    def no_room(self, limit: int) -> NotOpened | None:
        """Return what a client is told of one channel more than ``limit``; None where there is room."""
        if len(self.channels) < limit:
            return None
        return NotOpened(ErrorCode.LIMIT_EXCEEDED, f"a session holds at most {limit} channels")

    # What the client asks

    def subscribe(
        self, frame: Subscribe, identity: Identity, rules: Mapping[str, Namespace], limit: int
    ) -> list[Effect]:
        """Open a channel, or open it anew. Raises Refused."""
        held = frame.channel in self.channels
        # A client that found a gap subscribes again from its position (docs/websocket-api.md); else it is a mistake.
        if held and frame.position is None:
            raise Refused(ErrorCode.ALREADY_SUBSCRIBED, f"{frame.channel} is open already")
        if not held and (no_room := self.no_room(limit)) is not None:
            raise Refused(no_room.code, no_room.message)
        channel = permit(identity, "subscribe", frame.channel, rules)
        before = self.close(frame.channel) or []
        return [*before, self.open([wanted(frame.channel, channel, frame.position, frame.last)], frame.id)]

    def unsubscribe(self, frame: Unsubscribe) -> list[Effect]:
        """Close a channel. Raises Refused."""
        if frame.channel == INBOX:
            raise Refused(ErrorCode.BAD_REQUEST, "the inbox is always subscribed")
        effects = self.close(frame.channel)
        if effects is None:
            raise Refused(ErrorCode.NOT_SUBSCRIBED, f"{frame.channel} is not open")
        return [*effects, Send(encode(Ok(id=frame.id)))]

    # On their way

    def open(self, wanted: Sequence[Wanted], request: int | None) -> Open:
        """Note that channels are on their way; ``request`` as in ``Open``."""
        effect = Open(tuple(wanted), request)
        if self._opening is None:
            self._opening = {}
        for each in wanted:
            self.channels[each.name] = each.channel
            self._opening[each.name] = effect
        return effect

    def _arrived(self, name: str) -> Open | None:
        """Forget that ``name`` is on its way, and return what asked for it."""
        opening = self._opening
        if opening is None:
            return None
        effect = opening.pop(name, None)
        if not opening:
            self._opening = None  # an empty mapping that was not always empty keeps its 180 bytes
        return effect

    def open_groups(self, groups: Iterable[str], limit: int) -> list[Effect]:
        """Open the channels of ``groups`` that are not open yet."""
        effects: list[Effect] = []
        for group in sorted(groups):
            channel = group_channel(group)
            name = str(channel)
            if name in self.channels:
                continue
            if (no_room := self.no_room(limit)) is not None:
                effects += [Send(message) for message in subscribed_frames(name, no_room, None)]
            else:
                effects.append(self.open([Wanted(name, channel)], None))
        return effects

    def awaits(self, name: str, effect: Open) -> bool:
        """Tell whether ``name`` is still to be opened by ``effect``."""
        return self._opening is not None and self._opening.get(name) is effect

    def is_open(self, name: str, channel: Channel) -> bool:
        """Tell whether ``name`` is open, and means ``channel``."""
        return self.channels.get(name) == channel and (self._opening is None or name not in self._opening)

    def settle(self, results: Mapping[str, Opened | NotOpened]) -> None:
        """Note which channels are open, and which could not be opened."""
        opening = self._opening
        for name, result in results.items():
            if opening is not None:
                opening.pop(name, None)
            if isinstance(result, NotOpened):
                self.channels.pop(name, None)
        if not opening:
            self._opening = None

    # The end of some

    def close(self, name: str) -> list[Effect] | None:
        """Close ``name`` for its client; None where it is not there."""
        channel = self.channels.pop(name, None)
        if channel is None:
            return None
        opening = self._arrived(name)
        if opening is None or not opening.request:
            return [Detach(channel)]
        overtaken = Refused(ErrorCode.NOT_SUBSCRIBED, f"{name} was closed again before it was open")
        return [Detach(channel), Send(error_frame(overtaken, opening.request))]

    def drop(self, permitted: Callable[[Channel], bool]) -> list[Effect]:
        """Close what is not ``permitted`` any more, and tell the client."""
        effects: list[Effect] = []
        why = "the user's rights changed"
        for name, channel in list(self.channels.items()):
            if permitted(channel):
                continue
            del self.channels[name]
            opening = self._arrived(name)
            if opening is None:
                effects += [Detach(channel), Send(unsubscribed_frame(name, ErrorCode.PERMISSION_DENIED, why))]
            elif opening.request:  # `connected` tells of those of `connect`, and of a router's nobody has heard
                refused = NotOpened(ErrorCode.PERMISSION_DENIED, why)
                effects += [Send(message) for message in subscribed_frames(name, refused, opening.request)]
        return effects

    def close_all(self) -> list[Effect]:
        """Close everything; the client is not told."""
        effects: list[Effect] = [Detach(channel) for channel in self.channels.values()]
        self.channels, self._opening = {}, None
        return effects


def wanted(name: str, channel: Channel, position: Position | None, last: int | None) -> Wanted:
    """Return what a client wants who asks for ``name``; with neither a position nor a number, an inbox begins at the
    user's read mark.
    """
    return Wanted(name, channel, position, last, name == INBOX and position is None and last is None)
