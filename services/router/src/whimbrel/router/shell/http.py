"""The router's HTTP: groups, permission, namespaces, status and dead letters, all with the service key."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import unquote

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Query, Request, Response

from whimbrel.protocol.bodies import (
    DeadLetter,
    DeadLettersReply,
    GapsReply,
    GroupsReply,
    MembersReply,
    NamespacesReply,
    ReplayReply,
    SessionReply,
    SessionsReply,
    StatusReply,
)
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.errors import Refused
from whimbrel.protocol.gaps import Cause
from whimbrel.protocol.limits import MAX_OFFSET
from whimbrel.protocol.rpc import AuthorizeReply, AuthorizeRequest
from whimbrel.protocol.sessions import KEPT_S
from whimbrel.protocol.versions import PATH_PREFIX
from whimbrel.router.core.memberships import MAX_GROUP_CHARS, MAX_USER_CHARS, Membership
from whimbrel.router.shell.deadletters import LETTERS, MAX_LETTERS, DeadLetters, Sought
from whimbrel.router.shell.gaps import GAPS, MAX_GAPS, Gaps
from whimbrel.router.shell.gaps import Sought as SoughtGaps
from whimbrel.router.shell.groups import Groups
from whimbrel.router.shell.namespaces import NamespaceTable
from whimbrel.router.shell.responder import Responder
from whimbrel.router.shell.sessions import Sessions
from whimbrel.router.shell.status import Status
from whimbrel.runtime.http import answer_problems
from whimbrel.runtime.logs import Logger

Guard = Callable[..., Awaitable[None]]  # a FastAPI dependency that raises Refused

GroupPath = Annotated[str, Path(min_length=1, max_length=MAX_GROUP_CHARS)]
UserPath = Annotated[str, Path(min_length=1, max_length=MAX_USER_CHARS)]  # may hold slashes: a `sub` is any text
LetterPath = Annotated[int, Path(ge=1, le=MAX_OFFSET)]


async def _whole_group(request: Request, group: GroupPath) -> str:
    """Return the group of a path that names a member.

    Raises Refused where the group's own name has a slash: behind it another group and another user would be meant.
    """
    written = request.scope["raw_path"].decode("latin-1").removeprefix(f"{PATH_PREFIX}/groups/").partition("/")[0]
    if unquote(written) != group:
        raise Refused(ErrorCode.BAD_REQUEST, "a group whose name has a slash cannot be told from a path")
    return group


MemberGroup = Annotated[str, Depends(_whole_group)]

MAX_SESSION_CHARS: Final = 64
MEMBER: Final = "/groups/{group}/members/{user:path}"


def application(
    groups: Groups,
    namespaces: NamespaceTable,
    responder: Responder,
    status: Status,
    letters: DeadLetters,
    sessions: Sessions,
    gaps: Gaps,
    log: Logger,
    *,
    guard: Guard,
) -> FastAPI:
    """Return the HTTP application; ``guard`` lets backends and tools in."""
    app = FastAPI(title="Whimbrel router", openapi_url=None)
    answer_problems(app, log)
    routes = APIRouter(prefix=PATH_PREFIX, dependencies=[Depends(guard)])

    @routes.get("/groups/{group}/members")
    async def members(group: GroupPath) -> MembersReply:
        return MembersReply(group=group, members=await groups.members(group))

    @routes.put(MEMBER, status_code=204, response_class=Response)
    async def join(group: MemberGroup, user: UserPath) -> None:
        await groups.join(Membership(user=user, group=group))

    @routes.delete(MEMBER, status_code=204, response_class=Response)
    async def leave(group: MemberGroup, user: UserPath) -> None:
        await groups.leave(Membership(user=user, group=group))

    @routes.get("/users/{user:path}/groups")
    async def groups_of(user: UserPath) -> GroupsReply:
        return GroupsReply(user=user, groups=await groups.of_user(user))

    @routes.get("/namespaces")
    async def listed() -> NamespacesReply:
        return NamespacesReply(namespaces=dict(namespaces.table))

    @routes.post("/authorize")
    async def authorize(body: AuthorizeRequest) -> AuthorizeReply:
        return await responder.authorize(body)

    @routes.get("/status")
    async def state() -> StatusReply:
        return await status.read()

    @routes.get("/sessions/{session}")
    async def session(session: Annotated[str, Path(max_length=MAX_SESSION_CHARS)]) -> SessionReply:
        found = await sessions.find(session)
        if found is None:
            why = f"no pod knows session {session}, and none that ended in the last {KEPT_S // 3600} h bore this name"
            raise HTTPException(HTTPStatus.NOT_FOUND, f"{why}: ask for the sessions of its user")
        return found

    @routes.get("/sessions")
    async def sessions_of(
        user: Annotated[str, Query(min_length=1, max_length=MAX_USER_CHARS)],
        limit: Annotated[int, Query(ge=1, le=100)] = 5,
    ) -> SessionsReply:
        return await sessions.of_user(user, limit=limit)

    @routes.get("/gaps")
    async def told_to_reload(
        since: Annotated[float, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_GAPS)] = GAPS,
        channel: str | None = None,
        user: str | None = None,
        cause: Cause | None = None,
    ) -> GapsReply:
        return await gaps.read(SoughtGaps(since, channel, user, cause), limit=limit)

    @routes.get("/dlq")
    async def dead(
        after: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_LETTERS)] = LETTERS,
        code: str | None = None,
        subject: str | None = None,
    ) -> DeadLettersReply:
        return await letters.read(Sought(code, subject), after=after, limit=limit)

    @routes.get("/dlq/{number}")
    async def dead_letter(number: LetterPath) -> DeadLetter:
        return await letters.one(number)

    @routes.post("/dlq/{number}/replay")
    async def replay(number: LetterPath) -> ReplayReply:
        return await letters.replay(number)

    @routes.delete("/dlq/{number}", status_code=204, response_class=Response)
    async def drop(number: LetterPath) -> None:
        await letters.drop(number)

    app.include_router(routes)
    return app
