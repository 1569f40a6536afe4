"""The reference pages: codes, limits, and everything that NATS knows by name."""

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from whimbrel.protocol import limits, subjects
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.contract.markdown import HEADER, table

_CHANNEL: Final = Channel("<ns>", "<name>")
_REPUBLISHED: Final = (subjects.NAMESPACES, subjects.GROUPS, subjects.KEYS, subjects.REVOKED)
_UNITS: Final = {"BYTES": "bytes", "CHARS": "characters", "S": "s"}


def codes_page() -> str:
    """Return the page of the close codes and error codes."""
    return f"""{HEADER}# Codes

## Close codes

Why the edge closed a connection: in the `disconnect` frame before the close, and in the close itself. 4000–4499 ask to
reconnect, 4500–4999 forbid it; a client treats a code that it does not know by its range.

{close_codes()}

## Error codes

Why a request failed: in an `error` frame, in the `error` of a refused channel, in `unsubscribed`, and in the problem
document of an HTTP error. A request error never closes the connection.

{error_codes()}
"""


def close_codes() -> str:
    """Return the table of the close codes."""
    return table(
        ["code", "slug", "reconnect", "what it means, and what to do"],
        [[f"{code:d}", f"`{code.slug}`", "yes" if code.reconnect else "no", code.advice] for code in CloseCode],
    )


def error_codes() -> str:
    """Return the table of the error codes."""
    return table(
        ["code", "slug", "temporary", "what it means, and what to do"],
        [[f"{code:d}", f"`{code.slug}`", "yes" if code.temporary else "no", code.advice] for code in ErrorCode],
    )


def limits_page() -> str:
    """Return the page of all limits with their reasons."""
    rows = [[f"`{name}`", f"{getattr(limits, name):,}", _unit(name), reason] for name, reason in _reasons()]
    return f"{HEADER}# Limits\n\n{table(['limit', 'value', 'unit', 'what it bounds, and why'], rows)}\n"


def _reasons() -> Iterator[tuple[str, str]]:
    """Yield each limit and the text below it; Python itself keeps no docstrings of constants."""
    body = ast.parse(inspect.getsource(limits)).body
    for statement, below in pairwise(body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            assert isinstance(below, ast.Expr), f"{statement.target.id} has no reason below it"
            assert isinstance(below.value, ast.Constant)
            yield statement.target.id, str(below.value.value)


def _unit(name: str) -> str:
    return _UNITS.get(name.rpartition("_")[2], "")


def subjects_page() -> str:
    """Return the page of subjects, streams and buckets."""
    return f"""{HEADER}# Subjects, streams and buckets

Every name that NATS sees. Clients see none of them: they know channels. `<p>` is a partition, `<ns>` and `<name>` the
two parts of a channel, `<user>` a user escaped into one token.

## Subjects

{table(["subject", "from → to", "what"], _subjects())}

## Streams

{table(["stream", "keeps", "what"], _streams())}

A channel's partition is FNV-1a (32 bits) of namespace and name written together, modulo the number of partitions: what
the server computes for `{{{{partition(P,1,2)}}}}`.

## Buckets

Key-value buckets, each a stream `{subjects.bucket_stream("<bucket>")}`. Those that are republished
tell every change at once.

{table(["bucket", "key → value", "republished to", "what"], _buckets())}
"""


def _subjects() -> list[list[str]]:
    event = subjects.event_subject_of_stored("e.0.<domain>.<entity>.<id>")
    stored_event = subjects.event_filter(0).replace("0.>", "<p>.<domain>.<entity>.<id>")
    stored = subjects.stored_subject(_CHANNEL, 1).replace(".0.", ".<p>.")
    of_user = subjects.user_subject("x")[:-1] + "<user>"
    return [
        [f"`{event}`", "domain team → EVENTS", f"a domain event; mapped to `{stored_event}`"],
        [
            f"`{subjects.publish_subject(_CHANNEL)}`",
            "notifier, edge → history",
            f"a durable publication; mapped to `{stored}`",
        ],
        [
            f"`{subjects.live_subject(_CHANNEL)}`",
            "history, notifier, edge → edge",
            "a publication, live: republished once it is stored, or ephemeral",
        ],
        [f"`{subjects.DLQ_NOTIFIER}`", "notifier → DLQ", "an event that could not be delivered, with the reason"],
        [f"`{subjects.AUTH_VERIFY}`", "edge → auth", "tokens of one tick → verdicts"],
        [f"`{subjects.ROUTER_RESOLVE}`", "edge → router", "users who connect → their groups"],
        [f"`{subjects.ROUTER_AUTHORIZE}`", "tools → router", "may this user do this in this channel?"],
        [f"`{subjects.EDGE_SESSIONS}`", "router → every edge", "what is known of a session, or of a user's sessions"],
        [f"`{subjects.sessions_subject('<pod>')}`", "edge → SESSIONS", "sessions that began and ended"],
        [f"`{subjects.gaps_subject('<pod>')}`", "edge → GAPS", "clients that were told to reload, and why"],
        [f"`{subjects.STATUS}`", "router → every process", "who runs, since when, in what state"],
        [f"`{subjects.NOTIFIERS}`", "notifier → notifier", "how many partitions of EVENTS each holds"],
        [f"`{of_user}`", "router, edge → edge", "joined or left groups; acknowledged on another device"],
        *[
            [f"`{subjects.bucket_changes(bucket)}`", "bucket → its readers", f"a change in bucket {bucket}"]
            for bucket in _REPUBLISHED
        ],
    ]


def _streams() -> list[list[str]]:
    history = subjects.history_stream(0).replace("0", "<p>")
    stored = subjects.stored_subject(_CHANNEL, 1).replace(".0.", ".<p>.")
    return [
        [f"`{subjects.EVENTS}`", f"`{subjects.event_filter(0).replace('0', '<p>')}`", "domain events"],
        [
            f"`{history}`",
            f"`{stored}`",
            f"the newest {limits.RETAINED_PER_CHANNEL:,} publications of each durable channel",
        ],
        [f"`{subjects.DLQ}`", f"`{subjects.DLQ_ALL}`", "events that could not be delivered"],
        [f"`{subjects.SESSIONS}`", f"`{subjects.SESSIONS_ALL}`", "which sessions began and ended, for a day"],
        [f"`{subjects.GAPS}`", f"`{subjects.GAPS_ALL}`", "which clients were told to reload, and why, for a week"],
    ]


def _buckets() -> list[list[str]]:
    heard = {bucket: f"`{subjects.bucket_changes(bucket)}`" for bucket in _REPUBLISHED}
    member = "`<user>.<group>` → `{}`"
    mark = "`<user>.<ns>.<name>` → epoch and offset"
    return [
        [f"`{bucket}`", holds, heard.get(bucket, "–"), what]
        for bucket, holds, what in (
            (subjects.NAMESPACES, "`<ns>` → its rules", "what a channel is, and who may do what in it"),
            (subjects.GROUPS, member, "who is in which group"),
            (subjects.READMARKS, mark, "how far a user has acknowledged a channel"),
            (subjects.KEYS, "`resume` → keys", "what resume grants are signed with"),
            (subjects.REFRESH, "family → its state", "refresh tokens"),
            (subjects.TICKETS, "ticket → whom it stands for", "tickets of the last two minutes"),
            (subjects.PODS, "pod → when it lived", "which edges live, and since when one does not"),
            (subjects.REVOKED, "user or token → since when", "what is valid no longer"),
        )
    ]
