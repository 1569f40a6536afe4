"""One conversation, frame by frame: what the pages show and the schemas are tried against."""

from typing import Any, Final

from whimbrel.protocol.subjects import EVENTS, event_subject_of_stored

Example = dict[str, Any]

_EPOCH: Final = "5f0c8a1e9b7d4c3f"
_TOKEN: Final = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
_GRANT: Final = "1.eyJ1c2VyIjoiYWxpY2UifQ.bWFj"
_TRACE: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

_SHIPPED: Final[Example] = {
    "event": "order.shipped",
    "event_id": "shop/8d1f",
    "time": "2026-11-23T09:30:05.120Z",
    "data": {"order": 42, "carrier": "DHL"},
}
_PACKED: Final[Example] = {
    "event": "order.packed",
    "event_id": "shop/8c77",
    "time": "2026-11-23T09:29:41.004Z",
    "data": {"order": 42, "boxes": 2},
}

CLIENT_FRAMES: Final[dict[str, Example]] = {
    "connect": {
        "type": "connect",
        "id": 1,
        "token": _TOKEN,
        "device": "0b7e4c52",
        "client": "whimbrel-js/0.1.0",
        "channels": {"orders:42": {"epoch": _EPOCH, "offset": 1807}, "orders:43": None},
    },
    "subscribe": {"type": "subscribe", "id": 2, "channel": "orders:44", "last": 10},
    "unsubscribe": {"type": "unsubscribe", "id": 3, "channel": "orders:43"},
    "publish": {
        "type": "publish",
        "id": 4,
        "channel": "typing:orders=42",
        "event": "typing.started",
        "data": {"field": "comment"},
    },
    "ack": {"type": "ack", "channel": "inbox", "offset": 90114},
    "history": {"type": "history", "id": 5, "channel": "orders:42", "before": 1807, "limit": 2},
    "inbox": {"type": "inbox", "id": 8, "unread": True, "limit": 20},
    "presence": {"type": "presence", "id": 6, "channel": "orders:42"},
    "refresh": {"type": "refresh", "id": 7, "token": _TOKEN},
    "ping": {"type": "ping"},
    "pong": {"type": "pong"},
}

EDGE_FRAMES: Final[dict[str, Example]] = {
    "connected": {
        "type": "connected",
        "id": 1,
        "session": "9f31c2",
        "user": "alice",
        "expires_in": 3600,
        "ping": 25,
        "pong": 10,
        "limits": {"frame_bytes": 65536, "channels": 128, "publish_per_s": 100},
        "channels": {
            "inbox": {"epoch": _EPOCH, "offset": 90114, "publications": []},
            "orders:42": {
                "epoch": _EPOCH,
                "offset": 1807,
                "recovered": True,
                "publications": [{"offset": 1815, "prev": 1807, **_PACKED}],
            },
            "orders:43": {"epoch": _EPOCH, "offset": 1790, "publications": []},
        },
        "resume": _GRANT,
    },
    "subscribed": {
        "type": "subscribed",
        "id": 2,
        "channel": "orders:44",
        "epoch": _EPOCH,
        "offset": 1790,
        "publications": [{"offset": 1811, "prev": 1790, **_PACKED, "data": {"order": 44, "boxes": 1}}],
    },
    "publication": {
        "type": "publication",
        "channel": "orders:42",
        "offset": 1821,
        "prev": 1815,
        "trace": _TRACE,
        **_SHIPPED,
    },
    "position": {"type": "position", "channel": "orders:42", "offset": 1830, "prev": 1821},
    "resume": {"type": "resume", "grant": _GRANT},
    "unsubscribed": {
        "type": "unsubscribed",
        "channel": "group:vip",
        "code": 103,
        "slug": "permission_denied",
        "reason": "alice left the group vip",
    },
    "join": {"type": "join", "channel": "orders:42", "user": "bob"},
    "leave": {"type": "leave", "channel": "orders:42", "user": "bob"},
    "ok": {"type": "ok", "id": 5, "epoch": _EPOCH, "publications": [{"offset": 1795, "prev": 1760, **_PACKED}]},
    "acked": {"type": "acked", "channel": "inbox", "offset": 90114},
    "expiring": {"type": "expiring", "in": 30},
    "policy": {
        "type": "policy",
        "transports": ["websocket", "sse", "poll"],
        "cohort": "default",
        "heartbeat": {"ping": 25, "pong": 10},
        "poll": {"interval": 15},
    },
    "disconnect": {
        "type": "disconnect",
        "code": 4000,
        "slug": "draining",
        "reason": "this pod is leaving",
        "reconnect": True,
        "after_ms": 1840,
    },
    "error": {
        "type": "error",
        "id": 2,
        "code": 103,
        "slug": "permission_denied",
        "message": "alice may not subscribe to orders:44",
        "temporary": False,
    },
    "ping": {"type": "ping"},
    "pong": {"type": "pong"},
}

