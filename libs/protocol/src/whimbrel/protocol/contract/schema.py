"""JSON Schema 2020-12 of the models: the root from which AsyncAPI, OpenAPI, the pages and the JavaScript types grow.

The models say what is accepted; three things that only the wire knows are added here: a frame always bears its `type`,
the edge leaves absent fields out and never writes null for them, and a publication bears its channel exactly when it
travels alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from whimbrel.protocol.contract.models import BODIES, CLIENT_FRAMES, EDGE_FRAMES
from whimbrel.protocol.frames import Frame, Publication
from whimbrel.protocol.limits import MAX_FRAMES_PER_MESSAGE
from whimbrel.protocol.versions import WIRE_VERSION

Schema = dict[str, Any]
Definitions = dict[str, Schema]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
GENERATED: Final = "Generated from whimbrel.protocol by `make generate`: do not edit."
CLIENT_FRAME: Final = "ClientFrame"
EDGE_FRAME: Final = "EdgeFrame"
PUBLICATION_FRAME: Final = "PublicationFrame"
REF: Final = "#/$defs/"

_SHARED_FIELDS: Final = ("type", "id", "channel")
# Where a body carries whole frames, its model keeps them as plain objects: each is judged on its own.
_FRAMES_IN_BODIES: Final = {"PollReply": EDGE_FRAME, "CommandsRequest": CLIENT_FRAME, "CommandsReply": EDGE_FRAME}


def client_message() -> Schema:
    """Return the schema of one WebSocket message from a client."""
    about = "One message from a client to the edge: a frame, or an array of frames."
    return _message("client-message", about, CLIENT_FRAME, client_definitions())


def edge_message() -> Schema:
    """Return the schema of one WebSocket message from the edge."""
    about = "One message from the edge to a client: a frame, or an array of frames. Types to come are to be ignored."
    return _message("edge-message", about, EDGE_FRAME, edge_definitions())


def bodies() -> Schema:
    """Return the schema whose definitions are the bodies of the HTTP endpoints."""
    about = "Bodies of the HTTP endpoints, one definition each."
    return {**_head("bodies", about), "$defs": dict(sorted(body_definitions().items()))}


def client_definitions() -> Definitions:
    """Return the definitions of the client's frames, and of any of them as ``ClientFrame``."""
    found = _definitions(CLIENT_FRAMES)
    _require_type(found, CLIENT_FRAMES)
    found[CLIENT_FRAME] = {"oneOf": [_ref(model.__name__) for model in CLIENT_FRAMES]}
    return found


def edge_definitions() -> Definitions:
    """Return the definitions of the edge's frames, and of any of them as ``EdgeFrame``."""
    found = _definitions(EDGE_FRAMES)
    for definition in found.values():
        _forbid_null(definition)
    _require_type(found, [model for model in EDGE_FRAMES if model is not Publication])
    found[PUBLICATION_FRAME] = {
        "description": "A publication on its own.",
        **_ref(Publication.__name__),
        "required": ["type", "channel"],
    }
    found[EDGE_FRAME] = {"oneOf": [_ref(edge_frame_name(model)) for model in EDGE_FRAMES]}
    return found


def body_definitions() -> Definitions:
    """Return the definitions of the bodies, with those of the frames that they carry."""
    found = _definitions(BODIES)
    for name, frame in _FRAMES_IN_BODIES.items():
        found[name]["properties"]["frames"]["items"] = _ref(frame)
    return client_definitions() | edge_definitions() | found


def edge_frame_name(model: type[Frame]) -> str:
    """Return the name of the definition that a whole frame of type ``model`` follows."""
    return PUBLICATION_FRAME if model is Publication else model.__name__


def name_of(ref: str) -> str:
    """Return the name of the definition that ``ref`` leads to."""
    return ref.rpartition("/")[2]


def reachable(definitions: Mapping[str, Schema], *names: str) -> set[str]:
    """Return ``names`` and all definitions that they lead to."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _refs(definitions[name])
    return found


def _refs(value: Any) -> Iterator[str]:
    match value:
        case {"$ref": str(ref)}:
            yield name_of(ref)
        case dict():
            for each in value.values():
                yield from _refs(each)
        case list():
            for each in value:
                yield from _refs(each)


def _message(name: str, about: str, frame: str, definitions: Definitions) -> Schema:
    array: Schema = {"type": "array", "items": _ref(frame)}
    if frame == CLIENT_FRAME:
        array["maxItems"] = MAX_FRAMES_PER_MESSAGE
    return {**_head(name, about), "anyOf": [_ref(frame), array], "$defs": dict(sorted(definitions.items()))}


def _head(name: str, about: str) -> Schema:
    return {
        "$schema": DIALECT,
        "$id": f"urn:whimbrel:v{WIRE_VERSION}:{name}",
        "$comment": GENERATED,
        "description": about,
    }


def _ref(name: str) -> Schema:
    return {"$ref": REF + name}


def _definitions(models: Iterable[type[BaseModel]]) -> Definitions:
    _, schema = models_json_schema([(model, "validation") for model in models], ref_template=REF + "{model}")
    found: Definitions = schema["$defs"]
    return {name: _tidied(definition) for name, definition in found.items()}


def _tidied(schema: Mapping[str, Any]) -> Schema:
    """Return ``schema`` without the titles that pydantic makes of names, and with each description on one line."""
    tidy: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            tidy[key] = {name: _tidied(value[name]) for name in sorted(value, key=_place)}
        elif key == "description":
            tidy[key] = " ".join(value.split())
        elif key in ("const", "enum", "default"):
            tidy[key] = value
        elif key != "title":
            tidy[key] = _tidied_value(value)
    if "const" in tidy:
        tidy.pop("default", None)
        tidy.pop("type", None)
    if tidy.get("default", ...) is None:
        del tidy["default"]  # absent, not null
    for each in tidy.get("anyOf", []):
        if "description" in each:
            tidy.setdefault("description", each.pop("description"))
    return tidy


def _place(field: str) -> int:
    """Return the place of ``field`` among its siblings: what all frames share comes first, the rest as declared."""
    return _SHARED_FIELDS.index(field) if field in _SHARED_FIELDS else len(_SHARED_FIELDS)


def _tidied_value(value: Any) -> Any:
    match value:
        case dict():
            return _tidied(value)
        case list():
            return [_tidied_value(each) for each in value]
        case _:
            return value


def _require_type(definitions: Definitions, frames: Iterable[type[Frame]]) -> None:
    for model in frames:
        definition = definitions[model.__name__]
        definition["required"] = ["type", *definition.get("required", [])]


def _forbid_null(definition: Schema) -> None:
    for name, field in definition.get("properties", {}).items():
        kept = [each for each in field.get("anyOf", []) if each != {"type": "null"}]
        if len(kept) == 1:
            rest = {key: value for key, value in field.items() if key != "anyOf"}
            definition["properties"][name] = {**kept[0], **rest}
