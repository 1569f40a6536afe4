"""The models that the documents are made of, in the order in which a reader meets them."""

from typing import Final, get_args

from pydantic import BaseModel

from whimbrel.protocol import bodies
from whimbrel.protocol.frames import ClientFrame, EdgeFrame, Frame

CLIENT_FRAMES: Final[tuple[type[Frame], ...]] = get_args(ClientFrame)
EDGE_FRAMES: Final[tuple[type[Frame], ...]] = get_args(EdgeFrame)
BODIES: Final[tuple[type[BaseModel], ...]] = tuple(
    model
    for model in vars(bodies).values()
    if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == bodies.__name__
)


def type_of(frame: type[Frame]) -> str:
    """Return what ``frame`` bears in its field `type`."""
    return str(frame.model_fields["type"].default)
