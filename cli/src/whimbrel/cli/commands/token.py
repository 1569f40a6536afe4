"""`whimbrel token`: a token for a user, as a backend would mint it."""

from typing import Final

import click
from click.core import ParameterSource
from pydantic import ValidationError

from whimbrel.cli.exits import BadSetting
from whimbrel.cli.output import Output
from whimbrel.cli.services import mint
from whimbrel.cli.target import Target, talks_to
from whimbrel.protocol.bodies import TokenRequest
from whimbrel.protocol.namespaces import Grant


@click.command("token")
@click.option("--user", required=True, help="Who the token is for: the claim `sub`.")
@click.option("--group", "groups", multiple=True, help="A group of the user; may be repeated.")
@click.option(
    "--grant", "grants", multiple=True, metavar="CHANNEL", help="Allow subscribing to CHANNEL (or `ns:prefix*`)."
)
@click.option("--ttl", type=click.IntRange(1, 86_400), default=3600, show_default=True, help="Seconds.")
@talks_to("auth", "service_key")
def command(
    user: str, groups: tuple[str, ...], grants: tuple[str, ...], ttl: int, target: Target, output: Output
) -> None:
    """Print an access token for a user.

    \b
    whimbrel token --user alice
    whimbrel token --user alice --group vip --ttl 60
    curl -H "Authorization: Bearer $(whimbrel token --user alice)" http://127.0.0.1:8080/v1/transports
    """
    tokens = mint(target, token_request(user, groups, grants, ttl))
    output.say(tokens.access_token, tokens.model_dump())


def token_request(
    user: str, groups: tuple[str, ...] = (), grants: tuple[str, ...] = (), ttl: int = 3600
) -> TokenRequest:
    """Return the request for a token. Raises BadSetting."""
    try:
        allowed = tuple(Grant(channel=channel, allow=("subscribe", "history")) for channel in grants)
        return TokenRequest(user=user, groups=groups, channels=allowed, claims={}, ttl=ttl)
    except ValidationError as error:
        where, *_ = error.errors()[0]["loc"]
        raise BadSetting(f"no token can be made of this: {_WANTED.get(str(where), where)}") from None


def stated(user: str | None, token: str | None) -> tuple[str | None, str | None]:
    """Return what the options `--user` and `--token` say: a user who is named wins over a token of the environment.

    Raises BadSetting where that is none of both, or both.
    """
    if user is not None and click.get_current_context().get_parameter_source("token") is ParameterSource.ENVIRONMENT:
        token = None
    if (user is None) == (token is None):
        raise BadSetting("say whose: --user alice, or --token")
    return user, token


_WANTED: Final = {
    "channel": "--grant is a channel (`orders:42`) or a prefix in a namespace (`orders:4*`), and nothing wider",
    "user": "--user has 1 to 512 characters",
    "groups": "--group has 1 to 128 characters",
}
