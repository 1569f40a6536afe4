"""The channels of one session, by the names that its client uses: open, or on their way."""

from collections.abc import Callable, Iterable, Sequence

from whimbrel.edge.core.effects import Detach, Effect, Open, Send, Wanted
from whimbrel.edge.core.replies import error_frame, subscribed_frames, unsubscribed_frame
from whimbrel.edge.core.subscription import NotOpened
from whimbrel.protocol.channels import Channel, group_channel
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.errors import Refused


class Subscriptions:
    """At most ``limit`` channels. One that is on its way belongs to the ``Open`` that asked for it last: what an
    earlier one found is not wanted any more.
    """

    __slots__ = ("_opening", "channels", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.channels: dict[str, Channel] = {}  # open, or on their way
        self._opening: dict[str, Open] | None = None  # those on their way

    @property
    def full(self) -> bool:
        """Whether there is no room for another channel."""
        return len(self.channels) >= self.limit

    @property
    def no_room(self) -> NotOpened:
        """What a client is told of a channel for which there is no room."""
        return NotOpened(ErrorCode.LIMIT_EXCEEDED, f"a session holds at most {self.limit} channels")

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

    def open_groups(self, groups: Iterable[str]) -> list[Effect]:
        """Open the channels of ``groups`` that are not open yet."""
        effects: list[Effect] = []
        for group in sorted(groups):
            channel = group_channel(group)
            name = str(channel)
            if name in self.channels:
                continue
            if self.full:
                effects += [Send(message) for message in subscribed_frames(name, self.no_room, None)]
            else:
                effects.append(self.open([Wanted(name, channel)], None))
        return effects

    def awaits(self, name: str, effect: Open) -> bool:
        """Tell whether ``name`` is still to be opened by ``effect``."""
        return self._opening is not None and self._opening.get(name) is effect

    def is_open(self, name: str, channel: Channel) -> bool:
        """Tell whether ``name`` is open, and means ``channel``."""
        return self.channels.get(name) == channel and (self._opening is None or name not in self._opening)

    def settle(self, name: str, *, opened: bool) -> None:
        """Note that ``name`` is open, or could not be opened."""
        self._arrived(name)
        if not opened:
            self.channels.pop(name, None)

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
