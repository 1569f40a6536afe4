"""What can be wrong with an event or with the routes, as one tree.

NotifierError
├── MalformedRoutes     the routes file cannot be used: the process does not start
└── Undeliverable       an event that no further try will deliver: it goes to the dead letters with its reason
    └── UnknownNamespace    … because of a namespace that nobody declared: waited for a moment, it may be on its way
"""

from enum import StrEnum, unique


@unique
class Reason(StrEnum):
    """Why an event is a dead letter; stands in its ``whimbrel-reason-code`` header."""

    BAD_SUBJECT = "bad_subject"  # not events.<domain>.<entity>.<id>
    TOO_LARGE = "too_large"  # the data, or what would have to be stored
    NOT_JSON = "not_json"  # the data cannot be parsed
    BAD_HEADER = "bad_header"  # a ce- header that breaks CloudEvents 1.0
    BAD_EVENT = "bad_event"  # a structured event that breaks CloudEvents 1.0
    BAD_AUDIENCE = "bad_audience"  # a whimbrel- audience header that names nobody
    BAD_INBOX = "bad_inbox"  # a whimbrel-ttl, -topic or -withdraw header that cannot be meant
    BAD_TARGET = "bad_target"  # a route's template met a missing field, or made an illegal channel
    TOO_MANY_TARGETS = "too_many_targets"
    UNKNOWN_CHANNEL = "unknown_channel"  # a channel in a namespace that does not exist
    INTERNAL = "internal"  # a fault of ours, told in the log
    UNROUTABLE = "unroutable"  # no route and no audience header named a target


class NotifierError(Exception):
    """Input that the notifier cannot use; the message names the value and the way out."""


class MalformedRoutes(NotifierError):
    """The routes file breaks its schema."""


class Undeliverable(NotifierError):
    """An event that no further try will deliver."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class UnknownNamespace(Undeliverable):
    """A target lies in ``namespace``, which does not exist."""

    def __init__(self, namespace: str, channel: str) -> None:
        super().__init__(
            Reason.UNKNOWN_CHANNEL,
            f"channel {channel}: there is no namespace {namespace!r}; declare it in the router's namespaces file",
        )
        self.namespace = namespace
