"""Close codes and error codes: number, slug, what the client does next.

A close code of 4000–4499 asks the client to reconnect, 4500–4999 forbids it; a client treats a code that it does not
know by its range. A request error never closes the connection.
"""

from enum import IntEnum
from typing import Final


class CloseCode(IntEnum):
    """Why the edge closes a connection; ``slug`` and ``advice`` are on each member."""

    slug: str
    advice: str

    def __new__(cls, number: int, slug: str, advice: str) -> "CloseCode":
        member = int.__new__(cls, number)
        member._value_ = number
        member.slug = slug
        member.advice = advice
        return member

    DRAINING = (
        4000,
        "draining",
        "The pod is leaving. Reconnect after `after_ms`; another pod resumes at your positions.",
    )
    NO_PONG = 4001, "no_pong", "The client did not answer a ping. Reconnect."
    SLOW_CONSUMER = 4002, "slow_consumer", "The client read too slowly for too long. Reconnect; history fills the gap."
    CONNECT_TIMEOUT = 4003, "connect_timeout", "No `connect` frame came in time. Reconnect and send it first."
    STATE_LOST = 4004, "state_lost", "The pod cannot vouch for its state. Reconnect; positions are checked anew."
    INTERNAL = 4005, "internal", "A fault in the edge. Reconnect."
    BUS_UNAVAILABLE = 4006, "bus_unavailable", "The pod has lost the bus for too long. Reconnect."
    CONNECTION_AGE = 4007, "connection_age", "The connection reached its maximum age. Reconnect."
    OVERLOADED = 4008, "overloaded", "The pod takes no more connections now. Reconnect after `after_ms`."
    RATE_LIMITED = 4009, "rate_limited", "Too many frames. Reconnect, and send fewer."
    TOKEN_EXPIRED = 4010, "token_expired", "The token expired. Fetch a new one, then reconnect."
    PROTOCOL_ERROR = 4500, "protocol_error", "The client sent what the contract forbids. Fix the client."
    UNAUTHORIZED = 4501, "unauthorized", "The token is missing or not valid. Sign in again."
    FORBIDDEN = 4502, "forbidden", "This user may not connect."
    REVOKED = 4503, "revoked", "The token or the user was revoked. Sign in again."
    FRAME_TOO_LARGE = 4504, "frame_too_large", "A frame was over `limits.frame_bytes`. Send less at once."
    UNSUPPORTED_VERSION = (
        4505,
        "unsupported_version",
        "This edge does not speak the client's version. Update the client.",
    )
    TRANSPORT_DISABLED = 4506, "transport_disabled", "This transport is switched off. Use another one."
    TOO_MANY_CONNECTIONS = 4507, "too_many_connections", "The user has too many connections open. Close one."
    NOT_A_SUBSCRIBER = 4508, "not_a_subscriber", "Nothing is granted to this user."

    @property
    def reconnect(self) -> bool:
        """Whether a client may come back by itself."""
        return may_reconnect(self)


FIRST_TERMINAL_CLOSE: Final = 4500


def may_reconnect(code: int) -> bool:
    """Tell by its range whether a close ``code`` allows a reconnect; codes of RFC 6455 below 4000 do."""
    return code < FIRST_TERMINAL_CLOSE


class ErrorCode(IntEnum):
    """Why a request failed; ``slug``, ``temporary`` and ``advice`` are on each member."""

    slug: str
    temporary: bool
    advice: str

    def __new__(cls, number: int, slug: str, temporary: bool, advice: str) -> "ErrorCode":
        member = int.__new__(cls, number)
        member._value_ = number
        member.slug = slug
        member.temporary = temporary
        member.advice = advice
        return member

    INTERNAL = 100, "internal", True, "A fault in the service. Try again."
    UNAUTHORIZED = 101, "unauthorized", False, "Connect with a valid token first."
    UNKNOWN_CHANNEL = 102, "unknown_channel", False, "No namespace of this name exists. Check the channel."
    PERMISSION_DENIED = 103, "permission_denied", False, "This user may not do this in this channel."
    ALREADY_SUBSCRIBED = 104, "already_subscribed", False, "The session is subscribed to the channel already."
    NOT_SUBSCRIBED = 105, "not_subscribed", False, "Subscribe to the channel first."
    LIMIT_EXCEEDED = (
        106,
        "limit_exceeded",
        False,
        "A limit of `connected.limits` was reached. Unsubscribe from something.",
    )
    BAD_REQUEST = 107, "bad_request", False, "The frame does not follow the contract; the message says where."
    UNAVAILABLE = 108, "unavailable", True, "A service behind the edge does not answer. Try again after `retry_ms`."
    RATE_LIMITED = 109, "rate_limited", True, "Too many requests. Try again after `retry_ms`."
    TOKEN_EXPIRED = 110, "token_expired", False, "Refresh the token first."
    UNRECOVERABLE = 111, "unrecoverable", False, "The publications asked for are not retained. Reload the state."
    TOO_LARGE = 112, "too_large", False, "The payload is over the limit. Send a link instead."
    DUPLICATE = 113, "duplicate", False, "A publish with this key was stored before with other content."
