"""Asking auth and router over HTTP, and an edge as one of its users."""

from http import HTTPStatus
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from whimbrel.cli.exits import Failure, Unreachable
from whimbrel.cli.target import Target, without_password
from whimbrel.protocol.bodies import Problem, TokenReply, TokenRequest
from whimbrel.protocol.versions import PATH_PREFIX

TIMEOUT_S = 10.0
_OTHER_KEY = "say the one that it was started with: --service-key or WHIMBREL_SERVICE_KEY"
_OTHER_TOKEN = "take a fresh one: `whimbrel token --user …`"

R = TypeVar("R", bound=BaseModel)


def ask(target: Target, service: str, method: str, path: str, answer: type[R], **options: Any) -> R:
    """Return the answer of ``service`` to a request with the service key. Raises Failure."""
    response = _request(target, service, method, path, **options)
    return _understood(service, method, path, response, answer)


def _understood(service: str, method: str, path: str, response: httpx.Response, answer: type[R]) -> R:
    try:
        return answer.model_validate_json(response.content)
    except ValidationError as error:
        raise Failure(
            f"{service} answered {method} {path} in a way this version does not understand: {error}"
        ) from None


def tell(target: Target, service: str, method: str, path: str) -> None:
    """Make a request that has no answer but success. Raises Failure."""
    _request(target, service, method, path)


def mint(target: Target, request: TokenRequest) -> TokenReply:
    """Return fresh tokens. Raises Failure."""
    body = request.model_dump_json(exclude_defaults=True)
    return ask(target, "auth", "POST", "/tokens", TokenReply, content=body)


def ask_edge(target: Target, path: str, token: str, answer: type[R]) -> R:
    """Return what an edge answers to the user of ``token``. Raises Failure."""
    response = _request(target, "edge", "GET", path, token)
    return _understood("edge", "GET", path, response, answer)


def _request(
    target: Target, service: str, method: str, path: str, key: str | None = None, **options: Any
) -> httpx.Response:
    base = target.need(service).rstrip("/")
    shown = without_password(base)
    bearer = target.need("service_key") if key is None else key
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
    try:
        response = httpx.request(method, f"{base}{PATH_PREFIX}{path}", headers=headers, timeout=TIMEOUT_S, **options)
    except (httpx.ConnectError, httpx.TimeoutException) as error:
        why = f"within {TIMEOUT_S:g} s" if isinstance(error, httpx.TimeoutException) else f"({error})"
        raise Unreachable(f"{service} does not answer at {shown} {why}", "is it running?") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Failure(f"{service} at {shown}: {error}") from error
    if response.is_success:
        return response
    try:
        problem = Problem.model_validate_json(response.content)
        advice = ""
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            advice = _OTHER_KEY if key is None else _OTHER_TOKEN
        raise Failure(f"{service} says no: {problem.detail} ({problem.code} {problem.slug})", advice)
    except ValidationError:
        raise Failure(f"{shown} answered HTTP {response.status_code}: is that {service}?") from None
