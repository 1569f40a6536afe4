"""What can go wrong between a Whimbrel process and its surroundings, as one tree.

RuntimeFault                  anything below
├── StartRefused              the process cannot start as it is set up: one sentence on stderr, exit code 2
├── Stopping                  the process was asked to stop while it waited for something
├── BusFault                  the bus (NATS)
│   ├── BusUnavailable        no connection now, or its outgoing buffer is full: nothing was sent, try again
│   ├── RequestTimeout        nobody answered in time; whether the request took effect is unknown
│   ├── NoResponders          nobody listens on that subject
│   └── RequestRefused        the responder answered with an error
├── MalformedMessage          our own fault: a subject or header that would break out of its protocol line
├── JetStreamRefused          JetStream answered with an error
└── LayoutFault               streams and buckets
    ├── LayoutMissing         the router has not declared them yet: wait, try again
    └── LayoutMismatch        they were declared with other fixed properties: needs an operator
"""


class RuntimeFault(Exception):
    """A fault of the surroundings, not of the input."""


class StartRefused(RuntimeFault):
    """The process cannot start as it is set up; the message is the one sentence that an operator needs."""


class Stopping(RuntimeFault):
    """The process is stopping: whatever was awaited will not happen any more."""


class BusFault(RuntimeFault):
    """The bus did not do what was asked."""


class BusUnavailable(BusFault):
    """No connection to NATS now, or too much is waiting to be written to it. Nothing was sent."""


class RequestTimeout(BusFault):
    """No answer came in time. The request may have been carried out."""


class NoResponders(BusFault):
    """Nobody listens on the subject: the service is not running or has lost its bus."""


class RequestRefused(BusFault):
    """The responder answered with an error instead of a reply."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"refused with {code}: {reason}")
        self.code = code
        self.reason = reason


class MalformedMessage(RuntimeFault, ValueError):
    """A subject or header that would break out of its line and inject protocol commands; nothing was sent."""


class JetStreamRefused(RuntimeFault):
    """JetStream answered with an error.

    ``code`` is HTTP-like (404, 503 …), ``err_code`` JetStream's own number (10059 = stream not found), 0 for none.
    """

    def __init__(self, code: int, err_code: int, description: str) -> None:
        super().__init__(f"JetStream answered {code} ({err_code}): {description}")
        self.code = code
        self.err_code = err_code
        self.description = description


class LayoutFault(RuntimeFault):
    """The streams and buckets are not what this process needs."""


class LayoutMissing(LayoutFault):
    """Streams or buckets do not exist yet; the router declares them when it starts."""


class LayoutMismatch(LayoutFault):
    """Streams or buckets were declared with another partition count or by another version."""
