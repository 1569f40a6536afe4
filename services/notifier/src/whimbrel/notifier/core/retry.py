"""When to try again, and what no try will mend."""

from typing import Final, NamedTuple

from whimbrel.notifier.core.errors import Reason


class Backoff(NamedTuple):
    """Full jitter: the n-th wait is anything between 0 and ``base_s`` doubled n times, at most ``cap_s``."""

    base_s: float
    cap_s: float

    def ceiling_s(self, tries: int) -> float:
        """Return the longest wait after ``tries`` failures (1, 2, …)."""
        return min(self.cap_s, self.base_s * 2.0 ** min(tries - 1, 32))

    def wait_s(self, tries: int, *, chance: float) -> float:
        """Return the wait after ``tries`` failures; ``chance`` in [0, 1) is the caller's random number."""
        return self.ceiling_s(tries) * chance


PUBLISH: Final = Backoff(base_s=0.2, cap_s=5.0)  # a stream's leader is elected anew within 4–9 s
CLAIM: Final = Backoff(base_s=0.2, cap_s=5.0)

PUBLISH_TIMEOUT_S: Final = 5.0  # without an acknowledgement by then, it is sent again under the same Nats-Msg-Id
DUPLICATE_WINDOW_S: Final = 90.0  # streams know a Nats-Msg-Id for 120 s; the rest is for clocks and for the way

# JetStream's own error numbers (nats-server, server/errors.json): the stream will never take the message.
_PERMANENT: Final = {
    10054: Reason.TOO_LARGE,  # message size exceeds maximum allowed
    10097: Reason.TOO_LARGE,  # header size exceeds maximum allowed of 64k
}


def permanent(err_code: int) -> Reason | None:
    """Return why JetStream error ``err_code`` cannot be mended by trying again, None where it can.

    Anything unknown is tried again, for ever: a stream that is full or without a leader is an operator's matter, and
    events wait in EVENTS meanwhile.
    """
    return _PERMANENT.get(err_code)
