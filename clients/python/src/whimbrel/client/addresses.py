"""Where the endpoints of an edge are, from the one URL that an application knows."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from whimbrel.client.errors import Misuse
from whimbrel.protocol.versions import PATH_PREFIX

_SCHEMES = {"http": ("http", "ws"), "ws": ("http", "ws"), "https": ("https", "wss"), "wss": ("https", "wss")}


@dataclass(frozen=True, slots=True)
class Addresses:
    """URLs of the endpoints that the client uses."""

    websocket: str
    events: str
    poll: str
    commands: str
    transports: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Read the base URL of an edge: ``http(s)://`` or ``ws(s)://``, with a path where an ingress puts it below one.

        Raises Misuse.
        """
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            raise Misuse(f"{url!r} is not the address of an edge: write http://host:port or https://host")
        if parts.query or parts.fragment:
            raise Misuse(f"{url!r} has a query or fragment: the address of an edge ends with its path")
        http, websocket = _SCHEMES[parts.scheme]
        path = parts.path.rstrip("/") + PATH_PREFIX

        def join(scheme: str, name: str) -> str:
            return urlunsplit((scheme, parts.netloc, f"{path}/{name}", "", ""))

        return cls(
            join(websocket, "ws"),
            join(http, "sse"),
            join(http, "poll"),
            join(http, "commands"),
            join(http, "transports"),
        )
