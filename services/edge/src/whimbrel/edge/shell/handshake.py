"""The WebSocket handshake (RFC 6455 §4.2), answered by the front door itself."""

import base64
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus

from websockets.utils import accept_key

from whimbrel.edge.shell.deflate import agree
from whimbrel.edge.shell.httpwire import Refusal, Request
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.versions import SUBPROTOCOL


def check_origin(request: Request, allowed: Collection[str]) -> str | None:
    """Return the request's origin if its pages may connect, None where none is stated.

    Raises Refusal (403) for any other, `null`, and a header that comes twice: no spelling but the configured one
    passes.
    """
    origins = request.headers.get("origin")
    if origins is None:
        return None
    if len(origins) != 1 or origins[0] not in allowed:
        shown = ", ".join(origins)[:100]
        why = f"pages of origin {shown!r} may not connect; allow it in WHIMBREL_EDGE_ALLOWED_ORIGINS"
        raise Refusal(HTTPStatus.FORBIDDEN, ErrorCode.PERMISSION_DENIED, why)
    return origins[0]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The 101 answer, and whether permessage-deflate was agreed."""

    answer: bytes
    deflated: bool


def accept(request: Request, *, deflate: bool) -> Accepted:
    """Return the answer; ``deflate`` agrees to compression where the client offers it.

    Raises Refusal where the request is no WebSocket handshake or offers no subprotocol of ours.
    """
    if request.method != "GET":
        raise _bad("a WebSocket handshake is a GET request")
    if "websocket" not in _tokens(request, "upgrade") or "upgrade" not in _tokens(request, "connection"):
        why = "this is a WebSocket endpoint, and no upgrade was asked for: a proxy may have dropped the header"
        raise Refusal(HTTPStatus.UPGRADE_REQUIRED, ErrorCode.BAD_REQUEST, why)
    if request.headers.get("sec-websocket-version") != ["13"]:
        raise _bad("Sec-WebSocket-Version must be 13")
    if SUBPROTOCOL not in _listed(request, "sec-websocket-protocol"):
        why = f"offer the subprotocol {SUBPROTOCOL} in Sec-WebSocket-Protocol"
        raise Refusal(HTTPStatus.BAD_REQUEST, CloseCode.UNSUPPORTED_VERSION, why)
    extension = agree(request.headers.get("sec-websocket-extensions", [])) if deflate else None
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "upgrade: websocket",
        "connection: Upgrade",
        f"sec-websocket-accept: {accept_key(_key(request))}",
        f"sec-websocket-protocol: {SUBPROTOCOL}",
    ]
    if extension is not None:
        lines.append(f"sec-websocket-extensions: {extension}")
    return Accepted("\r\n".join((*lines, "\r\n")).encode(), extension is not None)


def _key(request: Request) -> str:
    keys = request.headers.get("sec-websocket-key", [])
    try:
        if len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == 16:
            return keys[0]
    except ValueError:  # also where it is not ASCII
        pass
    raise _bad("Sec-WebSocket-Key must be 16 bytes in base64, once")


def _listed(request: Request, name: str) -> list[str]:
    return [part.strip() for value in request.headers.get(name, []) for part in value.split(",")]


def _tokens(request: Request, name: str) -> list[str]:
    return [token.lower() for token in _listed(request, name)]


def _bad(why: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, ErrorCode.BAD_REQUEST, why)
