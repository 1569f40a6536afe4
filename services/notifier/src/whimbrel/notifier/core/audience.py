"""Who hears of an event: the union of its routes and its audience headers, as one list of channels without repeats.

Users are reached in their inbox, groups in the group's channel: an event is one publication per channel, whatever the
number of devices or members.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from whimbrel.notifier.core.errors import Reason, Undeliverable, UnknownNamespace
from whimbrel.notifier.core.events import MAX_MEMBER_CHARS, Event
from whimbrel.notifier.core.routes import Routes
from whimbrel.notifier.core.templates import MAX_TARGETS, Template
from whimbrel.protocol.channels import Channel, group_channel, inbox_of
from whimbrel.protocol.namespaces import Namespace

__all__ = ["MAX_TARGETS", "Target", "targets"]


class Target(NamedTuple):
    """A channel that gets the event; an ephemeral one is told live and keeps nothing."""

    channel: Channel
    durable: bool


def targets(event: Event, routes: Routes, namespaces: Mapping[str, Namespace]) -> list[Target]:
    """Return the channels of ``event``: what its routes give, in their order, then what its headers name.

    All or none: a target that cannot be makes the whole event undeliverable. Raises Undeliverable.
    """
    channels = dict.fromkeys(_named(event, routes))
    if len(channels) > MAX_TARGETS:
        raise Undeliverable(
            Reason.TOO_MANY_TARGETS,
            f"the event has {len(channels)} targets, at most {MAX_TARGETS} are sent; use a group",
        )
    if not channels:
        raise Undeliverable(
            Reason.UNROUTABLE,
            f"no route matches events.{event.domain}.{event.entity}.{event.entity_id} with type {event.type!r}, or "
            "none gives a target, and no audience header names one",
        )
    return [Target(channel, _namespace(channel, namespaces).durable) for channel in channels]


def _named(event: Event, routes: Routes) -> Iterator[Channel]:
    for route in routes.matching(event):
        for template in route.channels:
            yield from template.expand(event)
        for user in route.users:
            yield from map(inbox_of, _members(user, event))
        for group in route.groups:
            yield from map(group_channel, _members(group, event))
    yield from event.channels
    yield from map(inbox_of, event.users)
    yield from map(group_channel, event.groups)


def _members(template: Template, event: Event) -> list[str]:
    members = template.expand(event)
    for member in members:
        if len(member) > MAX_MEMBER_CHARS:
            raise Undeliverable(
                Reason.BAD_TARGET,
                f"template {template.text!r}: {member[:80]!r}… is longer than {MAX_MEMBER_CHARS} characters",
            )
    return members


def _namespace(channel: Channel, namespaces: Mapping[str, Namespace]) -> Namespace:
    namespace = namespaces.get(channel.namespace)
    if namespace is None:
        raise UnknownNamespace(channel.namespace, str(channel))
    return namespace
