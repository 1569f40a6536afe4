"""``docs/websocket-api.md``: prose from ``pages/websocket-api.md.in``, with tables and examples in its placeholders.

A placeholder stands in double braces: a word that names a function below, then its arguments.
"""

import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Final

from whimbrel.protocol import limits
from whimbrel.protocol.channels import NAME_PATTERN, NAMESPACE_PATTERN
from whimbrel.protocol.codes import CloseCode
from whimbrel.protocol.contract import examples, reference, schema
from whimbrel.protocol.contract.markdown import HEADER, example, fields, table
from whimbrel.protocol.contract.models import CLIENT_FRAMES, EDGE_FRAMES, REPLIES, type_of
from whimbrel.protocol.contract.routes import ROUTES
from whimbrel.protocol.frames import Frame
from whimbrel.protocol.publications import WITHDRAWN
from whimbrel.protocol.versions import SUBPROTOCOL

PLACEHOLDER: Final = re.compile(r"\{\{ (.+?) \}\}")
SHARED: Final = ("Position", "Subscription", "RefusedChannel", "ConnectedLimits", "Heartbeat", "PollAdvice")
REFUSALS: Final = (
    (CloseCode.UNAUTHORIZED, "not valid"),
    (CloseCode.TOKEN_EXPIRED, "expired"),
    (CloseCode.REVOKED, "revoked"),
    (CloseCode.FORBIDDEN, "not allowed"),
    (CloseCode.TOO_MANY_CONNECTIONS, "too many connections"),
    (CloseCode.OVERLOADED, "overloaded"),
)


def websocket_api() -> str:
    """Return the page, every placeholder filled in."""
    prose = files(__package__).joinpath("pages/websocket-api.md.in").read_text(encoding="utf-8")
    return HEADER + PLACEHOLDER.sub(lambda match: _fill(match[1]), prose)


def _fill(placeholder: str) -> str:
    name, _, argument = placeholder.partition(" ")
    return _PIECES[name](argument)


def _limit(name: str) -> str:
    return f"{getattr(limits, name):,g}" if name.endswith("_S") else f"{getattr(limits, name):,}"


def _example(argument: str) -> str:
    side, name = argument.split()
    return example((examples.CLIENT_FRAMES if side == "client" else examples.EDGE_FRAMES)[name])


def _rule(_: str) -> str:
    return table(
        ["when", "then", "what it means"],
        [
            ["`offset ≤ q`", "drop it", "a duplicate"],
            ["`prev ≤ q < offset`", "apply it, `q = offset`", "the next one"],
            ["`prev > q`", "apply nothing, subscribe again from `q`", "a gap"],
        ],
    )


def _frames(side: str) -> str:
    if side == "client":
        definitions = schema.client_definitions()
        return "\n\n".join(_frame(each, definitions, examples.CLIENT_FRAMES) for each in CLIENT_FRAMES)
    definitions = schema.edge_definitions()
    # `ping` and `pong` are the same both ways.
    return "\n\n".join(
        _frame(each, definitions, examples.EDGE_FRAMES) for each in EDGE_FRAMES if each not in CLIENT_FRAMES
    )


def _frame(model: type[Frame], definitions: schema.Definitions, shown: Mapping[str, examples.Example]) -> str:
    definition = definitions[model.__name__]
    if model.__name__ == "Publication":
        definition = {**definition, "required": [*definition["required"], "channel"]}
    reply = REPLIES.get(model)
    parts = [
        f"### {type_of(model)}",
        definition["description"] + (f" Answered by `{type_of(reply)}`." if reply else ""),
        fields(definition, without=("type",)),
        example(shown[type_of(model)]),
    ]
    return "\n\n".join(part for part in parts if part)


def _shared(_: str) -> str:
    definitions = schema.body_definitions()
    return "\n\n".join(
        f"### {name} object\n\n{definitions[name]['description']}\n\n{fields(definitions[name])}" for name in SHARED
    )


def _body(name: str) -> str:
    definition = schema.body_definitions()[name]
    return f"**{name}.** {definition['description']}\n\n{fields(definition)}\n\n{example(examples.BODIES[name])}"


def _codes(of: str) -> str:
    return reference.close_codes() if of == "close" else reference.error_codes()


def _planned(_: str) -> str:
    routes = (route for service in ROUTES.values() for route in service if not route.served)
    return ", ".join(f"`{route.method.upper()} {route.path}`" for route in routes)


_PIECES: Final[Mapping[str, Callable[[str], str]]] = {
    "body": _body,
    "codes": _codes,
    "days": lambda name: str(getattr(limits, name) // 86_400),
    "example": _example,
    "frames": _frames,
    "limit": _limit,
    "mebibytes": lambda name: f"{getattr(limits, name) // 2**20} MiB",
    "name": lambda _: f"`{NAME_PATTERN}`",
    "namespace": lambda _: f"`{NAMESPACE_PATTERN}`",
    "planned": _planned,
    "refusals": lambda _: ", ".join(f"{code:d} {why}" for code, why in REFUSALS),
    "rule": _rule,
    "shared": _shared,
    "subprotocol": lambda _: SUBPROTOCOL,
    "withdrawn": lambda _: WITHDRAWN,
}
