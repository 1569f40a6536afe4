"""Bounds of the contract, each with its unit and its reason (the reference page shows what stands below each)."""

from typing import Final

# What a client may send

MAX_FRAME_BYTES: Final = 64 * 1024
"""One message of a client: frames are commands, not files. Discord allows 4 KiB, Supabase 256 KiB."""
MAX_FRAMES_PER_MESSAGE: Final = 256
"""Objects in one array; an honest client joins what one tick produced."""
MAX_BODY_BYTES: Final = 256 * 1024
"""An HTTP body: 128 channels with their positions fit with room to spare."""
MAX_CHANNELS: Final = 128
"""Channels per connection and per poll, as in Centrifugo."""
MAX_DEVICE_CHARS: Final = 64
"""`device` of `connect`: a UUID, or a name with some room."""
MAX_CLIENT_CHARS: Final = 128
"""`client` of `connect`: a name and a version."""
MAX_KEY_CHARS: Final = 64
"""`key` of `publish`: a UUID or a digest in hex."""
MAX_EVENT_NAME_CHARS: Final = 128
"""`event` of `publish`: an identifier, not a text."""
MAX_TOKEN_BYTES: Final = 8 * 1024
"""A JWT with many grants; proxies cap all headers together at 8–16 KiB."""
MAX_ID: Final = 2**53 - 1
"""`id` of a request: what a JavaScript number holds exactly."""

# Names and positions

MAX_NAMESPACE_CHARS: Final = 32
"""The part of a channel before the colon: a word or two."""
MAX_NAME_CHARS: Final = 128
"""The part after it: one NATS token, where the server's control line holds 4 KiB."""
MAX_EPOCH_CHARS: Final = 32
"""A UUID in hex."""
MAX_OFFSET: Final = 2**53 - 1
"""What a JavaScript number holds exactly."""
MAX_CURSOR_BYTES: Final = 4 * 1024
"""Travels in `If-None-Match` and `Last-Event-ID`, where proxies cap a header line."""
MAX_GRANT_BYTES: Final = 4 * 1024
"""The `resume` grant, which repeats the token's grants."""

# What domain teams publish

MAX_EVENT_BYTES: Final = 256 * 1024
"""A domain event; larger facts belong in a store, with a link in the event."""

# History and recovery

HISTORY_LIMIT: Final = 200
"""Publications in one answer to `history`, and of `last`."""
RECOVERY_LIMIT: Final = 1000
"""Publications recovered for one channel, so that an absence of 1,000 events needs no reload."""
RECOVERY_BYTES: Final = 4 * 1024 * 1024
"""Bytes recovered for one channel; beyond, the client reloads its state."""
RETAINED_PER_CHANNEL: Final = 1100
"""`max_msgs_per_subject` of a history stream; over RECOVERY_LIMIT, so that the position itself proves completeness."""
RING_PUBLICATIONS: Final = 128
"""Newest publications per channel that a pod keeps in memory."""

# Inboxes

MAX_TOPIC_CHARS: Final = 64
"""`whimbrel-topic`: names what a message is about, e.g. `order-42`."""
MAX_TTL_S: Final = 7 * 24 * 3600
"""`whimbrel-ttl`: a history keeps nothing for longer."""

# Polling

POLL_WAIT_S: Final = 25
"""Default of `wait`: below the 30 s after which many proxies cut an idle request."""
MAX_POLL_WAIT_S: Final = 55
"""Below the 60 s default of nginx."""
POLL_LIMIT: Final = 100
"""Default of `limit`: publications in one answer."""
MAX_POLL_LIMIT: Final = 1000
"""As many as are recovered for one channel."""

# Time on a connection

CONNECT_TIMEOUT_S: Final = 8
"""A socket that has not authenticated by then holds a place for nothing."""
PING_S: Final = 25
"""Default of `connected.ping`: below the 30–60 s idle cut of common proxies."""
PONG_S: Final = 10
"""Default of `connected.pong`."""
EXPIRY_NOTICE_S: Final = 30
"""`expiring` is sent this long before the token expires."""
EXPIRY_GRACE_S: Final = 25
"""The connection closes this long after the token expired."""
RESUME_GRANT_S: Final = 3600
"""A `resume` grant is good for at most this long."""
TICKET_S: Final = 30
"""A ticket is good for this long, once."""

# How a client comes back

BACKOFF_BASE_S: Final = 0.5
"""Bound of the first wait; each failure doubles it. Full jitter: wait anything from 0 to the bound."""
BACKOFF_CAP_S: Final = 20.0
"""Where the doubling stops."""
BACKOFF_RESET_S: Final = 10.0
"""A connection that lived this long forgives the failures before it."""
OPEN_TIMEOUT_S: Final = 4.0
"""A transport that has not opened by then counts as one that never opens."""
OPEN_TRIES: Final = 2
"""Tries of a transport that never opened before the next one's turn."""
