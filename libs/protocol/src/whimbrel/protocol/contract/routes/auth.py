"""Where tokens come from."""

from typing import Final

from whimbrel.protocol import bodies
from whimbrel.protocol.contract.routes.route import Answer, Caller, Route
from whimbrel.protocol.versions import PATH_PREFIX

AUTH: Final = (
    Route(
        "post",
        f"{PATH_PREFIX}/tokens",
        "mintTokens",
        "Make tokens for a user whom the application has signed in.",
        Caller.SERVICE,
        {200: Answer("An access token and a refresh token.", bodies.TokenReply)},
        body=bodies.TokenRequest,
        failures=(400, 401, 413, 503),
    ),
    Route(
        "post",
        f"{PATH_PREFIX}/tokens/refresh",
        "refreshTokens",
        "Exchange a refresh token for new tokens. It is good once; the reuse of an old one revokes the family.",
        Caller.ANYONE,
        {200: Answer("New tokens; the old refresh token is spent.", bodies.TokenReply)},
        body=bodies.RefreshRequest,
        failures=(400, 401, 503),
    ),
    Route(
        "post",
        f"{PATH_PREFIX}/tokens/revoke",
        "revokeTokens",
        "Revoke tokens; open connections that use them close within a second.",
        Caller.SERVICE,
        {204: Answer("Revoked.")},
        body=bodies.RevokeRequest,
        failures=(400, 401, 503),
        served=False,
    ),
    Route(
        "post",
        f"{PATH_PREFIX}/tickets",
        "makeTicket",
        "Make a ticket for where no header can be sent.",
        Caller.USER,
        {200: Answer("A ticket.", bodies.TicketReply)},
        failures=(401, 403, 503),
    ),
    Route(
        "get",
        "/.well-known/jwks.json",
        "readKeySet",
        "Tell the public keys of Whimbrel's own issuer.",
        Caller.ANYONE,
        {200: Answer("The keys.", bodies.KeySetReply)},
        served=False,
    ),
)
