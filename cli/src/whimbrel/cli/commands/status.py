"""`whimbrel status`: what runs, what is stored, who lags, who is connected."""

import time
from typing import Any

import click

from whimbrel.cli.exits import Failure
from whimbrel.cli.invocation import invocation
from whimbrel.cli.output import Output
from whimbrel.cli.services import ask
from whimbrel.cli.target import Target, talks_to
from whimbrel.protocol.bodies import StatusReply
from whimbrel.protocol.rpc import ServiceStatus


@click.command("status")
@talks_to("router", "service_key")
def command(target: Target, output: Output) -> None:
    """Show services, streams, lag and connections.

    As the router sees them.
    Ends with exit code 1 where a service is not ready or does not answer.

    \b
    whimbrel status
    whimbrel status --json | jq .lag
    """
    reply = ask(target, "router", "GET", "/status", StatusReply)
    if output.as_json:
        output.say("", reply.model_dump())
    else:
        _show(reply, output, invocation("dlq list", target.store))
    unready = [
        f"{each.service} {each.instance}".rstrip() + f": {'; '.join(each.reasons)}"
        for each in reply.services
        if not each.ready
    ]
    if unready:
        raise Failure("not ready: " + " · ".join(unready))


def _show(reply: StatusReply, output: Output, more: str) -> None:
    output.table(
        ("SERVICE", "INSTANCE", "VERSION", "PID", "UP", "STATE", "CONNECTIONS"),
        [_row(each) for each in reply.services],
    )
    output.say("")
    output.table(
        ("STREAM", "MESSAGES", "BYTES", "FIRST", "LAST", "REPLICAS", "LEADER"),
        [
            (each.name, each.messages, each.bytes, each.first, each.last, each.replicas, each.leader or "–")
            for each in reply.streams
        ],
    )
    output.say("")
    output.table(
        ("NOTIFIER PARTITION", "PENDING", "UNACKNOWLEDGED"),
        [(each.partition, each.pending, each.unacknowledged) for each in reply.lag],
    )
    letters = f"{reply.dead_letters} dead letters"
    output.say("\n" + (output.bad(f"{letters}: see `{more}`") if reply.dead_letters else letters))


def _row(service: ServiceStatus) -> tuple[object, ...]:
    if not service.pid:  # no process told: the router says so of a role that is silent
        return (service.service, "–", "–", "–", "–", "; ".join(service.reasons), "–")
    return (
        service.service,
        service.instance,
        service.version,
        service.pid,
        _span(time.time() - service.started_at),
        "ready" if service.ready else "NOT READY",
        _connections(service),
    )


def _connections(service: ServiceStatus) -> str:
    """Return what an edge tells of its connections, as ``3 websocket, 1 poll``; other services have none."""
    told: Any = service.detail.get("connections")
    if isinstance(told, dict):
        return ", ".join(f"{number} {transport}" for transport, number in told.items()) or "0"
    return "–" if told is None else str(told)


def _span(seconds: float) -> str:
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
