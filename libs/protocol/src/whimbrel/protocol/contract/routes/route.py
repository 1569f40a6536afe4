"""One endpoint as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]


class Caller(Enum):
    """What a request must bear."""

    ANYONE = "nothing"
    USER = "an access token"
    SERVICE = "the service key"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the query, the path or a header; ``required`` holds for those in the path."""

    place: str
    name: str
    about: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer: with a JSON body, or without any; ``headers`` by name, with what they say."""

    about: str
    body: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. ``failures`` are the HTTP statuses of its problems; ``served``: this version answers there."""

    method: str
    path: str
    name: str
    about: str
    caller: Caller
    answers: Mapping[int, Answer]
    body: type[BaseModel] | None = None
    parameters: tuple[Parameter, ...] = ()
    failures: tuple[int, ...] = ()
    served: bool = True
