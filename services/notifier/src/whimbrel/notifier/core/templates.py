"""Templates of targets: ``orders:{id}``, ``{data.customer.id}``, ``{data.watchers.id}``.

A field is `domain`, `entity`, `id`, `type`, or a path into the data. A path through a list stands for each of its
elements, so that one template may give many targets. A missing field is a fault of the event, unless the template says
that it may be missing: ``{data.assignee?}`` then gives no target.
"""

import re
from collections.abc import Iterator
from itertools import product
from typing import Any, Final, NamedTuple, Self

from whimbrel.notifier.core.errors import MalformedRoutes, Reason, Undeliverable
from whimbrel.notifier.core.events import Event
from whimbrel.protocol.channels import NAME_PATTERN, NAMESPACE_PATTERN, Channel
from whimbrel.protocol.errors import MalformedChannel

MAX_TARGETS: Final = 10_000  # of one event: half a second of a notifier; a larger audience is a group

_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_PLAIN: Final = re.compile(r"domain|entity|id|type")
_PATH: Final = re.compile(r"data((?:\.[A-Za-z0-9_-]+)+)(\??)")
_NAMESPACE: Final = re.compile(rf"({NAMESPACE_PATTERN}|\{{(?:domain|entity)\}}):.+")
_LITERAL: Final = re.compile(NAME_PATTERN)
_MISSING: Final = object()


class Field(NamedTuple):
    """A place to fill in. ``path`` leads into the data, empty for an attribute of the event itself."""

    name: str
    path: tuple[str, ...] = ()
    optional: bool = False


class Template(NamedTuple):
    """A text with fields; ``parts`` alternate as they are written."""

    text: str
    parts: tuple[str | Field, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a template.

        Raises MalformedRoutes.
        """
        parts: list[str | Field] = []
        end = 0
        for match in _FIELD.finditer(text):
            if match.start() > end:
                parts.append(text[end : match.start()])
            parts.append(_field(match.group(1)))
            end = match.end()
        if end < len(text):
            parts.append(text[end:])
        if not parts or any("{" in part or "}" in part for part in parts if isinstance(part, str)):
            raise MalformedRoutes(f"{text!r}: write a field as {{id}} or {{data.path.to.field}}")
        return cls(text, tuple(parts))

    def expand(self, event: Event) -> list[str]:
        """Return the texts that ``event`` gives, in the order of its lists; none where an optional field is missing.

        Raises Undeliverable (bad_target, too_many_targets).
        """
        choices = []
        total = 1
        for part in self.parts:
            texts = [part] if isinstance(part, str) else self._texts(part, event)
            total *= len(texts)
            choices.append(texts)
        if total > MAX_TARGETS:
            raise Undeliverable(
                Reason.TOO_MANY_TARGETS, f"template {self.text!r} gives {total} targets, at most {MAX_TARGETS} are sent"
            )
        if len(choices) == 1:
            return choices[0]
        return ["".join(chosen) for chosen in product(*choices)]

    def _texts(self, field: Field, event: Event) -> list[str]:
        match field.name:
            case "id":
                return [event.entity_id]
            case "domain":
                return [event.domain]
            case "entity":
                return [event.entity]
            case "type":
                return [event.type]
        found = list(_walk(event.value, field.path))
        if any(value is _MISSING or value is None for value in found):
            if not field.optional:
                raise self._refusal(f"the data has no {'.'.join(field.path)}")
            found = [value for value in found if value is not _MISSING and value is not None]
        return [self._text(value, field) for value in found]

    def _text(self, value: Any, field: Field) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int) and -(2**63) <= value < 2**64:
            return str(value)
        raise self._refusal(
            f"{'.'.join(field.path)} is {_kind(value)}; a target is made of texts, integers and lists of them"
        )

    def _refusal(self, message: str) -> Undeliverable:
        return Undeliverable(Reason.BAD_TARGET, f"template {self.text!r}: {message}")


class ChannelTemplate(NamedTuple):
    """A template whose texts are channels; what the data says can never choose the namespace."""

    template: Template

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a channel template.

        Raises MalformedRoutes.
        """
        if _NAMESPACE.fullmatch(text) is None:
            raise MalformedRoutes(
                f"{text!r}: write namespace:name; the namespace is fixed text, {{domain}} or {{entity}}, "
                "never a field of the data"
            )
        template = Template.parse(text)
        _, _, name = text.partition(":")
        if (literal := _FIELD.sub("", name)) and _LITERAL.fullmatch(literal) is None:
            raise MalformedRoutes(
                f"{text!r}: no channel can have that name; it consists of A-Z a-z 0-9 _ - : = @ ~ and fields"
            )
        return cls(template)

    def expand(self, event: Event) -> list[Channel]:
        """Return the channels that ``event`` gives.

        Raises Undeliverable (bad_target, too_many_targets).
        """
        try:
            return [Channel.parse(text) for text in self.template.expand(event)]
        except MalformedChannel as error:
            raise Undeliverable(Reason.BAD_TARGET, f"template {self.template.text!r}: {error}") from error


def _field(text: str) -> Field:
    if _PLAIN.fullmatch(text):
        return Field(text)
    match = _PATH.fullmatch(text)
    if match is None:
        raise MalformedRoutes(
            f"{{{text}}} is no field: there are {{domain}}, {{entity}}, {{id}}, {{type}} and {{data.path.to.field}}, "
            "with a '?' at the end where it may be missing"
        )
    return Field("data", tuple(match.group(1)[1:].split(".")), match.group(2) == "?")


def _walk(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    if isinstance(value, list):
        for element in value:
            yield from _walk(element, path)
    elif not path:
        yield value
    elif isinstance(value, dict):
        yield from _walk(value.get(path[0], _MISSING), path[1:])
    else:
        yield _MISSING


def _kind(value: Any) -> str:
    match value:
        case dict():
            return "an object"
        case float():
            return "a fraction"
        case "":
            return "an empty text"
        case _:
            return "too large a number"
