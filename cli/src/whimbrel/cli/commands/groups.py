"""`whimbrel groups`: who belongs to which group."""

from urllib.parse import quote

import click

from whimbrel.cli.exits import BadSetting
from whimbrel.cli.output import Output
from whimbrel.cli.services import ask, tell
from whimbrel.cli.target import Target, talks_to
from whimbrel.protocol.bodies import GroupsReply, MembersReply


@click.group("groups")
def command() -> None:
    """Change and show who belongs to which group.

    Open sessions follow within a second.

    \b
    whimbrel groups add vip alice
    whimbrel groups list --group vip
    whimbrel groups remove vip alice
    """


@command.command("add")
@click.argument("group")
@click.argument("users", nargs=-1, required=True, metavar="USER...")
@talks_to("router", "service_key")
def add(group: str, users: tuple[str, ...], target: Target, output: Output) -> None:
    """Make each USER a member of GROUP."""
    for user in users:
        tell(target, "router", "PUT", _membership(group, user))
        output.say(f"{user} belongs to {group}", {"group": group, "user": user, "member": True})


@command.command("remove")
@click.argument("group")
@click.argument("users", nargs=-1, required=True, metavar="USER...")
@talks_to("router", "service_key")
def remove(group: str, users: tuple[str, ...], target: Target, output: Output) -> None:
    """End the membership of each USER in GROUP.

    What a token names is not touched.
    """
    for user in users:
        tell(target, "router", "DELETE", _membership(group, user))
        output.say(f"{user} does not belong to {group}", {"group": group, "user": user, "member": False})


@command.command("list")
@click.option("--group", help="The members of this group.")
@click.option("--user", help="The groups of this user.")
@talks_to("router", "service_key")
def list_(group: str | None, user: str | None, target: Target, output: Output) -> None:
    """Show the members of a group, or the groups of a user."""
    if (group is None) == (user is None):
        raise BadSetting("say whose: --group vip, or --user alice")
    if group is not None:
        members = ask(target, "router", "GET", f"{_path(group)}/members", MembersReply)
        output.say("\n".join(members.members) or f"{group} has no members", members.model_dump())
    else:
        groups = ask(target, "router", "GET", f"/users/{quote(user or '', safe='')}/groups", GroupsReply)
        output.say("\n".join(groups.groups) or f"{user} belongs to no group", groups.model_dump())


def _membership(group: str, user: str) -> str:
    return f"{_path(group)}/members/{quote(user, safe='')}"


def _path(group: str) -> str:
    if "/" in group:  # as `%2F` too: it would be a part of the path, and another group
        raise BadSetting(f"{group!r} has a slash", "the router keeps groups without one; only tokens can name it")
    return f"/groups/{quote(group, safe='')}"
