"""The namespaces file: YAML that says what channels there are and who may do what in them.

::

    orders:                       # the namespace: channels orders:<name>
      durable: true               # stored, has positions, is recovered
      subscribe: authenticated    # nobody (default) | authenticated | {groups: [staff, vip]}
    typing:
      durable: false
      subscribe: authenticated
      publish: subscribers        # as above, or whoever is subscribed

Each fault is told with its line and field, all of them at once. The router's own namespaces are added to the table; a
file cannot
change them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml
from pydantic import ValidationError

from whimbrel.protocol.channels import NAMESPACE_PATTERN
from whimbrel.protocol.namespaces import ROUTER_OWNED, Namespace

MAX_FILE_BYTES: Final = 1024 * 1024  # 1,000 namespaces with long rules are 200 KiB
MAX_NAMESPACES: Final = 1000  # every edge holds them all

Table = Mapping[str, Namespace]

_NAME: Final = re.compile(NAMESPACE_PATTERN)


class MalformedNamespaces(ValueError):
    """A file that cannot be used; the message lists every fault with its line."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What turns the stored table into the wanted one."""

    put: Table
    removed: tuple[str, ...]


def parse(text: str | bytes) -> Table:
    """Read a namespaces file and return the whole table, the router's own namespaces included.

    Raises MalformedNamespaces.
    """
    if len(text) > MAX_FILE_BYTES:
        raise MalformedNamespaces(f"it has more than {MAX_FILE_BYTES // 1024} KiB")
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        repeated = [] if root is None else list(_repeated(root))  # before merge keys are resolved: those may repeat
        table = None if root is None else loader.construct_document(root)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise MalformedNamespaces(_yaml_fault(error)) from None
    if root is None or table is None:
        return dict(ROUTER_OWNED)
    if not isinstance(root, yaml.MappingNode):
        raise MalformedNamespaces(f"line {_line(root)}: write a mapping of namespace names to their rules")
    faults = [*repeated, *_misnamed(root)]
    namespaces: dict[str, Namespace] = {}
    for name, rules in table.items():
        try:
            namespaces[name] = Namespace.model_validate(rules)
        except ValidationError as error:
            faults += (_rule_fault(root, name, fault) for fault in _distinct(error))
    if len(table) > MAX_NAMESPACES:
        faults.append((_line(root), f"{len(table)} namespaces, at most {MAX_NAMESPACES}"))
    if faults:
        raise MalformedNamespaces("; ".join(f"line {line}: {what}" for line, what in sorted(set(faults))))
    return {**namespaces, **ROUTER_OWNED}


def diff(stored: Mapping[str, Namespace | None], wanted: Table) -> Changes:
    """Return what must be written; a stored value of None is one that this version cannot read."""
    return Changes(
        put={name: rules for name, rules in wanted.items() if stored.get(name) != rules},
        removed=tuple(sorted(stored.keys() - wanted.keys())),
    )


Fault = tuple[int, str]


def _repeated(node: yaml.Node) -> Iterator[Fault]:
    # PyYAML lets the last of two equal keys win, silently.
    waiting, seen_nodes = [node], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen_nodes or not isinstance(node, yaml.MappingNode):
            continue
        seen_nodes.add(id(node))
        keys = set[str]()
        for key, value in node.value:
            if key.value in keys:
                yield _line(key), f"{key.value} stands here a second time"
            keys.add(key.value)
            waiting.append(value)


def _misnamed(root: yaml.MappingNode) -> Iterator[Fault]:
    for key, _ in root.value:
        name = key.value
        if not isinstance(name, str) or key.tag != "tag:yaml.org,2002:str" or not _NAME.fullmatch(name):
            yield _line(key), f"{name!r} is not a namespace: a small letter, then at most 31 of a-z 0-9 -"
        elif name in ROUTER_OWNED:
            yield _line(key), f"the namespace {name} is the router's own; leave it out"


def _distinct(error: ValidationError) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Yield place and text of each fault; of a field with alternatives, one text instead of one per alternative."""
    told = set[int | str]()
    for fault in error.errors(include_url=False, include_context=False):
        place = fault["loc"]
        field = place[0] if place else ""
        if field in told and len(place) > 1:
            continue
        told.add(field)
        if field in ("subscribe", "publish", "history", "presence"):
            others = ", subscribers" if field == "publish" else ""
            yield place[:1], f"write nobody, authenticated{others} or a mapping such as {{groups: [staff]}}"
        else:
            yield place, fault["msg"].removeprefix("Value error, ")


def _rule_fault(root: yaml.MappingNode, name: Any, fault: tuple[tuple[int | str, ...], str]) -> Fault:
    place, message = fault
    line, node = _line(root), root
    for part in (name, *place):
        found = next((pair for pair in node.value if pair[0].value == str(part)), None)
        if found is None:
            break
        line = _line(found[0])
        if not isinstance(found[1], yaml.MappingNode):
            break
        node = found[1]
    return line, f"{'.'.join(map(str, (name, *place)))}: {message[:1].lower()}{message[1:]}"


def _yaml_fault(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    if isinstance(error, yaml.reader.ReaderError):
        return f"character {error.position}: {error.reason}"
    return "it cannot be read as YAML"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
