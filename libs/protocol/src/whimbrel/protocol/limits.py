"""Bounds of the contract, each with its unit and its reason."""

from typing import Final

MAX_FRAME_BYTES: Final = (
    64 * 1024
)  # frames from a client are commands, not files; Discord allows 4 KiB, Supabase 256 KiB
MAX_EVENT_BYTES: Final = 256 * 1024  # a domain event; larger facts belong in a store, with a link in the event
MAX_BODY_BYTES: Final = 256 * 1024  # an HTTP body; holds 128 channels with their positions with room to spare
MAX_CHANNELS: Final = 128  # per connection and per poll; Centrifugo allows 128 as well
MAX_FRAMES_PER_MESSAGE: Final = 256  # objects in one array; an honest client joins what one tick produced
MAX_NAMESPACE_CHARS: Final = 32
MAX_NAME_CHARS: Final = 128  # a name is one NATS token; the server's control line holds 4 KiB
MAX_EPOCH_CHARS: Final = 32
MAX_DEVICE_CHARS: Final = 64
MAX_KEY_CHARS: Final = 64  # idempotency key of a publish
MAX_EVENT_NAME_CHARS: Final = 128
MAX_CURSOR_BYTES: Final = 4 * 1024  # travels in If-None-Match and Last-Event-ID, where proxies cap a header line
MAX_GRANT_BYTES: Final = 4 * 1024  # the resume grant
MAX_TOKEN_BYTES: Final = 8 * 1024  # a JWT with many grants; proxies cap all headers at 8–16 KiB
MAX_OFFSET: Final = 2**53 - 1  # what a JavaScript number holds exactly
MAX_ID: Final = 2**53 - 1

HISTORY_LIMIT: Final = 200  # publications in one answer to `history`, and of `last`
RECOVERY_LIMIT: Final = (
    1000  # publications recovered for one channel: all that a stream retains for it (docs/decisions)
)
RECOVERY_BYTES: Final = 4 * 1024 * 1024  # bytes recovered for one channel; beyond, the client reloads its state
RING_PUBLICATIONS: Final = 128  # newest publications per channel that a pod keeps in memory
RETAINED_PER_CHANNEL: Final = 1100  # max_msgs_per_subject; over RECOVERY_LIMIT, so that the position itself proves completeness

POLL_WAIT_S: Final = 25  # below the 30 s after which many proxies cut an idle request
MAX_POLL_WAIT_S: Final = 55  # below the 60 s default of nginx
POLL_LIMIT: Final = 100
MAX_POLL_LIMIT: Final = 1000

CONNECT_TIMEOUT_S: Final = 8  # a socket that has not authenticated by then holds a place for nothing
PING_S: Final = 25  # below the 30–60 s idle cut of common proxies
PONG_S: Final = 10
EXPIRY_NOTICE_S: Final = 30  # `expiring` is sent this long before the token expires
EXPIRY_GRACE_S: Final = 25  # and the connection closes this long after
RESUME_GRANT_S: Final = 3600
TICKET_S: Final = 30

BACKOFF_BASE_S: Final = 0.5
BACKOFF_CAP_S: Final = 20.0
BACKOFF_RESET_S: Final = 10.0  # a connection that lived this long forgives the failures before it
OPEN_TIMEOUT_S: Final = 4.0  # a transport that has not opened by then counts as one that never opens
OPEN_TRIES: Final = 2
