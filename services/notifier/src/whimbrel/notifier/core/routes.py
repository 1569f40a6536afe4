"""Routes: which events go to which channels, users and groups; read from a YAML file.

An event follows every route that matches it; the targets are their union, in the order of the file.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final, NamedTuple, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from whimbrel.notifier.core.errors import MalformedRoutes
from whimbrel.notifier.core.events import Event
from whimbrel.notifier.core.templates import ChannelTemplate, Template
from whimbrel.protocol.channels import NAME_PATTERN

SUBJECT_TOKENS: Final = 4  # events.<domain>.<entity>.<id>

_WORD: Final = r"(\*|[a-z0-9_-]+)"
_SUBJECT: Final = re.compile(rf"events\.{_WORD}\.{_WORD}\.(\*|{NAME_PATTERN})")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class RouteRule(BaseModel):
    """One entry of the file, as written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str = Field(description="Pattern of the event's subject: `*` is one token, `>` the rest.")
    type: str | None = Field(None, min_length=1, description="Pattern of ce-type: `*` is any text; unset: any type.")
    channels: Texts = Field((), description="Templates of channels, e.g. orders:{id}.")
    users: Texts = Field((), description="Templates of users, whose inboxes get the event, e.g. {data.customer}.")
    groups: Texts = Field((), description="Templates of groups.")

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        if not (self.channels or self.users or self.groups):
            raise ValueError("a route needs at least one of channels, users, groups")
        return self


class RoutesFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    routes: tuple[RouteRule, ...] = Field(description="May be empty: audience headers alone then decide.")


class Route(NamedTuple):
    """A route ready for use. ``tokens`` match domain, entity and id; None is any."""

    tokens: tuple[str | None, str | None, str | None]
    type: re.Pattern[str] | None
    channels: tuple[ChannelTemplate, ...]
    users: tuple[Template, ...]
    groups: tuple[Template, ...]


class Routes:
    """All routes of the file."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(routes)
        # Domains and entities are few; the bound is for a team that invents one per event.
        self._candidates = lru_cache(maxsize=1024)(self._find)

    def __len__(self) -> int:
        return len(self._routes)

    def matching(self, event: Event) -> Iterable[Route]:
        """Return the routes that ``event`` follows, in the order of the file."""
        return [
            route
            for route in self._candidates(event.domain, event.entity)
            if route.tokens[2] in (None, event.entity_id) and (route.type is None or route.type.fullmatch(event.type))
        ]

    def _find(self, domain: str, entity: str) -> tuple[Route, ...]:
        return tuple(
            route for route in self._routes if route.tokens[0] in (None, domain) and route.tokens[1] in (None, entity)
        )


class _Loader(yaml.SafeLoader):
    """Lets no key stand twice in a mapping: the last one would win, silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: list[Any] = []
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value} stands here twice", problem_mark=key.start_mark
                )
            seen.append(key.value)
        return super().construct_mapping(node, deep)


def load(text: str) -> Routes:
    """Read the file's ``text``.

    Raises MalformedRoutes, which names the place and the way out.
    """
    try:
        plain = _Loader(text).get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise MalformedRoutes(f"{where}not YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(plain, dict):
        raise MalformedRoutes("the file must be a mapping with the one key `routes`")
    try:
        file = RoutesFile.model_validate(plain)
    except ValidationError as error:
        raise MalformedRoutes("; ".join(_sentence(fault["loc"], fault["msg"]) for fault in error.errors())) from error
    return Routes([_compile(rule, f"routes[{index}]") for index, rule in enumerate(file.routes)])


def _sentence(loc: tuple[int | str, ...], message: str) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    return f"{place}: {message.removeprefix('Value error, ')}"


def _compile(rule: RouteRule, place: str) -> Route:
    def parsed(field: str, texts: tuple[str, ...], parse: Any) -> tuple[Any, ...]:
        found = []
        for index, text in enumerate(texts):
            try:
                found.append(parse(text))
            except MalformedRoutes as error:
                raise MalformedRoutes(f"{place}.{field}[{index}]: {error}") from error
        return tuple(found)

    return Route(
        tokens=_tokens(rule.subject, place),
        type=None if rule.type is None else re.compile(".*".join(map(re.escape, rule.type.split("*"))), re.DOTALL),
        channels=parsed("channels", rule.channels, ChannelTemplate.parse),
        users=parsed("users", rule.users, Template.parse),
        groups=parsed("groups", rule.groups, Template.parse),
    )


def _tokens(pattern: str, place: str) -> tuple[str | None, str | None, str | None]:
    tokens = pattern.split(".")
    if tokens[-1] == ">" and 1 < len(tokens) <= SUBJECT_TOKENS:
        tokens[-1:] = ["*"] * (SUBJECT_TOKENS + 1 - len(tokens))
    match = _SUBJECT.fullmatch(".".join(tokens))
    if match is None:
        raise MalformedRoutes(
            f"{place}.subject: {pattern!r} can match no event; write events.<domain>.<entity>.<id>, "
            "with * for any one of the three, or > for the rest"
        )
    domain, entity, entity_id = (None if token == "*" else token for token in match.groups())
    return domain, entity, entity_id
