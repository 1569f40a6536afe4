"""The WebSocket handshake (RFC 6455 §4.2), answered by the front door itself."""

import binascii
import hashlib
from collections.abc import Collection, Sequence
from http import HTTPStatus
from typing import Final, NamedTuple

from websockets.utils import GUID

from whimbrel.edge.shell.deflate import agree
from whimbrel.edge.shell.httpwire import Refusal, Request
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.versions import SUBPROTOCOL

_GUID: Final = GUID.encode()
_ONLY_OURS: Final = [SUBPROTOCOL]
_ANSWER: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    b"sec-websocket-accept: %%b\r\nsec-websocket-protocol: %b\r\n%%b\r\n" % SUBPROTOCOL.encode()
)
_KEY_BYTES: Final = 16
_WHAT_KEY: Final = "Sec-WebSocket-Key must be 16 bytes in base64, once"


def check_origin(request: Request, allowed: Collection[str]) -> str | None:
    """Return the request's origin if its pages may connect, None where none is stated.

    Raises Refusal (403) for any other, `null`, and a header that comes twice: no spelling but the configured one
    passes.
    """
    origins = request.headers.get("origin", [])
    if why := foreign(origins, allowed):
        raise Refusal(HTTPStatus.FORBIDDEN, ErrorCode.PERMISSION_DENIED, why)
    return origins[0] if origins else None


def foreign(origins: Sequence[str], allowed: Collection[str]) -> str:
    """Return why pages of these ``origins``, the values of the header, may not connect; empty where they may."""
    if not origins or (len(origins) == 1 and origins[0] in allowed):
        return ""
    shown = ", ".join(origins)[:100]
    return f"pages of origin {shown!r} may not connect; allow it in WHIMBREL_EDGE_ALLOWED_ORIGINS"


class Accepted(NamedTuple):
    """The 101 answer, and whether permessage-deflate was agreed."""

    answer: bytes
    deflated: bool


class Upgrade(NamedTuple):
    """A request to become a WebSocket. ``extensions`` is the line of the answer that agrees to some, else empty; the
    ``key`` counts, not that of the request, which may have been read for another client.
    """

    request: Request
    extensions: bytes
    key: bytes

    @property
    def says_who(self) -> bool:
        """Whether the request tells who the client is, by header or ticket."""
        return "authorization" in self.request.headers or self.request.ticket is not None

    def accept(self) -> Accepted:
        """Return the answer. Raises Refusal where the key is none."""
        try:
            if len(binascii.a2b_base64(self.key, strict_mode=True)) != _KEY_BYTES:
                raise _bad(_WHAT_KEY)
        except ValueError:
            raise _bad(_WHAT_KEY) from None
        digest = hashlib.sha1(self.key + _GUID, usedforsecurity=False).digest()
        return Accepted(_ANSWER % (binascii.b2a_base64(digest, newline=False), self.extensions), self.extensions != b"")


def read_upgrade(request: Request, *, deflate: bool) -> Upgrade:
    """Return what ``request`` asks for; ``deflate`` agrees to compression where the client offers it.

    Raises Refusal where it is no WebSocket handshake or offers no subprotocol of ours.
    """
    if request.method != "GET":
        raise _bad("a WebSocket handshake is a GET request")
    headers = request.headers
    if not (_lists(headers.get("upgrade"), "websocket") and _lists(headers.get("connection"), "upgrade")):
        why = "this is a WebSocket endpoint, and no upgrade was asked for: a proxy may have dropped the header"
        raise Refusal(HTTPStatus.UPGRADE_REQUIRED, ErrorCode.BAD_REQUEST, why)
    if headers.get("sec-websocket-version") != ["13"]:
        raise _bad("Sec-WebSocket-Version must be 13")
    offered = headers.get("sec-websocket-protocol", ())
    if offered != _ONLY_OURS and not any(part.strip() == SUBPROTOCOL for value in offered for part in value.split(",")):
        why = f"offer the subprotocol {SUBPROTOCOL} in Sec-WebSocket-Protocol"
        raise Refusal(HTTPStatus.BAD_REQUEST, CloseCode.UNSUPPORTED_VERSION, why)
    keys = headers.get("sec-websocket-key", ())
    if len(keys) != 1:
        raise _bad(_WHAT_KEY)
    extension = agree(headers.get("sec-websocket-extensions", [])) if deflate else None
    extensions = b"" if extension is None else b"sec-websocket-extensions: %b\r\n" % extension.encode()
    return Upgrade(request, extensions, keys[0].encode("latin-1"))


def _lists(values: list[str] | None, token: str) -> bool:
    """Tell whether a header's ``values`` list ``token`` (lower case), in whatever case."""
    if values is None:
        return False
    return values[0].lower() == token or token in [
        part.strip().lower() for value in values for part in value.split(",")
    ]


def _bad(why: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, ErrorCode.BAD_REQUEST, why)
