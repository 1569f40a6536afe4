"""Every NATS subject, stream and bucket of Whimbrel. No other file spells one.

Channel ``ns:name`` is published on ``pub.<ns>.<name>``; the account maps that to ``c.<p>.<ns>.<name>`` in stream
HISTORY_<p>, which republishes what it stored to ``live.<ns>.<name>``. Ephemeral channels are published to ``live.…``
directly.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from whimbrel.protocol.channels import Channel, escape_token

# Streams
EVENTS: Final = "EVENTS"
DLQ: Final = "DLQ"
SESSIONS: Final = "SESSIONS"  # how sessions began and ended
GAPS: Final = "GAPS"  # who was told to reload, and why
EVENT_PARTITIONS: Final = 8  # of stream EVENTS; fixed in the account's mapping

# Key-value buckets
NAMESPACES: Final = "NAMESPACES"
GROUPS: Final = "GROUPS"
KEYS: Final = "KEYS"
REVOKED: Final = "REVOKED"
REFRESH: Final = "REFRESH"
READMARKS: Final = "READMARKS"
TICKETS: Final = "TICKETS"
PODS: Final = "PODS"  # which edges live
RESUME_KEYS: Final = "resume"  # the key in KEYS that holds the keys of resume grants

# Requests between services
AUTH_VERIFY: Final = "rpc.auth.v1.verify"
AUTH_REDEEM: Final = "rpc.auth.v1.redeem"
ROUTER_RESOLVE: Final = "rpc.router.v1.resolve"
ROUTER_AUTHORIZE: Final = "rpc.router.v1.authorize"
STATUS: Final = "rpc.status.v1"
EDGE_SESSIONS: Final = "rpc.edge.v1.sessions"  # every edge answers

# Queue groups: one member of each answers a request
AUTH_QUEUE: Final = "auth"
ROUTER_QUEUE: Final = "router"

DLQ_NOTIFIER: Final = "dlq.notifier"
NOTIFIERS: Final = "ctl.notifier"  # notifiers tell each other how many partitions they hold

LEADER_ELECTED: Final = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.*"  # told by the server, the stream comes last

# Wildcards for declarations and permissions
EVENTS_ALL: Final = "events.>"
EVENTS_STORED: Final = "e.>"  # events as stream EVENTS keeps them, after the mapping
DLQ_ALL: Final = "dlq.>"
LIVE_ALL: Final = "live.>"
SESSIONS_ALL: Final = "sessions.*"
GAPS_ALL: Final = "gaps.*"


def history_stream(partition: int) -> str:
    """Return the name of the stream that keeps ``partition``."""
    return f"HISTORY_{partition}"


@lru_cache(maxsize=65_536)  # a new inbox asks six times; by the channel, which is there anyway, 0.1 µs each
def partition_of(channel: Channel, partitions: int) -> int:
    """Return the partition of ``channel``, as nats-server's ``partition(n,1,2)`` computes it.

    FNV-1a (32 bits) of both tokens written together, modulo ``partitions`` (server/subject_transform.go,
    getHashPartition).
    """
    value = 0x811C9DC5
    for byte in (channel.namespace + channel.name).encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value % partitions


def publish_subject(channel: Channel) -> str:
    """Return where a durable publication for ``channel`` is published."""
    return f"pub.{channel.namespace}.{channel.name}"


def stored_subject(channel: Channel, partitions: int) -> str:
    """Return the literal subject under which the history stream keeps ``channel``."""
    return f"c.{partition_of(channel, partitions)}.{channel.namespace}.{channel.name}"


def live_subject(channel: Channel) -> str:
    """Return where ``channel`` is heard live."""
    return f"live.{channel.namespace}.{channel.name}"


def channel_of_live(subject: str) -> Channel:
    """Return the channel of a ``live.<ns>.<name>`` subject.

    Raises MalformedChannel where the tokens are outside the grammar.
    """
    _, namespace, name = subject.split(".", 2)
    return Channel.parse(f"{namespace}:{name}")


def user_subject(user: str) -> str:
    """Return where changes that concern ``user`` are told to the edges that hold a session of theirs."""
    return f"ctl.user.{escape_token(user)}"


def sessions_subject(pod: str) -> str:
    """Return where ``pod`` writes which sessions began and ended."""
    return f"sessions.{pod}"


def gaps_subject(pod: str) -> str:
    """Return where ``pod`` writes whom it told to reload."""
    return f"gaps.{pod}"


def bucket_stream(bucket: str) -> str:
    """Return the stream behind ``bucket``."""
    return f"KV_{bucket}"


def key_subject(bucket: str, key: str) -> str:
    """Return the stored subject of ``key`` in ``bucket``."""
    return f"$KV.{bucket}.{key}"


def bucket_changes(bucket: str) -> str:
    """Return the wildcard under which changes of ``bucket`` are republished, e.g. ``ctl.keys.>``."""
    return f"ctl.{bucket.lower()}.>"


def membership_key(user: str, group: str) -> str:
    """Return the key in GROUPS that says that ``user`` is a member of ``group``."""
    return f"{escape_token(user)}.{escape_token(group)}"


def memberships_of(user: str) -> str:
    """Return the pattern of the keys in GROUPS of all memberships of ``user``."""
    return f"{escape_token(user)}.*"


def members_of(group: str) -> str:
    """Return the pattern of the keys in GROUPS of all members of ``group``."""
    return f"*.{escape_token(group)}"


def rights_key(user: str) -> str:
    """Return the key in REVOKED that says when the rights of ``user`` changed last: older resume grants are void."""
    return f"rights.{escape_token(user)}"


def readmark_key(user: str, channel: Channel) -> str:
    """Return the key in READMARKS of ``user``'s read mark in ``channel``."""
    return f"{escape_token(user)}.{channel.namespace}.{channel.name}"


