"""How long the client waits for what."""

from dataclasses import dataclass

from whimbrel.protocol import limits


@dataclass(frozen=True, slots=True)
class Timing:
    """All in seconds. The defaults are those of docs/websocket-api.md."""

    open_s: float = limits.OPEN_TIMEOUT_S
    connect_s: float = limits.CONNECT_TIMEOUT_S  # from an open socket to `connected`, where that has come before
    backoff_base_s: float = limits.BACKOFF_BASE_S
    backoff_cap_s: float = limits.BACKOFF_CAP_S
    backoff_reset_s: float = limits.BACKOFF_RESET_S
    retry_s: float = 1.0  # before a channel or a token is asked for once more; doubled each time
    advice_s: float = 60.0  # between two looks at the policy while polling, where it is not told by itself; jittered
    probe_s: float = 300.0  # between two looks whether a better transport works again; jittered by half
    poll_wait_s: float = limits.POLL_WAIT_S
    poll_rest_s: float = 0.5  # after answers that came early and brought nothing; doubled with each up to the cap
    poll_grace_s: float = limits.PONG_S  # beyond `wait`, until an unanswered poll counts as lost
    expiry_margin_s: float = 5.0  # a token this close to its end is not worth a connection
