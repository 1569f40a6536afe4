"""`whimbrel listen`: what a user's client hears."""

import asyncio
import functools
import json
from typing import Any, cast, get_args

import click

from whimbrel.cli.channels import channel_of
from whimbrel.cli.commands.token import stated, token_request
from whimbrel.cli.exits import BadSetting, Failure
from whimbrel.cli.output import Output
from whimbrel.cli.services import mint
from whimbrel.cli.target import Target, talks_to
from whimbrel.client import (
    Acked,
    Changes,
    ChannelEvent,
    Client,
    ClientError,
    Joined,
    Left,
    Position,
    Preference,
    Publication,
    Recovered,
    Reset,
    State,
    StateChange,
    Subscription,
)
from whimbrel.protocol.channels import INBOX


@click.command("listen")
@click.argument("channels", nargs=-1, metavar="[CHANNEL]...")
@click.option("--user", help="Listen as this user, with a token minted by the service key.")
@click.option("--group", "groups", multiple=True, help="A group that the token names; may be repeated.")
@click.option("--token", envvar="WHIMBREL_TOKEN", help="Listen with this token instead. [env WHIMBREL_TOKEN]")
@click.option("--transport", type=click.Choice(get_args(Preference)), default="auto", show_default=True)
@click.option("--position", metavar="EPOCH:OFFSET", help="Begin behind this position (of the one CHANNEL given).")
@click.option("--last", type=click.IntRange(0, 200), help="Begin with so many of the newest publications.")
@click.option("--count", type=click.IntRange(1), help="End after so many publications.")
@talks_to("edge", "auth", "service_key")
def command(
    channels: tuple[str, ...],
    user: str | None,
    groups: tuple[str, ...],
    token: str | None,
    transport: str,
    position: str | None,
    last: int | None,
    count: int | None,
    target: Target,
    output: Output,
) -> None:
    """Print what arrives, and when the connection changes.

    What arrives in each CHANNEL; without one, in the inbox.
    With --json one object per line: publications as in the contract; `subscribed`, `recovered`, `reset`, `state`.

    \b
    whimbrel listen --user alice orders:42
    whimbrel listen --user alice orders:42 --transport poll
    whimbrel listen --user alice inbox orders:42 --last 10
    whimbrel listen --user alice orders:42 --position 1f3a9c:117 --count 5 --json
    """
    names = list(dict.fromkeys(channels or (INBOX,)))
    begin = _position(position, names)
    if last is not None and begin is not None:
        raise BadSetting("--position and --last are two answers to one question: give one of them")
    user, token = stated(user, token)
    if token is None:
        assert user is not None
        request = token_request(user, groups)
        source: Any = functools.partial(_fresh, target, request)
    else:
        source = token
    client = Client(target.need("edge"), token=source, transport=cast(Preference, transport))
    try:
        asyncio.run(_listen(client, names, begin, last, count, output))
    except ClientError as error:
        raise Failure(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(0) from None  # that is how listening ends


def _fresh(target: Target, request: Any) -> str:
    return mint(target, request).access_token


def _position(text: str | None, names: list[str]) -> Position | None:
    for name in names:
        if name != INBOX:
            channel_of(name)
    if text is None:
        return None
    epoch, _, offset = text.rpartition(":")
    if len(names) != 1:
        raise BadSetting("--position is a place in one channel: name exactly one")
    if not epoch or not offset.isdigit():
        raise BadSetting(f"--position {text!r}: write epoch:offset, as `whimbrel listen --json` shows them")
    return Position(epoch=epoch, offset=int(offset))


async def _listen(
    client: Client, names: list[str], begin: Position | None, last: int | None, count: int | None, output: Output
) -> None:
    left = count

    async def follow(name: str) -> None:
        nonlocal left
        async with client.subscribe(name, position=begin, last=last) as subscription:
            place = _place(subscription.position)
            opened = {"type": "subscribed", "channel": name} | ({"position": place} if place else {})
            output.say(output.dim(f"· {name}: open{f' at {place}' if place else ''}"), opened)
            async for event in subscription.events():
                _show(event, subscription, output)
                if isinstance(event, Publication) and left is not None:
                    left -= 1
                    if left <= 0:
                        return

    async with client:
        watching = asyncio.create_task(_watch(client.states(), output))
        following = [asyncio.create_task(follow(name)) for name in names]
        try:
            done, _ = await asyncio.wait(following, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*following, watching):
                task.cancel()
            await asyncio.wait([*following, watching])


async def _watch(changes: Changes, output: Output) -> None:
    async for change in changes:
        output.say(output.dim(f"· {_told(change)}"), _record(change))


def _told(change: StateChange) -> str:
    match change.state:
        case State.CONNECTING:
            return f"connecting by {change.transport}"
        case State.CONNECTED:
            return f"connected by {change.transport}"
        case State.DISCONNECTED:
            return f"disconnected: {change.reason} ({change.code}); next try in {change.retry_s or 0:.1f} s"
        case State.CLOSED:
            return f"closed: {change.reason} ({change.code})"


def _record(change: StateChange) -> dict[str, Any]:
    record = {
        "type": "state",
        "state": change.state.value,
        "transport": change.transport,
        "code": change.code,
        "reason": change.reason,
        "retry_s": change.retry_s,
    }
    return {name: value for name, value in record.items() if value is not None}


def _show(event: ChannelEvent, subscription: Subscription, output: Output) -> None:
    place = _place(subscription.position)
    match event:
        case Publication():
            record = event.model_dump(exclude_none=True) | ({"position": place} if place else {})
            clock = output.dim(event.time[11:23])
            head = f"{clock}  {event.channel}  {output.loud(event.event)}"
            output.say(f"{head}  {_compact(event.data)}{output.dim(f'  {place}') if place else ''}", record)
        case Recovered(channel=channel):
            output.say(
                output.dim(f"· {channel}: nothing was missed, or it follows"), {"type": "recovered"} | _at(event)
            )
        case Reset(channel=channel):
            told = output.bad(f"· {channel}: publications are missing and cannot be recovered; going on from now")
            output.say(told, {"type": "reset"} | _at(event))
        case Acked(channel=channel, offset=offset):
            output.say(
                output.dim(f"· {channel}: read up to {offset} on another device"),
                {"type": "acked", "channel": channel, "offset": offset},
            )
        case Joined(channel=channel, user=user) | Left(channel=channel, user=user):
            came = isinstance(event, Joined)
            output.say(
                output.dim(f"· {channel}: {user} {'came' if came else 'left'}"),
                {"type": "join" if came else "leave", "channel": channel, "user": user},
            )


def _at(event: Recovered | Reset) -> dict[str, Any]:
    return {"channel": event.channel, "position": _place(event.position)}


def _place(position: Position | None) -> str:
    """Return what --position takes; empty where there is no position."""
    return "" if position is None else f"{position.epoch}:{position.offset}"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