def event_consumer(partition: int) -> str:
    """Return the name of the durable consumer that reads ``partition`` of EVENTS."""
    return f"notifier_{partition}"


def event_filter(partition: int) -> str:
    """Return the subject filter of ``partition`` of EVENTS."""
    return f"e.{partition}.>"


def event_subject_of_stored(stored: str) -> str:
    """Return the subject that the domain team published: ``events.shop.order.42`` for ``e.3.shop.order.42``."""
    return "events." + stored.split(".", 2)[2]


def stored_event_subjects(subject: str) -> str:
    """Return the wildcard under which stream EVENTS keeps ``events.shop.order.42``, whatever its partition."""
    return "e.*." + subject.removeprefix("events.")


def matches(subject: str, pattern: str) -> bool:
    """Tell whether ``pattern`` covers ``subject``: ``*`` is any one token, ``>`` at the end one or more."""
    tokens, wanted = subject.split("."), pattern.split(".")
    if wanted[-1] == ">" and len(tokens) >= len(wanted):
        tokens, wanted = tokens[: len(wanted) - 1], wanted[:-1]
    return len(tokens) == len(wanted) and all(want in ("*", token) for token, want in zip(tokens, wanted, strict=True))


def history_of_advisory(subject: str) -> int | None:
    """Return the partition whose history stream an advisory of the server is about, None for any other stream."""
    name, _, partition = subject.rpartition(".")[2].rpartition("_")
    return int(partition) if name == history_stream(0).rpartition("_")[0] and partition.isdecimal() else None


def all_history_streams(partitions: int) -> Iterable[str]:
    """Return the names of all history streams, in order of partition."""
    return (history_stream(partition) for partition in range(partitions))


def history_filter(partition: int) -> str:
    """Return the wildcard of what the history stream of ``partition`` keeps."""
    return f"c.{partition}.>"


def history_republish(partition: int) -> tuple[str, str]:
    """Return source and destination of what the history stream of ``partition`` republishes."""
    return f"c.{partition}.*.*", "live.{{wildcard(1)}}.{{wildcard(2)}}"


def bucket_republish(bucket: str) -> tuple[str, str]:
    """Return source and destination of what a republished ``bucket`` tells: ``$KV.KEYS.>`` → ``ctl.keys.>``."""
    return key_subject(bucket, ">"), bucket_changes(bucket)
