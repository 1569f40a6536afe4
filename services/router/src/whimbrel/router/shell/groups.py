"""Groups: memberships in the bucket GROUPS, and word of their changes to the edges.

A change is stored, then resume grants made before it are voided, then open sessions are told on `ctl.user.<user>`;
only then the
caller gets an answer. Half a second later the sessions are told again what the bucket says by then. That second time
is for whoever
read a replica that was still behind, and for two routers that changed the same membership at once and told it in
another order than
they stored it.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from whimbrel.protocol import subjects
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.errors import Refused
from whimbrel.protocol.limits import RESUME_GRANT_S
from whimbrel.protocol.rpc import GroupsChanged, RightsChange
from whimbrel.router.core.memberships import MAX_GROUPS_PER_USER, Membership, decode, encode
from whimbrel.router.shell.metrics import Counts
from whimbrel.runtime.directget import DirectGet, Stored
from whimbrel.runtime.errors import BusFault, JetStreamRefused
from whimbrel.runtime.kv import Bucket
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection

TELL_AGAIN_S: Final = 0.5  # replicas catch up within 20 ms; sessions are to follow within a second
MAX_WAITING: Final = 10_000  # changes that wait to be told again; each is a task of 2 KiB
CLOCK_SKEW_S: Final = 5  # between this clock and that of an edge that makes resume grants
USERS_PER_READ: Final = 100  # a read returns at most 1024 keys, and few users have more than ten
MAX_LISTED: Final = 10_000  # members in one answer, about 400 KiB
TURNS: Final = 64  # changes of one user happen one after the other, those of most users side by side

_TOO_MANY_MATCHES: Final = 413
_STREAM: Final = subjects.bucket_stream(subjects.GROUPS)


class Groups:
    """Reads and changes memberships. Every method raises BusFault and JetStreamRefused."""

    def __init__(
        self, bus: Connection, reads: DirectGet, counts: Counts, log: Logger, *, clock: Callable[[], float]
    ) -> None:
        self._bus = bus
        self._reads = reads
        self._memberships = Bucket(bus, reads, subjects.GROUPS)
        self._rights = Bucket(bus, reads, subjects.REVOKED)
        self._counts = counts
        self._log = log
        self._clock = clock
        self._turns = [asyncio.Lock() for _ in range(TURNS)]
        self._telling_again: dict[Membership, asyncio.Task[None]] = {}

    # Read

    async def of(self, users: Sequence[str]) -> dict[str, list[Membership]]:
        """Return the memberships of each of ``users``, as the store has them."""
        found: dict[str, list[Membership]] = {user: [] for user in users}
        wanted = list(found)
        parts = [wanted[start : start + USERS_PER_READ] for start in range(0, len(wanted), USERS_PER_READ)]
        for memberships in await asyncio.gather(*map(self._read, parts)):
            for membership in memberships:
                if membership.user in found:
                    found[membership.user].append(membership)
        return found

    async def of_user(self, user: str) -> tuple[str, ...]:
        """Return the groups of ``user``, sorted."""
        return tuple(sorted(membership.group for membership in (await self.of([user]))[user]))

    async def members(self, group: str) -> tuple[str, ...]:
        """Return the members of ``group``, sorted.

        Raises Refused for a group with more than MAX_LISTED.
        """
        found = await self._page(subjects.members_of(group), most=MAX_LISTED)
        if len(found) > MAX_LISTED:
            raise Refused(ErrorCode.LIMIT_EXCEEDED, f"the group has more than the {MAX_LISTED} members that are listed")
        return tuple(sorted(membership.user for membership in found))

    async def _read(self, users: Sequence[str]) -> list[Membership]:
        patterns = [_key(subjects.memberships_of(user)) for user in users]
        try:
            lasts = await self._reads.multi_last(_STREAM, patterns)
        except JetStreamRefused as refusal:
            if refusal.code != _TOO_MANY_MATCHES:
                raise
            pages = [await self._page(subjects.memberships_of(user)) for user in users]
            return [membership for page in pages for membership in page]
        return _decoded(lasts.messages.values())

    async def _page(self, pattern: str, most: int | None = None) -> list[Membership]:
        found: list[Membership] = []
        start = 1
        while True:
            page = await self._reads.batch(_STREAM, _key(pattern), start)
            found += _decoded(page.messages)
            if not page.messages or page.pending == 0 or (most is not None and len(found) > most):
                return found
            start = page.messages[-1].seq + 1

    # Change

    async def join(self, membership: Membership) -> None:
        """Make ``membership`` hold; returns when it is stored and open sessions are told.

        Raises Refused where the user is in MAX_GROUPS_PER_USER others.
        """
        async with self._turn(membership.user):
            held = await self.of_user(membership.user)
            if membership.group not in held and len(held) >= MAX_GROUPS_PER_USER:
                raise Refused(ErrorCode.LIMIT_EXCEEDED, f"the user is in {len(held)} groups, which is the most")
            await self._memberships.put(_name(membership), encode(membership))
            await self._void_grants(membership.user)
            await self._tell(membership, member=True)
        self._counts.joined += 1
        self._tell_again(membership)

    async def leave(self, membership: Membership) -> None:
        """Make ``membership`` end, held or not; returns when that is stored and open sessions are told."""
        async with self._turn(membership.user):
            await self._memberships.delete(_name(membership))
            await self._void_grants(membership.user)
            await self._tell(membership, member=False)
        self._counts.left += 1
        self._tell_again(membership)

    async def settle(self) -> None:
        """Wait until everything was told its second time."""
        while self._telling_again:
            await asyncio.wait(self._telling_again.values())

    def _turn(self, user: str) -> asyncio.Lock:
        return self._turns[hash(user) % TURNS]

    async def _void_grants(self, user: str) -> None:
        change = RightsChange(user=user, at=int(self._clock()) + CLOCK_SKEW_S)
        value = change.model_dump_json().encode()
        await self._rights.put(subjects.rights_key(user), value, ttl_s=RESUME_GRANT_S + CLOCK_SKEW_S)

    async def _tell(self, membership: Membership, *, member: bool) -> None:
        groups = (membership.group,)
        change = GroupsChanged(joined=groups) if member else GroupsChanged(left=groups)
        await self._bus.publish(subjects.user_subject(membership.user), change.model_dump_json().encode())
        await self._bus.flush()

    def _tell_again(self, membership: Membership) -> None:
        waiting = self._telling_again.pop(membership, None)
        if waiting is not None:
            waiting.cancel()
        elif len(self._telling_again) >= MAX_WAITING:
            self._counts.not_told_again += 1
            return
        task = asyncio.create_task(self._told_again(membership))
        self._telling_again[membership] = task

        def forget(done: asyncio.Task[None]) -> None:
            if self._telling_again.get(membership) is done:
                del self._telling_again[membership]

        task.add_done_callback(forget)

    async def _told_again(self, membership: Membership) -> None:
        await asyncio.sleep(TELL_AGAIN_S)
        try:
            async with self._turn(membership.user):
                entry = await self._memberships.get(_name(membership))
                await self._tell(membership, member=entry is not None)
        except (BusFault, JetStreamRefused) as error:
            # Edges ask anew for the groups of their users after an outage.
            self._log.info("membership.not_told_again", error=str(error))


def _name(membership: Membership) -> str:
    return subjects.membership_key(membership.user, membership.group)


def _key(pattern: str) -> str:
    return subjects.key_subject(subjects.GROUPS, pattern)


def _decoded(stored: Iterable[Stored]) -> list[Membership]:
    # A marker of a deletion has no value to decode.
    return [membership for membership in (decode(message.payload) for message in stored) if membership is not None]
