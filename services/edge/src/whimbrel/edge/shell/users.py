"""The users whom the pod serves: their groups, their sessions, and what the router tells about them.

A user is watched (one subscription) from the first connect or poll until 30 s after the last. While watched, the groups
are known without asking; after a reconnect of the bus they are asked for anew, for a change may have been missed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, Protocol

from pydantic import ValidationError

from whimbrel.edge.core.hub import LINGER_S, REAP_S
from whimbrel.edge.core.identity import Identity, group_set
from whimbrel.edge.shell.batches import Batches, ServiceUnavailable, resolve
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.errors import MalformedChannel
from whimbrel.protocol.rpc import (
    USER_CHANGE,
    Acked,
    GroupsChanged,
    ReadMark,
    ResolveReply,
    ResolveRequest,
    Resolving,
    Rights,
)
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection, Delivery, Subscription

RESOLVED_AT_ONCE: Final = 256  # users asked for together after a reconnect, so that the router is not flooded


class Device(Protocol):
    """One session of a user, as far as changes concern it."""

    def groups_changed(self, *, joined: tuple[str, ...], left: tuple[str, ...]) -> None:
        """Follow the router's change of the user's memberships."""

    def acked(self, channel: Channel, offset: int, origin: str) -> None:
        """Pass on that session ``origin`` of the user acknowledged."""


class User:
    """One watched user. ``groups`` are the router's, without a token's; None while they are not known.

    It is called with what the router tells: one object per user less than a partial of a method would be two.
    """

    __slots__ = ("_device", "_devices", "_heard", "changes", "groups", "idle_since", "name", "subscription")

    def __init__(self, name: str, heard: "Heard", now: float) -> None:
        self.name = name
        self.subscription: Subscription | None = None
        self._device: Device | None = None  # the only one, as mostly; a tuple of one is 64 bytes, a set 216
        self._devices: tuple[Device, ...] = ()  # if they are several
        self.groups: frozenset[str] | None = None
        self.changes = 0  # told by the router so far
        self.idle_since = now
        self._heard = heard

    @property
    def devices(self) -> tuple[Device, ...]:
        """The user's sessions."""
        return self._devices if self._device is None else (self._device,)

    @devices.setter
    def devices(self, devices: tuple[Device, ...]) -> None:
        self._device, self._devices = (devices[0], ()) if len(devices) == 1 else (None, devices)

    def add(self, device: Device) -> None:
        """Count ``device`` in; nothing happens if it is."""
        if self._device is None and not self._devices:
            self._device = device
        elif device not in self.devices:
            self.devices = (*self.devices, device)

    @property
    def alone(self) -> bool:
        """Whether no session is there."""
        return self._device is None and not self._devices

    @property
    def subject(self) -> str:
        """Where the router tells of the user."""
        return subjects.user_subject(self.name)

    def __call__(self, message: Delivery) -> None:
        """Take what the router tells of the user."""
        self._heard(self, message)


Heard = Callable[[User, Delivery], None]


