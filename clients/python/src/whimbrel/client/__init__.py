"""The Python client: live publications, recovery by position, fallback between transports.

async with Client("http://127.0.0.1:8080", token=fetch_token) as client:
    async with client.subscribe("orders:42") as orders:
        async for publication in orders:
            print(publication.event, publication.data)
"""

from whimbrel.client.blocking import BlockingClient, BlockingGranted, BlockingSubscription
from whimbrel.client.changes import Changes
from whimbrel.client.client import Client, InboxPage, Page
from whimbrel.client.core.timing import Timing
from whimbrel.client.core.transports import Preference
from whimbrel.client.errors import (
    ChannelClosed,
    ChannelRefused,
    ClientError,
    Closed,
    Misuse,
    PositionLost,
    RequestFailed,
    RequestTimeout,
    TokenUnavailable,
)
from whimbrel.client.events import (
    Acked,
    ChannelEvent,
    Joined,
    Left,
    Publication,
    Recovered,
    Reset,
    State,
    StateChange,
    Transport,
)
from whimbrel.client.subscription import Granted, Subscription
from whimbrel.client.tokens import TokenSource
from whimbrel.protocol.positions import Position

__all__ = [
    "Acked",
    "BlockingClient",
    "BlockingGranted",
    "BlockingSubscription",
    "Changes",
    "ChannelClosed",
    "ChannelEvent",
    "ChannelRefused",
    "Client",
    "ClientError",
    "Closed",
    "Granted",
    "InboxPage",
    "Joined",
    "Left",
    "Misuse",
    "Page",
    "Position",
    "PositionLost",
    "Preference",
    "Publication",
    "Recovered",
    "RequestFailed",
    "RequestTimeout",
    "Reset",
    "State",
    "StateChange",
    "Subscription",
    "Timing",
    "TokenSource",
    "TokenUnavailable",
    "Transport",
]
