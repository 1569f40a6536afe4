"""Answers `rpc.router.v1.resolve` and `rpc.router.v1.authorize`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from whimbrel.protocol import subjects
from whimbrel.protocol.rpc import (
    AuthorizeReply,
    AuthorizeRequest,
    ResolveReply,
    ResolveRequest,
    Rights,
)
from whimbrel.router.core.authorize import authorize
from whimbrel.router.core.memberships import rights
from whimbrel.router.core.namespaces import Table
from whimbrel.router.shell.groups import Groups
from whimbrel.router.shell.metrics import Counts
from whimbrel.runtime.errors import BusFault, JetStreamRefused, RequestRefused
from whimbrel.runtime.nats import Connection

MAX_USERS: Final = 1024  # in one request

M = TypeVar("M", bound=BaseModel)


class Responder:
    """Says what users may do. ``table`` gives the namespaces that hold now."""

    def __init__(self, groups: Groups, table: Callable[[], Table], counts: Counts) -> None:
        self._groups = groups
        self._table = table
        self._counts = counts

    async def attach(self, bus: Connection) -> None:
        """Take part in answering."""
        await bus.respond(subjects.ROUTER_RESOLVE, self.resolve, queue=subjects.ROUTER_QUEUE)
        await bus.respond(subjects.ROUTER_AUTHORIZE, self._authorize, queue=subjects.ROUTER_QUEUE)

    async def resolve(self, payload: bytes) -> bytes:
        """Answer one ResolveRequest.

        Raises RequestRefused for one that is malformed or too large, and while the store does not answer.
        """
        asked = _read(ResolveRequest, payload).users
        if len(asked) > MAX_USERS:
            raise RequestRefused(413, f"{len(asked)} users in one request, at most {MAX_USERS}")
        with _refusing_outages():
            stored = await self._groups.of([each.user for each in asked])
        self._counts.resolved += len(asked)
        answer = tuple(Rights(groups=rights(each.groups, stored[each.user])) for each in asked)
        return ResolveReply(rights=answer).model_dump_json().encode()

    async def authorize(self, request: AuthorizeRequest) -> AuthorizeReply:
        """Decide for the user in the groups that ``request`` names and those that the store knows.

        Raises BusFault, JetStreamRefused.
        """
        self._counts.authorized += 1
        stored = await self._groups.of([request.user])
        return authorize(self._table(), request, rights(request.groups, stored[request.user]))

    async def _authorize(self, payload: bytes) -> bytes:
        with _refusing_outages():
            return (await self.authorize(_read(AuthorizeRequest, payload))).model_dump_json().encode()


@contextmanager
def _refusing_outages() -> Iterator[None]:
    # An edge that is told at once tries again sooner than one that waits for its deadline.
    try:
        yield
    except RequestRefused:
        raise
    except (BusFault, JetStreamRefused) as error:
        raise RequestRefused(503, str(error)) from error


def _read(model: type[M], payload: bytes) -> M:
    try:
        return model.model_validate_json(payload)
    except ValidationError:
        raise RequestRefused(400, f"not a {model.__name__}") from None
