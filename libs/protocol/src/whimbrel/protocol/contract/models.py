"""The models that the documents are made of, in the order in which a reader meets them."""

from collections.abc import Mapping
from typing import Final, get_args

from pydantic import BaseModel

from whimbrel.protocol import bodies
from whimbrel.protocol.frames import (
    Ack,
    ClientFrame,
    Connect,
    Connected,
    EdgeFrame,
    Error,
    Frame,
    History,
    Inbox,
    Ok,
    Ping,
    Pong,
    Presence,
    Publish,
    Refresh,
    Subscribe,
    Subscribed,
    Unsubscribe,
)
from whimbrel.protocol.rpc import AuthorizeReply, AuthorizeRequest

CLIENT_FRAMES: Final[tuple[type[Frame], ...]] = get_args(ClientFrame)
EDGE_FRAMES: Final[tuple[type[Frame], ...]] = get_args(EdgeFrame)
BODIES: Final[tuple[type[BaseModel], ...]] = (
    *(
        model
        for model in vars(bodies).values()
        if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == bodies.__name__
    ),
    AuthorizeRequest,
    AuthorizeReply,
)

# What answers a frame of the client; a request that fails is answered by `error`.
REPLIES: Final[Mapping[type[Frame], type[Frame]]] = {
    Connect: Connected,
    Subscribe: Subscribed,
    Unsubscribe: Ok,
    Publish: Ok,
    Ack: Ok,
    History: Ok,
    Inbox: Ok,
    Presence: Ok,
    Refresh: Ok,
    Ping: Pong,
}
REFUSAL: Final = Error


def type_of(frame: type[Frame]) -> str:
    """Return what ``frame`` bears in its field `type`."""
    return str(frame.model_fields["type"].default)
