"""The schemas say the same as the models, as far as JSON Schema can say it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from pydantic import TypeAdapter, ValidationError

from tests.protocol.strategies import client_frames, edge_frames
from tests.protocol.vectors import Vector, every, message_of
from whimbrel.protocol import bodies
from whimbrel.protocol.contract import examples, schema
from whimbrel.protocol.contract.models import BODIES
from whimbrel.protocol.errors import MalformedFrame
from whimbrel.protocol.frames import ClientFrame, EdgeFrame, decode, decode_edge, encode
from whimbrel.protocol.positions import Position


def ecma_pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[jsonschema.ValidationError]:
    """Read ``pattern`` as JSON Schema means it (ECMA-262): `$` is the end, not the end or a last line break."""
    if isinstance(instance, str) and re.search(pattern.replace("$", r"\Z"), instance) is None:
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


Validator: Any = jsonschema.validators.extend(  # type: ignore[no-untyped-call]  # its stubs leave it open
    jsonschema.Draft202012Validator, {"pattern": ecma_pattern}
)
CLIENT = Validator(schema.client_message())
EDGE = Validator(schema.edge_message())
# Refused by the model alone: no schema looks at the value of a number in any JSON.
BEYOND_SCHEMAS = re.compile("over the range of a double|deep within")


def body(name: str) -> Any:
    return Validator({**schema.bodies(), "$ref": schema.REF + name})


@pytest.mark.parametrize("document", [schema.client_message, schema.edge_message, schema.bodies])
def test_a_schema_is_a_schema(document: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(document())


@pytest.mark.parametrize("name", examples.CLIENT_FRAMES)
def test_every_example_of_a_client_passes_both(name: str) -> None:
    CLIENT.validate(examples.CLIENT_FRAMES[name])
    [frame] = decode(json.dumps(examples.CLIENT_FRAMES[name]).encode())
    assert json.loads(encode(frame)) == examples.CLIENT_FRAMES[name]  # type: ignore[arg-type]  # a refusal would fail


@pytest.mark.parametrize("name", examples.EDGE_FRAMES)
def test_every_example_of_the_edge_passes_both(name: str) -> None:
    EDGE.validate(examples.EDGE_FRAMES[name])
    assert len(decode_edge(json.dumps(examples.EDGE_FRAMES[name]))) == 1


@pytest.mark.parametrize("model", BODIES, ids=lambda model: model.__name__)
def test_every_example_of_a_body_passes_both(model: Any) -> None:
    shown = examples.BODIES[model.__name__]
    body(model.__name__).validate(shown)
    TypeAdapter(model).validate_python(shown)


@every("client-frames.json")
def test_the_schema_refuses_what_the_model_refuses(vector: Vector) -> None:
    assert CLIENT.is_valid(json.loads(message_of(vector))) == all("refused" not in each for each in vector["frames"])


@every("json.json")
def test_the_schema_takes_what_the_model_takes(vector: Vector) -> None:
    if "frames" in vector:
        taken = all("refused" not in each for each in vector["frames"])
        assert CLIENT.is_valid(json.loads(message_of(vector)))
        assert taken or BEYOND_SCHEMAS.search(vector["name"])


@every("edge-frames.json")
def test_the_schema_takes_what_a_client_reads(vector: Vector) -> None:
    message = json.loads(message_of(vector))
    known = len(message) if isinstance(message, list) else 1
    assert EDGE.is_valid(message) == (len(vector["frames"]) == known)  # types to come are not in the schema


@every("edge-frames.json", "broken")
def test_the_schema_refuses_what_a_client_cannot_read(vector: Vector) -> None:
    assert not EDGE.is_valid(json.loads(message_of(vector)))


@every("positions.json", "positions")
def test_the_schema_of_a_position_is_the_model(vector: Vector) -> None:
    assert body("Position").is_valid(vector["position"]) == vector["valid"]


@given(frame=client_frames)
def test_any_frame_of_a_client_follows_its_schema(frame: ClientFrame) -> None:
    CLIENT.validate(json.loads(encode(frame)))


@given(frame=edge_frames)
def test_any_frame_of_the_edge_follows_its_schema(frame: EdgeFrame) -> None:
    message = json.loads(encode(frame))
    if message["type"] == "publication":
        message.setdefault("channel", "inbox")  # a publication alone bears it; the model serves the nested ones too
    EDGE.validate(message)


def each_field_broken(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield ``value`` with one field after another missing, or of a type that no field has."""
    for name in value:
        yield {field: each for field, each in value.items() if field != name}
        yield {**value, name: object.__name__ if isinstance(value[name], int | dict | list) else 17.5}


@pytest.mark.parametrize("name", examples.EDGE_FRAMES)
def test_model_and_schema_of_an_edges_frame_agree_on_each_field(name: str) -> None:
    for message in each_field_broken(examples.EDGE_FRAMES[name]):
        if message.get("type") != name or (name == "publication" and "channel" not in message):
            continue
        try:
            readable = len(decode_edge(json.dumps(message))) == 1
        except MalformedFrame:
            readable = False
        assert EDGE.is_valid(message) == readable, message


@pytest.mark.parametrize("model", [bodies.PollRequest, bodies.TokenRequest, bodies.RefreshRequest, Position])
def test_model_and_schema_of_a_request_agree_on_each_field(model: Any) -> None:
    shown = examples.BODIES.get(model.__name__, {"epoch": "e1", "offset": 17})
    for value in each_field_broken(shown):
        try:
            model.model_validate_json(json.dumps(value))
            taken = True
        except ValidationError:
            taken = False
        assert body(model.__name__).is_valid(value) == taken, value


def test_the_edge_never_writes_null_for_an_absent_field() -> None:
    error = examples.EDGE_FRAMES["error"]
    assert EDGE.is_valid(error)
    assert not EDGE.is_valid({**error, "retry_ms": None})
    assert EDGE.is_valid({**examples.EDGE_FRAMES["publication"], "data": None})


def test_a_publication_alone_bears_its_channel() -> None:
    publication = examples.EDGE_FRAMES["publication"]
    without = {name: each for name, each in publication.items() if name != "channel"}
    assert not EDGE.is_valid(without)
    assert EDGE.is_valid({**examples.EDGE_FRAMES["subscribed"], "publications": [without]})


def test_a_frame_bears_its_type() -> None:
    assert not CLIENT.is_valid({"id": 1, "channel": "orders:42"})
    assert not EDGE.is_valid({})
