"""Messages between the services, on the subjects of ``subjects``."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from whimbrel.protocol.namespaces import Action, Grant
from whimbrel.protocol.positions import Epoch, Offset


class Message(BaseModel):
    """An internal message; fields that a newer peer adds are ignored."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Claims(Message):
    """What a verified token says. ``exp`` and ``iat`` are Unix seconds."""

    sub: Annotated[str, Field(min_length=1, max_length=512)]
    exp: int
    iat: int
    iss: str
    jti: str | None = None
    groups: tuple[str, ...] = ()
    channels: tuple[Grant, ...] = ()


class TokenVerdict(Message):
    """The answer for one token: ``claims`` exactly when ``code`` is ok."""

    code: Literal["ok", "unauthorized", "token_expired", "revoked", "forbidden"]
    reason: str = ""
    claims: Claims | None = None


class VerifyRequest(Message):
    """Tokens that arrived at one edge in one tick."""

    tokens: tuple[str, ...]


class RedeemRequest(Message):
    """Tickets that arrived at one edge in one tick; each is spent by being asked about."""

    tickets: tuple[str, ...]


class VerifyReply(Message):
    """Verdicts in the order of the tokens or tickets."""

    verdicts: tuple[TokenVerdict, ...]


class Resolving(Message):
    """A user whose rights are asked for, with the groups that the token names."""

    user: str
    groups: tuple[str, ...] = ()


class ResolveRequest(Message):
    """Users who connect to one edge in one tick."""

    users: tuple[Resolving, ...]


class Rights(Message):
    """What the router says of a user: all groups, the token's included, sorted."""

    groups: tuple[str, ...]


class ResolveReply(Message):
    """Rights in the order of the users."""

    rights: tuple[Rights, ...]


class AuthorizeRequest(Message):
    """May this user do this in this channel? Asked by tools; an edge decides by the same function itself."""

    user: str
    groups: tuple[str, ...] = ()
    """Groups of the user."""
    grants: tuple[Grant, ...] = ()
    """Grants of the user's token."""
    channel: str
    """As the user names it."""
    action: Action


class AuthorizeReply(Message):
    """The decision."""

    allowed: bool
    code: str
    """`ok`, or the slug of an error code."""
    reason: str
    """In a sentence."""


class GroupsChanged(Message):
    """The user joined or left groups: open sessions follow within a second."""

    type: Literal["groups"] = "groups"
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class Acked(Message):
    """A device of the user handled everything up to ``offset`` in ``channel`` (server-side name)."""

    type: Literal["acked"] = "acked"
    channel: str
    epoch: Epoch
    offset: Offset
    session: str


UserChange = Annotated[GroupsChanged | Acked, Field(discriminator="type")]
USER_CHANGE: TypeAdapter[GroupsChanged | Acked] = TypeAdapter(UserChange)


class RightsChange(Message):
    """In REVOKED, kept as long as a resume grant may live: grants of ``user`` made up to ``at`` (Unix s) are void."""

    user: str
    at: int


class ReadMark(Message):
    """In READMARKS: ``offset`` is the last publication that the user handled in the channel."""

    epoch: Epoch
    offset: Offset


class ResumeKey(Message):
    """A key under which resume grants are signed; the newest of the bucket signs, all of them verify."""

    kid: str
    secret: str
    created: int


class ServiceStatus(Message):
    """How a process answers `rpc.status.v1`."""

    service: str
    instance: str
    version: str
    ready: bool
    """Whether it takes new work."""
    reasons: tuple[str, ...] = ()
    """Why it does not."""
    started_at: float
    """Unix seconds."""
    pid: int
    detail: dict[str, Any] = {}
