"""What clients talk to."""

from typing import Final

from whimbrel.protocol import bodies
from whimbrel.protocol.contract.routes.route import Answer, Caller, Parameter, Route
from whimbrel.protocol.frames import Connect
from whimbrel.protocol.limits import HISTORY_LIMIT, MAX_CURSOR_BYTES, MAX_POLL_LIMIT, MAX_POLL_WAIT_S, POLL_LIMIT
from whimbrel.protocol.versions import PATH_PREFIX

_CHANNELS: Final = Parameter(
    "query", "channel", "A channel; repeat it for more.", {"type": "array", "items": {"type": "string"}}
)
_WAIT: Final = Parameter(
    "query",
    "wait",
    "Seconds to wait for a publication; 0 answers at once.",
    {"type": "number", "minimum": 0, "maximum": MAX_POLL_WAIT_S, "default": 0},
)
_LIMIT: Final = Parameter(
    "query",
    "limit",
    "Publications in the answer.",
    {"type": "integer", "minimum": 1, "maximum": MAX_POLL_LIMIT, "default": POLL_LIMIT},
)
_CURSOR: Final = Parameter(
    "query",
    "cursor",
    "Where to start: the `ETag` of the answer before.",
    {"type": "string", "maxLength": MAX_CURSOR_BYTES},
)
_UNREAD: Final = Parameter(
    "query", "unread", "Only what is behind the read mark.", {"type": "boolean", "default": False}
)
_BEFORE: Final = Parameter(
    "query", "before", "Only messages with a smaller offset: the page before.", {"type": "integer", "minimum": 0}
)
_MESSAGES: Final = Parameter(
    "query",
    "limit",
    "Most messages in the answer, the newest ones; 0 only counts.",
    {"type": "integer", "minimum": 0, "maximum": HISTORY_LIMIT, "default": HISTORY_LIMIT},
)
_IF_NONE_MATCH: Final = Parameter("header", "If-None-Match", "Where to start, as `cursor`.")
_TICKET: Final = Parameter("query", "ticket", "Stands for the access token, once.")
_LAST_EVENT_ID: Final = Parameter("header", "Last-Event-ID", "Where to start: the `id` of the last event received.")

EDGE: Final = (
    Route(
        "get",
        f"{PATH_PREFIX}/ws",
        "openWebSocket",
        "Open a WebSocket with the subprotocol whimbrel.v1.json; docs/websocket-api.md says what is spoken there.",
        Caller.ANYONE,
        {101: Answer("The WebSocket is open; the first frame is `connect`.")},
        parameters=(_TICKET,),
        failures=(400, 401, 403, 426, 429, 503),
    ),
    Route(
        "post",
        f"{PATH_PREFIX}/poll",
        "poll",
        "Long-poll: answer with the first publications after the given positions, or with none after `wait` seconds.",
        Caller.USER,
        {200: Answer("Publications, and the positions to send next.", bodies.PollReply)},
        body=bodies.PollRequest,
        failures=(400, 401, 403, 413, 429, 503),
    ),
    Route(
        "get",
        f"{PATH_PREFIX}/poll",
        "pollByCursor",
        "Interval polling: what is new since the cursor. Without one, as a subscription without a position.",
        Caller.USER,
        {
            200: Answer(
                "Publications; `ETag` is the new cursor.", bodies.PollReply, {"ETag": "The cursor to send next."}
            ),
            304: Answer("Nothing new.", headers={"ETag": "The cursor, as it was."}),
        },
        parameters=(_CHANNELS, _CURSOR, _IF_NONE_MATCH, _WAIT, _LIMIT),
        failures=(400, 401, 403, 429, 503),
    ),
    Route(
        "post",
        f"{PATH_PREFIX}/commands",
        "command",
        "Send frames without a WebSocket; each request frame is answered as on one.",
        Caller.USER,
        {200: Answer("The replies, in order.", bodies.CommandsReply)},
        body=bodies.CommandsRequest,
        failures=(400, 401, 403, 413, 429, 503),
    ),
    Route(
        "get",
        f"{PATH_PREFIX}/inbox",
        "readInbox",
        "Tell what is in the user's inbox now, and how much of it is unread.",
        Caller.USER,
        {200: Answer("The messages, oldest first, and the count.", bodies.InboxReply)},
        parameters=(_UNREAD, _BEFORE, _MESSAGES),
        failures=(400, 401, 403, 429, 503),
    ),
    Route(
        "get",
        f"{PATH_PREFIX}/transports",
        "chooseTransports",
        "Tell which transports this user should use now, best first.",
        Caller.USER,
        {200: Answer("The policy for this user.", bodies.TransportsReply)},
        failures=(401, 403, 429, 503),
    ),
    Route(
        "get",
        f"{PATH_PREFIX}/sse",
        "openEventSource",
        "Server-Sent Events for a plain EventSource: `id` is the cursor, `event` the frame's type, `data` the frame.",
        Caller.USER,
        {200: Answer("The stream of events (text/event-stream).")},
        parameters=(_TICKET, _CHANNELS, _CURSOR, _LAST_EVENT_ID),
        failures=(400, 401, 403, 429, 503),
    ),
    Route(
        "post",
        f"{PATH_PREFIX}/sse",
        "openEventStream",
        "Server-Sent Events; the body is a `connect` frame.",
        Caller.USER,
        {200: Answer("The stream of events (text/event-stream).")},
        body=Connect,
        parameters=(_LAST_EVENT_ID,),
        failures=(400, 401, 403, 413, 429, 503),
    ),
    Route(
        "get",
        f"{PATH_PREFIX}/preferences",
        "readPreferences",
        "Tell the user's own choice.",
        Caller.USER,
        {200: Answer("The choice.", bodies.Preferences)},
        failures=(401, 403, 429, 503),
        served=False,
    ),
    Route(
        "put",
        f"{PATH_PREFIX}/preferences",
        "writePreferences",
        "Set the user's own choice.",
        Caller.USER,
        {200: Answer("The choice, as it is now.", bodies.Preferences)},
        body=bodies.Preferences,
        failures=(400, 401, 403, 429, 503),
        served=False,
    ),
)
