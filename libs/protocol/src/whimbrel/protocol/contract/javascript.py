"""JavaScript types and constants of the contract, as ES modules.

The types are JSDoc, so that the client runs in a browser as it stands and tsc checks it. Advice and texts stay on the
reference pages: every byte here is sent to every browser. For the same reason each table is a module of constants
(``import * as CLOSE_CODES``): a bundler writes a number where one is used, and drops the rest.
"""

import json
from collections.abc import Iterable, Iterator, Mapping

from whimbrel.protocol import limits
from whimbrel.protocol.channels import CHANNEL_PATTERN, INBOX
from whimbrel.protocol.codes import FIRST_TERMINAL_CLOSE, CloseCode, ErrorCode
from whimbrel.protocol.contract import schema
from whimbrel.protocol.contract.schema import CLIENT_FRAME, EDGE_FRAME, PUBLICATION_FRAME, Schema
from whimbrel.protocol.versions import SUBPROTOCOL

WIDTH = 120
BODIES_OF_CLIENTS = ("PollRequest", "PollReply", "CommandsRequest", "CommandsReply", "TransportsReply", "Problem")
LIMITS_OF_CLIENTS = (
    "MAX_FRAME_BYTES",
    "MAX_FRAMES_PER_MESSAGE",
    "MAX_CHANNELS",
    "MAX_KEY_CHARS",
    "MAX_EVENT_NAME_CHARS",
    "HISTORY_LIMIT",
    "POLL_WAIT_S",
    "MAX_POLL_WAIT_S",
    "POLL_LIMIT",
    "MAX_POLL_LIMIT",
    "PING_S",
    "PONG_S",
    "EXPIRY_NOTICE_S",
    "BACKOFF_BASE_S",
    "BACKOFF_CAP_S",
    "BACKOFF_RESET_S",
    "OPEN_TIMEOUT_S",
    "OPEN_TRIES",
)


def modules() -> dict[str, str]:
    """Return the text of each module, by file name."""
    return {
        "protocol.gen.js": _protocol(),
        "close-codes.gen.js": _table("Why the edge closed a connection.", {each.slug: int(each) for each in CloseCode}),
        "error-codes.gen.js": _table("Why a request failed.", {each.slug: int(each) for each in ErrorCode}),
        "limits.gen.js": _table("Limits.", {name: getattr(limits, name) for name in LIMITS_OF_CLIENTS}),
    }


def _protocol() -> str:
    definitions = schema.body_definitions()
    unions = (CLIENT_FRAME, EDGE_FRAME, PUBLICATION_FRAME)
    written = schema.reachable(definitions, CLIENT_FRAME)
    wanted = written | schema.reachable(definitions, EDGE_FRAME) | schema.reachable(definitions, *BODIES_OF_CLIENTS)
    types = [
        _typedef(name, definitions[name], writable=name in written)
        for name in definitions
        if name in wanted and name not in unions
    ]
    return "\n".join(
        [
            f"// {schema.GENERATED}",
            *("", "// Frames and bodies.", "", *_joined(types)),
            "",
            '/** @typedef {Publication & {type: "publication", channel: string}} PublicationFrame */',
            "",
            *_union(CLIENT_FRAME, definitions),
            "",
            *_union(EDGE_FRAME, definitions),
            *("", "// Names.", ""),
            "/** A close code from here to 4999 forbids to reconnect, known or not. */",
            f"export const FIRST_TERMINAL_CLOSE = {FIRST_TERMINAL_CLOSE};",
            "",
            f"export const SUBPROTOCOL = {json.dumps(SUBPROTOCOL)};",
            f"export const INBOX = {json.dumps(INBOX)};",
            f"export const CHANNEL_PATTERN = /{CHANNEL_PATTERN}/;",
            "",
        ]
    )


def _joined(blocks: Iterable[list[str]]) -> Iterator[str]:
    for index, block in enumerate(blocks):
        if index:
            yield ""
        yield from block


def _typedef(name: str, definition: Schema, *, writable: bool) -> list[str]:
    lines = ["/**", f" * {definition['description']}", " *", f" * @typedef {{object}} {name}"]
    required = definition.get("required", [])
    for field, about in definition.get("properties", {}).items():
        kind = _type(about, writable=writable)
        if field in required:
            named = field
        else:
            # What a client writes may be undefined: JSON.stringify leaves it out.
            kind = f"{kind} | undefined" if writable and kind != "any" else kind
            named = f"[{field}]"
        lines.append(f" * @property {{{kind}}} {named} {_one_line(about.get('description', ''))}".rstrip())
    return [*lines, " */"]


def _type(about: Schema, *, writable: bool) -> str:
    match about:
        case {"$ref": str(ref)}:
            return schema.name_of(ref)
        case {"const": value}:
            return json.dumps(value)
        case {"enum": values}:
            return " | ".join(json.dumps(value) for value in values)
        case {"anyOf": branches}:
            return " | ".join(_type(each, writable=writable) for each in branches)
        case {"type": "array", "items": items}:
            item = _type(items, writable=writable)
            return f"({item})[]" if "|" in item else f"{item}[]"
        case {"type": "object", "additionalProperties": dict(values)}:
            return f"Record<string, {_type(values, writable=writable)}>"
        case {"type": "object"}:
            return "Record<string, any>"
        case {"type": "integer" | "number"}:
            return "number"
        case {"type": str(plain)}:
            return plain
        case _:
            return "any"


def _union(name: str, definitions: Mapping[str, Schema]) -> list[str]:
    members = [schema.name_of(each["$ref"]) for each in definitions[name]["oneOf"]]
    lines, line = [], f"/** @typedef {{{members[0]}"
    for member in members[1:]:
        if len(line) + len(member) > WIDTH - 20:
            lines.append(line)
            line = " *   "
            line += f"| {member}"
        else:
            line += f" | {member}"
    return [*lines, f"{line}}} {name} */"]


def _table(title: str, rows: Mapping[str, float]) -> str:
    lines = (f"export const {name} = {_number(value)};" for name, value in rows.items())
    return "\n".join([f"// {schema.GENERATED}", "", f"// {title}", "", *lines, ""])


def _number(value: float) -> str:
    whole = int(value)
    return str(value) if whole != value else f"{whole:_}" if whole >= 10_000 else str(whole)


def _one_line(text: str) -> str:
    return " ".join(text.replace("*/", "* /").split())
