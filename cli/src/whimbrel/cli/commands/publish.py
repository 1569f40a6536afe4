"""`whimbrel publish`: a domain event, as a domain team publishes it."""

import asyncio
import json
import re
import sys
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import click
import nats.errors
from nats.aio.client import Client
from nats.js.errors import APIError, NoStreamResponseError

from whimbrel.cli.exits import BadSetting, Failure, Unreachable
from whimbrel.cli.invocation import invocation
from whimbrel.cli.output import Output
from whimbrel.cli.spans import seconds_of
from whimbrel.cli.target import Target, talks_to, without_password
from whimbrel.protocol.channels import NAME_PATTERN, Channel
from whimbrel.protocol.errors import MalformedChannel
from whimbrel.protocol.limits import MAX_EVENT_BYTES, MAX_TOPIC_CHARS, MAX_TTL_S
from whimbrel.protocol.publications import (
    AUDIENCE_CHANNELS,
    AUDIENCE_GROUPS,
    AUDIENCE_USERS,
    MSG_ID,
    TIME,
    TIME_FORM,
    TOPIC,
    TOPIC_PATTERN,
    TTL,
    is_time,
)

SOURCE: Final = "/whimbrel/cli"
TIMEOUT_S: Final = 5.0
ELECTION_S: Final = 10.0  # nobody takes events while another server of a cluster becomes their stream's leader
AGAIN_S: Final = 0.25
_SUBJECT: Final = re.compile(rf"events\.[a-z0-9_-]+\.[a-z0-9_-]+\.{NAME_PATTERN}")


@click.command("publish")
@click.argument("subject")
@click.option("--type", "event_type", required=True, help="What happened, e.g. order.shipped.")
@click.option(
    "--data", default="null", metavar="JSON", help="What it is about; - reads it from standard input.  [default: null]"
)
@click.option("--users", default="", help="Who hears of it besides whom the routes name, comma separated.")
@click.option("--groups", default="", help="Likewise, groups.")
@click.option("--channels", default="", help="Likewise, channels.")
@click.option("--ttl", default="", metavar="SPAN", help="In inboxes: worth something for so long, e.g. 90s, 2h, 3d.")
@click.option("--topic", default="", help="In inboxes: takes the place of what came before of this topic.")
@click.option("--id", "event_id", default="", help="Makes a repeat harmless.  [default: a new one]")
@click.option(
    "--time", default="", metavar="RFC3339", help="When it happened; a late repeat says the same.  [default: now]"
)
@talks_to("nats")
def command(
    subject: str,
    event_type: str,
    data: str,
    users: str,
    groups: str,
    channels: str,
    ttl: str,
    topic: str,
    event_id: str,
    time: str,
    target: Target,
    output: Output,
) -> None:
    """Publish a domain event to SUBJECT.

    SUBJECT is events.<domain>.<entity>.<id>. Returns once the event is stored; it is on its way to whom the routes and
    these options name. What cannot be routed is found by `whimbrel dlq list`.

    \b
    whimbrel publish events.shop.order.42 --type order.shipped --data '{"carrier":"DHL"}'
    whimbrel publish events.shop.order.42 --type order.note --data '"hello"' --users alice,bob
    whimbrel publish events.shop.order.42 --type order.invoiced --data - < invoice.json
    whimbrel publish events.shop.order.42 --type order.packed --users alice --topic order-42 --ttl 2d
    """
    payload = _compact(sys.stdin.read() if data == "-" else data)
    named = {
        AUDIENCE_USERS: users,
        AUDIENCE_GROUPS: groups,
        AUDIENCE_CHANNELS: channels,
        TTL: _ttl(ttl),
        TOPIC: checked_topic(topic),
        TIME: _time(time),
    }
    publish(subject, event_type, payload, named, event_id, target, output)