class Users:
    """All watched users of the pod."""

    def __init__(self, connection: Connection, log: Logger) -> None:
        self.on_acked: list[Callable[[str, Channel, ReadMark], None]] = []  # what any pod was told
        self._connection = connection
        self._log = log
        self._users: dict[str, User] = {}
        self._heard: Heard = self._changed  # one object for all
        self._reconnected = asyncio.Event()
        self._resolve: Batches[str, Rights] = Batches(
            connection, subjects.ROUTER_RESOLVE, _encode, lambda reply: ResolveReply.model_validate_json(reply).rights
        )
        connection.on_disconnected.append(self._forget_groups)
        connection.on_connected.append(self._reconnected.set)

    def __len__(self) -> int:
        return len(self._users)

    def watch(self, name: str, *, now: float) -> User:
        """Return the watched user ``name``.

        The subscription goes out on the connection that asks the router next: the server has it before the question.
        """
        user = self._users.get(name)
        if user is None:
            user = self._users[name] = User(name, self._heard, now)
            user.subscription = self._connection.attach(user.subject, user)
        if user.alone:
            user.idle_since = now
        return user

    async def groups(self, user: User) -> frozenset[str]:
        """Return the router's groups of ``user``. Raises ServiceUnavailable."""
        answer: asyncio.Future[frozenset[str]] = asyncio.get_running_loop().create_future()
        self.ask_groups(user, partial(resolve, answer))
        return await answer

    def ask_groups(self, user: User, answered: Callable[[frozenset[str] | ServiceUnavailable], None]) -> None:
        """Call ``answered`` with the router's groups of ``user``: at once where they are known."""
        if user.groups is not None:
            answered(user.groups)
        else:
            self._resolve.put(user.name, partial(self._told, user, user.changes, answered))

    def _told(
        self,
        user: User,
        changes: int,
        answered: Callable[[frozenset[str] | ServiceUnavailable], None],
        rights: Rights | ServiceUnavailable,
    ) -> None:
        if isinstance(rights, ServiceUnavailable):
            answered(rights)
            return
        if user.groups is None and user.changes == changes:  # otherwise the answer may be older than the change
            user.groups = group_set(rights.groups)
        self.ask_groups(user, answered)

    def crowded(self, name: str, device: Device | None, most: int) -> bool:
        """Tell whether user ``name`` has ``most`` devices already, and ``device`` is none of them."""
        user = self._users.get(name)
        return user is not None and not user.alone and len(user.devices) >= most and device not in user.devices

    def attach(self, identity: Identity, device: Device, *, now: float) -> None:
        """Watch the user of ``identity``, and tell ``device`` of changes from now on."""
        user = self.watch(identity.user, now=now)
        user.add(device)
        if user.groups is None:  # resumed by a grant, which knows them
            user.groups = group_set(identity.groups - identity.token_groups)

    def detach(self, name: str, device: Device, *, now: float) -> None:
        """Forget ``device``; nothing happens if it is not there."""
        user = self._users.get(name)
        if user is not None:
            user.devices = tuple(each for each in user.devices if each is not device)
            user.idle_since = now

    # Changes

    def _changed(self, user: User, message: Delivery) -> None:
        try:
            change = USER_CHANGE.validate_json(message.payload)
            match change:
                case GroupsChanged(joined=joined, left=left):
                    self._move(user, joined=joined, left=left)
                case Acked(channel=channel, epoch=epoch, offset=offset, session=origin):
                    acked = Channel.parse(channel)
                    for heed in self.on_acked:
                        heed(user.name, acked, ReadMark(epoch=epoch, offset=offset))
                    for device in user.devices:
                        device.acked(acked, offset, origin)
        except (ValidationError, MalformedChannel) as error:
            self._log.warning("users.unreadable_change", subject=message.subject, error=str(error))

    @staticmethod
    def _move(user: User, *, joined: tuple[str, ...], left: tuple[str, ...]) -> None:
        user.changes += 1
        if user.groups is not None:
            user.groups = user.groups.union(joined).difference(left)
        for device in user.devices:
            device.groups_changed(joined=joined, left=left)

    # Upkeep

    def _forget_groups(self) -> None:
        for user in self._users.values():
            if not user.devices:
                user.groups = None  # asked for with the next poll

    async def run(self) -> None:
        """Ask for the groups anew after each reconnect; forget idle users. Ends when cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(REAP_S):
                    await self._reconnected.wait()
            except TimeoutError:
                self._reap(loop.time())
                continue
            self._reconnected.clear()
            await self._ask_again([user for user in self._users.values() if user.devices])

    async def _ask_again(self, users: Iterable[User]) -> None:
        waiting = deque(users)
        while waiting:
            part = [waiting.popleft() for _ in range(min(len(waiting), RESOLVED_AT_ONCE))]
            told = [user.changes for user in part]
            try:
                answers = await asyncio.gather(*(self._resolve.ask(user.name) for user in part))
            except ServiceUnavailable as error:
                self._log.warning("users.groups_not_checked", error=str(error))
                self._reconnected.set()
                return
            for user, changes, rights in zip(part, told, answers, strict=True):
                before, after = user.groups or frozenset(), group_set(rights.groups)
                if user.changes != changes:  # the answer may be older than the change
                    waiting.append(user)
                elif before != after:
                    self._move(user, joined=tuple(sorted(after - before)), left=tuple(sorted(before - after)))

    def _reap(self, now: float) -> None:
        gone = [user for user in self._users.values() if user.alone and now >= user.idle_since + LINGER_S]
        for user in gone:
            assert user.subscription is not None
            user.subscription.detach()
            del self._users[user.name]


def _encode(users: Sequence[str]) -> bytes:
    return ResolveRequest(users=tuple(Resolving(user=user) for user in users)).model_dump_json().encode()
