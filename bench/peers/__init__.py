"""What others offer, measured in the same run with the same clients: installed when a run names them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from bench.peers.nchan import Nchan
from bench.peers.script import Script
from bench.trial import Server

PEERS: Final[Mapping[str, Callable[..., Awaitable[Server]]]] = {
    "socketio": Script.socketio,
    "bun": Script.bun,
    "nchan": Nchan.start,
}
"""How each starts, given what mints a user's token, the secret that verifies it, and options. Raises Absent."""