def publish(
    subject: str,
    event_type: str,
    payload: bytes,
    named: Mapping[str, str],
    event_id: str,
    target: Target,
    output: Output,
) -> None:
    """Publish an event and say where it is stored; empty ones of the headers ``named`` are left out. Raises Failure."""
    _check(subject, named[AUDIENCE_CHANNELS])
    event_id = event_id or uuid.uuid4().hex
    headers = {
        "ce-specversion": "1.0",
        "ce-id": event_id,
        "ce-source": SOURCE,
        "ce-type": event_type,
        TIME: datetime.now(UTC).isoformat(timespec="milliseconds"),
        "content-type": "application/json",
        MSG_ID: f"{SOURCE}/{event_id}",
    }
    headers |= {name: value for name, value in named.items() if value}
    if not all(value.isprintable() for value in headers.values()):
        raise BadSetting("each option but --data is one line of printable characters")
    try:
        sequence, duplicate = asyncio.run(_publish(target.need("nats"), subject, payload, headers))
    except NoStreamResponseError:
        status = invocation("status", target.store)
        raise Failure("no stream takes events here: has the router ever run?", f"`{status}` tells") from None
    repeated = " (a repeat of this --id: nothing new was stored)" if duplicate else ""
    record = {"subject": subject, "id": event_id, "sequence": sequence, "duplicate": duplicate}
    output.say(f"stored as event {output.loud(str(sequence))}{repeated}", record)


def checked_topic(topic: str) -> str:
    """Return ``topic``, which may be empty. Raises BadSetting."""
    if topic and not re.fullmatch(TOPIC_PATTERN, topic):
        raise BadSetting(f"--topic {topic!r} is not 1 to {MAX_TOPIC_CHARS} of A-Z a-z 0-9 _ - : = @ ~")
    return topic


def _ttl(span: str) -> str:
    seconds = seconds_of(span) if span else 0
    if span and not 1 <= seconds <= MAX_TTL_S:
        raise BadSetting(f"--ttl {span} is not within 1 s and {MAX_TTL_S // 86_400} days: nothing is kept for longer")
    return str(seconds) if span else ""


def _time(text: str) -> str:
    if text and not is_time(text):
        raise BadSetting(f"--time {text!r} is not {TIME_FORM}")
    return text


def _check(subject: str, channels: str) -> None:
    if not _SUBJECT.fullmatch(subject):
        raise BadSetting(
            f"{subject!r} is not events.<domain>.<entity>.<id>: write domain and entity in a-z 0-9 _ -, "
            "the id without dots, blanks, * and >"
        )
    try:
        for channel in filter(None, (each.strip() for each in channels.split(","))):
            Channel.parse(channel)
    except MalformedChannel as error:
        raise BadSetting(f"--channels: {error}") from None


def _compact(data: str) -> bytes:
    try:
        payload = json.dumps(json.loads(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        raise BadSetting(f"--data is not JSON: {error}; a text needs quotes of its own: '\"hello\"'") from None
    if len(payload) > MAX_EVENT_BYTES:
        raise BadSetting(f"--data has {len(payload)} bytes, an event has at most {MAX_EVENT_BYTES}")
    return payload


async def _publish(url: str, subject: str, payload: bytes, headers: dict[str, str]) -> tuple[int, bool]:
    complaints: list[str] = []
    bus = await _connect(url, complaints)
    deadline = asyncio.get_running_loop().time() + ELECTION_S
    try:
        while True:
            try:
                ack = await bus.jetstream(timeout=TIMEOUT_S).publish(subject, payload, headers=headers)
                return ack.seq, bool(ack.duplicate)
            except NoStreamResponseError:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(AGAIN_S)
    except nats.errors.TimeoutError:
        why = f" ({complaints[-1]})" if complaints else "; it may be stored, so repeat it with the same --id"
        raise Unreachable(f"NATS did not confirm the event within {TIMEOUT_S:g} s{why}") from None
    except (APIError, nats.errors.Error) as error:
        raise Failure(f"NATS refused the event: {error}") from error
    finally:
        await bus.close()


async def _connect(url: str, complaints: list[str]) -> Client:
    async def complain(error: Exception) -> None:
        complaints.append(str(error))

    bus = Client()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await bus.connect(
                url.split(","),
                allow_reconnect=False,
                # nats-py counts the first attempts as reconnects too, and waits between them.
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                error_cb=complain,
                name="whimbrel publish",
            )
    except (TimeoutError, nats.errors.TimeoutError):
        where = without_password(url)
        raise Unreachable(f"NATS does not answer at {where} within {TIMEOUT_S:g} s", "is it running?") from None
    except (OSError, nats.errors.Error, ValueError) as error:
        why = complaints[0] if complaints else str(error) or type(error).__name__
        # nats-py tells of a refusal by the server only in the words of that.
        advice = "are user and password in --nats right?" if "authorization" in why.lower() else "is it running?"
        raise Unreachable(f"NATS does not take us at {without_password(url)}: {why}", advice) from error
    finally:
        if not bus.is_connected:
            await bus.close()  # nats-py leaves the socket of an attempt that came to nothing
    return bus
