"""Versions that travel: the wire, the layout of streams and buckets, the internal requests."""

from typing import Final

WIRE_VERSION: Final = 1
SUBPROTOCOL: Final = "whimbrel.v1.json"  # always echoed; a client that offers none of ours is refused with HTTP 400
PATH_PREFIX: Final = "/v1"
LAYOUT_VERSION: Final = 3  # streams, buckets and subjects as declared by whimbrel.runtime.jetstream
