"""HTTP/1.1 as the front door speaks it: a head read whole, an answer written whole."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

import httptools

from whimbrel.protocol.bodies import Problem
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.limits import MAX_BODY_BYTES

MAX_HEAD_BYTES: Final = 32 * 1024  # a token has at most 8 KiB, a cursor 4; browsers add 1–2 KiB of cookies
EXPOSED: Final = "ETag, Retry-After"  # headers that a page may read


@dataclass(slots=True)
class Request:
    """One HTTP request. Header names are lower case; a header that repeats holds all its values.

    ``keep_alive``: the client goes on with this connection.
    """

    method: str = ""
    path: str = ""
    query: str = ""
    version: str = "1.1"
    headers: dict[str, list[str]] = field(default_factory=dict)
    body: bytes = b""
    keep_alive: bool = True

    def header(self, name: str) -> str | None:
        """Return the value of header ``name``, None where it is missing; the first of several."""
        values = self.headers.get(name)
        return values[0] if values else None

    def parameters(self) -> list[tuple[str, str]]:
        """Return the query's parameters in order."""
        return parse_qsl(self.query, keep_blank_values=True)

    @property
    def bearer(self) -> str | None:
        """The bearer token, None where there is none."""
        scheme, _, token = (self.header("authorization") or "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" and token.strip() else None

    @property
    def ticket(self) -> str | None:
        """The ticket in the query, None where there is none."""
        if not self.query:  # as of most
            return None
        return next((value for name, value in self.parameters() if name == "ticket"), None)


class Refusal(Exception):
    """The request is answered with an HTTP error; ``retry_ms`` says when to try again."""

    def __init__(
        self, status: HTTPStatus, code: ErrorCode | CloseCode, detail: str, *, retry_ms: int | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_ms = retry_ms


@lru_cache(maxsize=256)  # the names are few; whoever makes up others gains nothing
def _lower(name: bytes) -> str:
    return name.decode("latin-1").lower()


class _Head:
    """Collects what httptools finds in a request's head."""

    __slots__ = ("headers", "url")

    def __init__(self) -> None:
        self.url = b""
        self.headers: dict[str, list[str]] = {}

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, raw: bytes, value: bytes) -> None:
        name = _lower(raw)
        values = self.headers.get(name)
        if values is None:
            self.headers[name] = [value.decode("latin-1")]
        else:
            values.append(value.decode("latin-1"))


def read_head(raw: bytes) -> tuple[Request, int]:
    """Return the request of a head (up to and including the empty line) and the bytes of its body, which follow.

    Raises Refusal for what is not HTTP/1.1, too large, or sent in a way that this endpoint does not take.
    """
    head = _Head()
    parser = httptools.HttpRequestParser(head)
    try:
        try:  # noqa: SIM105  # `with suppress` is a quarter of the whole function
            parser.feed_data(raw)
        except httptools.HttpParserUpgrade:
            pass  # the head is whole
        url = httptools.parse_url(head.url)
    except (httptools.HttpParserError, httptools.HttpParserInvalidURLError) as error:
        why = f"the request is not HTTP/1.1: {error}"
        raise Refusal(HTTPStatus.BAD_REQUEST, ErrorCode.BAD_REQUEST, why) from None
    version = parser.get_http_version()
    if version not in ("1.1", "1.0"):
        raise Refusal(HTTPStatus.BAD_REQUEST, ErrorCode.BAD_REQUEST, "the request is not HTTP/1.1")
    request = Request(
        parser.get_method().decode("latin-1"),
        url.path.decode("latin-1") if url.path else "",
        url.query.decode("latin-1") if url.query else "",
        version,
        head.headers,
    )
    request.keep_alive = _keeps_alive(request)
    return request, _body_bytes(request)


def _keeps_alive(request: Request) -> bool:
    # httptools knows it only until a request without a body is complete.
    connection = ",".join(request.headers.get("connection", ())).lower()
    options = [option.strip() for option in connection.split(",")]
    return "close" not in options and (request.version == "1.1" or "keep-alive" in options)


def _body_bytes(request: Request) -> int:
    if "transfer-encoding" in request.headers:
        why = "send a Content-Length: chunked bodies are not taken here"
        raise Refusal(HTTPStatus.LENGTH_REQUIRED, ErrorCode.BAD_REQUEST, why)
    if "expect" in request.headers:
        raise Refusal(HTTPStatus.EXPECTATION_FAILED, ErrorCode.BAD_REQUEST, "send the body at once, without Expect")
    length = int(request.header("content-length") or 0)  # httptools has checked that it is one number
    if length > MAX_BODY_BYTES:
        why = f"a body has at most {MAX_BODY_BYTES} bytes"
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ErrorCode.TOO_LARGE, why)
    return length


def answer(
    status: HTTPStatus, body: bytes = b"", headers: Mapping[str, str] | None = None, *, keep_alive: bool = True
) -> bytes:
    """Return one whole HTTP answer."""
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    if status is not HTTPStatus.NOT_MODIFIED:
        lines.append(f"content-length: {len(body)}")
    if not keep_alive:
        lines.append("connection: close")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def cors_headers(origin: str | None) -> dict[str, str]:
    """Return the headers that let pages of ``origin`` read an answer; none where the request stated none."""
    if origin is None:
        return {}
    return {"access-control-allow-origin": origin, "access-control-expose-headers": EXPOSED, "vary": "Origin"}


def stream_head(headers: Mapping[str, str]) -> bytes:
    """Return the head of an answer that goes on until its connection ends (RFC 9112 §6.3)."""
    lines = ["HTTP/1.1 200 OK", "connection: close", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def problem(refusal: Refusal, headers: Mapping[str, str], *, keep_alive: bool) -> bytes:
    """Return ``refusal`` as `application/problem+json`."""
    body: dict[str, Any] = Problem(
        title=refusal.status.phrase,
        status=refusal.status.value,
        code=int(refusal.code),
        slug=refusal.code.slug,
        detail=refusal.detail,
        retry_after_ms=refusal.retry_ms,
    ).model_dump(exclude_none=True)
    more = {"content-type": "application/problem+json", "cache-control": "no-store"}
    if refusal.retry_ms is not None:
        more["retry-after"] = str(math.ceil(refusal.retry_ms / 1000))
    if refusal.status is HTTPStatus.UNAUTHORIZED:
        more["www-authenticate"] = "Bearer"
    return answer(refusal.status, json.dumps(body).encode(), {**headers, **more}, keep_alive=keep_alive)