_SERVICE: Final[Example] = {
    "service": "edge",
    "instance": "edge-7d9f",
    "version": "0.1.0",
    "ready": True,
    "reasons": [],
    "started_at": 1795426200.5,
    "pid": 4711,
    "detail": {"sessions": 2},
}
_STREAM: Final[Example] = {
    "name": EVENTS,
    "messages": 1200,
    "bytes": 540000,
    "first": 1,
    "last": 1200,
    "leader": "nats-2",
    "replicas": 3,
}
_LAG: Final[Example] = {"partition": 0, "pending": 0, "unacknowledged": 0}
_SESSION: Final = {
    "record": {
        "session": "p3Vw0mJr2xQe9aKd",
        "pod": "edge-7d4b9c6f5-x2x8k",
        "user": "alice",
        "transport": "websocket",
        "opened_at": 1767225600.125,
        "closed_at": 1767229200.5,
        "ended_by": "edge",
        "code": 4002,
        "reason": "the socket took nothing for too long",
        "channels": 2,
        "received": 14,
        "sent": 920,
        "recovered": 1,
        "fell_behind": 1,
        "doing": ["behind"],
    },
    "fate": "ended",
    "slug": "slow_consumer",
    "advice": "The client read too slowly for too long. Reconnect; history fills the gap.",
    "pod_heard_at": None,
}
_GAP: Final[dict[str, Any]] = {
    "at": 1767225600.5,
    "pod": "edge-7d4b9c6f5-x2x8k",
    "cause": "trimmed",
    "during": "return",
    "channel": "orders:42",
    "user": "alice",
    "session": "p3Vw0mJr2xQe9aKd",
    "transport": "websocket",
    "asked": {"epoch": "c0ffee0123456789", "offset": 17},
    "found": {"epoch": "c0ffee0123456789", "offset": 5040},
    "missed": None,
    "trace": "",
    "clients": 1,
}
_LETTER: Final[Example] = {
    "sequence": 3,
    "time": "2026-11-23T09:30:05.120Z",
    "subject": event_subject_of_stored("e.0.shop.order.44"),
    "event_sequence": 1190,
    "code": "not_json",
    "reason": "the payload is not JSON: expected value at line 1 column 1",
    "headers": {"ce-id": "8d1f"},
    "data": "hello",
}

BODIES: Final[dict[str, Example]] = {
    "PollRequest": {
        "channels": {"orders:42": {"epoch": _EPOCH, "offset": 1815}, "inbox": None},
        "wait": 25,
        "limit": 100,
    },
    "PollReply": {
        "frames": [
            {"type": "subscribed", "channel": "inbox", "epoch": _EPOCH, "offset": 90114},
            {"type": "publication", "channel": "orders:42", "offset": 1821, "prev": 1815, **_SHIPPED},
        ],
        "channels": {"orders:42": {"epoch": _EPOCH, "offset": 1821}, "inbox": {"epoch": _EPOCH, "offset": 90114}},
    },
    "CommandsRequest": {"frames": [CLIENT_FRAMES["history"], CLIENT_FRAMES["ack"]]},
    "CommandsReply": {"frames": [EDGE_FRAMES["ok"]]},
    "InboxReply": {
        "epoch": _EPOCH,
        "read": 90114,
        "unread": 1,
        "complete": True,
        "publications": [{"offset": 90120, "prev": 90114, **_SHIPPED, "topic": "shop:order-42"}],
    },
    "TransportsReply": {field: value for field, value in EDGE_FRAMES["policy"].items() if field != "type"},
    "TokenRequest": {
        "user": "alice",
        "groups": ["vip"],
        "channels": [{"channel": "orders:eu:*", "allow": ["subscribe", "history"]}],
        "ttl": 3600,
    },
    "TokenReply": {
        "access_token": _TOKEN,
        "refresh_token": "r1.Zm91bmRlcnM.c2VjcmV0",
        "token_type": "Bearer",
        "expires_in": 3600,
    },
    "RefreshRequest": {"refresh_token": "r1.Zm91bmRlcnM.c2VjcmV0"},
    "RevokeRequest": {"user": "alice", "issued_before": 1795426200},
    "TicketReply": {"ticket": "t1.b25jZQ", "expires_in": 30},
    "KeySetReply": {
        "keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "alg": "EdDSA", "use": "sig", "x": "bm90IGEga2V5"}]
    },
    "Preferences": {"transport": "poll"},
    "MembersReply": {"group": "vip", "members": ["alice", "carol"]},
    "GroupsReply": {"user": "alice", "groups": ["vip"]},
    "NamespacesReply": {
        "namespaces": {
            "orders": {"durable": True, "subscribe": "authenticated", "publish": "nobody", "presence": "nobody"},
            "staff": {"durable": True, "subscribe": {"groups": ["staff"]}, "publish": "nobody", "presence": "nobody"},
        }
    },
    "AuthorizeRequest": {"user": "alice", "groups": ["vip"], "channel": "orders:42", "action": "publish"},
    "AuthorizeReply": {"allowed": False, "code": "permission_denied", "reason": "nobody may publish to orders"},
    "StreamStatus": _STREAM,
    "ConsumerLag": _LAG,
    "StatusReply": {"services": [_SERVICE], "streams": [_STREAM], "lag": [_LAG], "dead_letters": 0},
    "SessionReply": _SESSION,
    "SessionsReply": {"sessions": [_SESSION]},
    "GapsReply": {"gaps": [_GAP], "complete": True},
    "DeadLetter": _LETTER,
    "DeadLettersReply": {"letters": [_LETTER], "after": 17, "complete": True},
    "ReplayReply": {"event_sequence": 1042, "repeated": False},
    "Problem": {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "code": 108,
        "slug": "unavailable",
        "detail": "the bus does not answer",
        "retry_after_ms": 2000,
    },
}
