"""OpenAPI 3.1 of one service, from the table of routes and the schemas of the bodies."""

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

from whimbrel.protocol.bodies import Problem
from whimbrel.protocol.contract import examples, schema
from whimbrel.protocol.contract.routes import Answer, Caller, Parameter, Route
from whimbrel.protocol.contract.schema import Definitions, Schema
from whimbrel.protocol.versions import WIRE_VERSION

VERSION: Final = "3.1.0"
COMPONENTS: Final = "#/components/schemas/"
JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
WITH_RETRY_AFTER: Final = (429, 503)
_ABOUT: Final = {
    "edge": "What clients talk to. Errors are problem documents (RFC 9457) with a code of the contract.",
    "auth": "Mints, refreshes and revokes tokens.",
    "router": "Groups, rules and the state of the whole, for the application and its operators.",
}
_PORTS: Final = {"edge": 8080, "auth": 8081, "router": 8082}  # as in development
_SECURITY: Final = {Caller.USER: "accessToken", Caller.SERVICE: "serviceKey"}


def document(service: str, routes: Sequence[Route]) -> Schema:
    """Return the description of the endpoints of ``service``."""
    paths: dict[str, Schema] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method] = _operation(route)
    return {
        "openapi": VERSION,
        "info": {
            "title": f"Whimbrel {service}",
            "version": str(WIRE_VERSION),
            "description": _ABOUT[service],
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "x-generated": schema.GENERATED,
        "servers": [{"url": f"http://localhost:{_PORTS[service]}", "description": "In development."}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "accessToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "serviceKey": {"type": "http", "scheme": "bearer", "description": "A secret between services."},
            },
            "schemas": _components(routes),
        },
    }


def _operation(route: Route) -> Schema:
    operation: Schema = {
        "operationId": route.name,
        "summary": route.about.partition(":")[0].partition(".")[0].partition(";")[0],
        "description": route.about + ("" if route.served else " Not served by this version yet."),
    }
    if not route.served:
        operation["x-served"] = False
    operation["security"] = [{_SECURITY[route.caller]: []}] if route.caller in _SECURITY else []
    if route.parameters:
        operation["parameters"] = [_parameter(each) for each in route.parameters]
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: _content(route.body)}}
    operation["responses"] = {str(status): _answer(answer) for status, answer in route.answers.items()} | {
        str(status): _failure(status) for status in route.failures
    }
    return operation


def _parameter(parameter: Parameter) -> Schema:
    described: Schema = {"name": parameter.name, "in": parameter.place, "description": parameter.about}
    if parameter.place == "path":
        described["required"] = True
    return {**described, "schema": parameter.schema}


def _content(model: type) -> Schema:
    content: Schema = {"schema": {"$ref": COMPONENTS + model.__name__}}
    if model.__name__ in examples.BODIES:
        content["example"] = examples.BODIES[model.__name__]
    return content


def _answer(answer: Answer) -> Schema:
    described: Schema = {"description": answer.about}
    if answer.headers:
        described["headers"] = {
            name: {"description": about, "schema": {"type": "string"}} for name, about in answer.headers.items()
        }
    if answer.body is not None:
        described["content"] = {JSON: _content(answer.body)}
    return described


def _failure(status: int) -> Schema:
    described: Schema = {"description": HTTPStatus(status).phrase}
    if status in WITH_RETRY_AFTER:
        described["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return {**described, "content": {PROBLEM: {"schema": {"$ref": COMPONENTS + Problem.__name__}}}}


def _components(routes: Sequence[Route]) -> Definitions:
    wanted = {Problem.__name__}
    for route in routes:
        bodies = [route.body, *(answer.body for answer in route.answers.values())]
        wanted |= {body.__name__ for body in bodies if body is not None}
    return components(schema.body_definitions(), wanted)


def components(definitions: Definitions, wanted: Iterable[str]) -> Definitions:
    """Return ``wanted`` of ``definitions`` and what they lead to, as components of an API description."""
    return {name: moved(definitions[name]) for name in sorted(schema.reachable(definitions, *wanted))}


def moved(value: Any) -> Any:
    """Return ``value`` with its references leading to components."""
    match value:
        case dict():
            return {key: _moved_ref(each) if key == "$ref" else moved(each) for key, each in value.items()}
        case list():
            return [moved(each) for each in value]
        case _:
            return value


def _moved_ref(ref: str) -> str:
    return re.sub(f"^{re.escape(schema.REF)}", COMPONENTS, ref)
