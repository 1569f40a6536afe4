"""Every stream and bucket with its settings: one table, from which routers declare them (``jetstream.declare``).

What a power failure can take is not a property of a stream but of the server (``sync_interval``): see
deploy/nats/nats.conf.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from whimbrel.protocol import gaps, subjects
from whimbrel.protocol.limits import RETAINED_PER_CHANNEL
from whimbrel.protocol.sessions import KEPT_S, SESSIONS_BYTES
from whimbrel.protocol.versions import LAYOUT_VERSION

Config = dict[str, Any]

# Metadata of each stream. The server adds its own under `_nats.`.
EPOCH: Final = "whimbrel-epoch"
LAYOUT: Final = "whimbrel-layout"
PARTITIONS: Final = "whimbrel-partitions"
RESTORED_AT: Final = "whimbrel-restored-at"  # of EVENTS: Unix s of the restore from a backup, if there was one
EPOCH_BYTES: Final = 8  # 16 hexadecimal characters; two streams never share one

_S: Final = 1_000_000_000  # JetStream counts in nanoseconds
_DAY: Final = 24 * 3600 * _S
DUPLICATE_WINDOW_S: Final = 120  # a repeated Nats-Msg-Id is dropped within this; costs ≤ 234 B of memory per id
MAX_EVENT_MESSAGE_BYTES: Final = 304 * 1024  # 256 KiB of data and the audience in headers …
MAX_MESSAGE_BYTES: Final = 320 * 1024  # … and what the dead-letter stream or a publication adds; the server's own limit
HISTORY_AGE: Final = 7 * _DAY
EVENTS_AGE: Final = 3 * _DAY  # the notifier may be away for a long weekend
DLQ_AGE: Final = 30 * _DAY
MAX_CONSUMERS: Final = 100  # of a stream; nobody makes one per user, and the server's default of 1000 would hide it
TICKETS_AGE: Final = DUPLICATE_WINDOW_S * _S  # no shorter than that, says the server; a ticket is good for 30 s
MAX_TICKETS_BYTES: Final = 64 * 1024 * 1024  # beyond, no more tickets are made until some expire
REVOKED_MARKER_S: Final = 60  # how long the note that a revocation has expired is kept

REPUBLISHED_BUCKETS: Final = (subjects.NAMESPACES, subjects.GROUPS, subjects.KEYS, subjects.REVOKED)
BUCKETS: Final = (*REPUBLISHED_BUCKETS, subjects.REFRESH, subjects.READMARKS, subjects.TICKETS, subjects.PODS)


def streams(*, partitions: int, replicas: int) -> Iterator[Config]:
    """Yield the configuration of every stream and bucket, without its epoch."""
    for partition in range(partitions):
        source, destination = subjects.history_republish(partition)
        yield _stream(
            subjects.history_stream(partition),
            [subjects.history_filter(partition)],
            replicas,
            max_age=HISTORY_AGE,
            max_msgs_per_subject=RETAINED_PER_CHANNEL,
            max_msg_size=MAX_MESSAGE_BYTES,
            deny_delete=False,  # the notifier takes from inboxes what is overtaken or withdrawn
            republish={"src": source, "dest": destination},
            metadata={PARTITIONS: str(partitions)},
        )
    yield _stream(
        subjects.EVENTS,
        [subjects.EVENTS_STORED],
        replicas,
        max_age=EVENTS_AGE,
        max_msg_size=MAX_EVENT_MESSAGE_BYTES,
    )
    yield _stream(
        subjects.DLQ,
        [subjects.DLQ_ALL],
        replicas,
        max_age=DLQ_AGE,
        max_msg_size=MAX_MESSAGE_BYTES,
        deny_delete=False,  # a dead letter goes when its event was published again, or is given up
    )
    yield _stream(
        subjects.SESSIONS,
        [subjects.SESSIONS_ALL],
        replicas,
        max_age=KEPT_S * _S,
        max_bytes=SESSIONS_BYTES,
        max_msg_size=MAX_MESSAGE_BYTES,
    )
    yield _stream(
        subjects.GAPS,
        [subjects.GAPS_ALL],
        replicas,
        max_age=gaps.KEPT_S * _S,
        max_bytes=gaps.GAPS_BYTES,
        max_msg_size=MAX_MESSAGE_BYTES,
    )
    for bucket in BUCKETS:
        yield _bucket(bucket, replicas)


def _stream(
    name: str, filters: list[str], replicas: int, *, metadata: Mapping[str, str] | None = None, **own: Any
) -> Config:
    return {
        "name": name,
        "subjects": filters,
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "discard": "old",
        "max_consumers": MAX_CONSUMERS,
        "duplicate_window": DUPLICATE_WINDOW_S * _S,
        "allow_direct": True,
        "deny_delete": True,  # single messages; an operator may still purge
        # Never s2: a replica that truncates its last block after a crash writes it back compressed and appends plain
        # records behind it (nats-server 2.15.1). It can read neither then; two such replicas, and a stream is mute.
        "compression": "none",
        "metadata": {LAYOUT: str(LAYOUT_VERSION), **(metadata or {})},
        **own,
    }


def _bucket(bucket: str, replicas: int) -> Config:
    config: Config = {
        "name": subjects.bucket_stream(bucket),
        "subjects": [subjects.key_subject(bucket, ">")],
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "discard": "new",
        "max_msgs_per_subject": 1,
        "max_consumers": MAX_CONSUMERS,
        "duplicate_window": DUPLICATE_WINDOW_S * _S,
        "allow_direct": True,
        "allow_rollup_hdrs": True,  # NATS' own clients purge a key with it
        "allow_msg_ttl": True,  # sign-ins and revocations expire
        "deny_delete": True,
        "metadata": {LAYOUT: str(LAYOUT_VERSION)},
    }
    if bucket in REPUBLISHED_BUCKETS:
        source, destination = subjects.bucket_republish(bucket)
        config["republish"] = {"src": source, "dest": destination}
    if bucket == subjects.TICKETS:  # in files all the same: a server alone forgets a stream in memory when it restarts
        config |= {"max_age": TICKETS_AGE, "max_bytes": MAX_TICKETS_BYTES}
    if bucket == subjects.REVOKED:  # an expired revocation is told as well, so that no pod remembers it for ever
        config["subject_delete_marker_ttl"] = REVOKED_MARKER_S * _S
    return config
