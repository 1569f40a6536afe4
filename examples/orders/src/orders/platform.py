"""The shop's calls to Whimbrel: with its service key to auth and router, as a user of its own to the edge."""

import time
from typing import Any, Final, Self

import httpx

from orders.events import VIP
from orders.settings import Settings

NOTES: Final = "orders:notes"  # clients may not publish in `orders`: the shop opens this one channel to its users
OWN: Final = "shop"  # as whom the shop itself asks
TOKEN_S: Final = 300  # short, so that the page shows how a token is renewed in place


class Platform:
    """Tokens from auth, memberships at the router, positions from the edge.

    Every method raises httpx.HTTPError where the service does not answer or refuses.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._own = ""  # the shop's own access token
        self._own_until = 0.0
        self._http = httpx.AsyncClient(headers={"authorization": f"Bearer {settings.service_key}"}, timeout=5.0)

    async def token(self, user: str) -> dict[str, Any]:
        """Return a fresh access token for ``user``."""
        body = {"user": user, "ttl": TOKEN_S, "channels": [{"channel": NOTES, "allow": ["subscribe", "publish"]}]}
        answer = await self._http.post(f"{self._settings.auth}/v1/tokens", json=body)
        answer.raise_for_status()
        tokens: dict[str, Any] = answer.json()
        return {"token": tokens["access_token"], "expires_in": tokens["expires_in"]}

    async def position(self, channel: str) -> str | None:
        """Return where ``channel`` stands, as `Whimbrel-Position` has it; None where the edge does not say.

        A reply that was made after this was read lacks nothing that the channel has told up to there.
        """
        try:
            if time.monotonic() > self._own_until:
                own = await self.token(OWN)
                self._own, self._own_until = own["token"], time.monotonic() + own["expires_in"] / 2
            answer = await self._http.get(
                f"{self._settings.edge}/v1/poll",
                params={"channel": channel, "wait": 0},
                headers={"authorization": f"Bearer {self._own}"},
            )
            position = answer.raise_for_status().json()["channels"][channel]
        except (httpx.HTTPError, KeyError):
            return None
        return f"{channel}={position['epoch']}.{position['offset']}"

    async def vips(self) -> list[str]:
        """Return the members of the group."""
        answer = await self._http.get(f"{self._settings.router}/v1/groups/{VIP}/members")
        answer.raise_for_status()
        members: list[str] = answer.json()["members"]
        return members

    async def join_vips(self, user: str) -> None:
        """Make ``user`` a member."""
        (await self._http.put(self._membership(user))).raise_for_status()

    async def leave_vips(self, user: str) -> None:
        """End the membership of ``user``."""
        (await self._http.delete(self._membership(user))).raise_for_status()

    def _membership(self, user: str) -> str:
        return f"{self._settings.router}/v1/groups/{VIP}/members/{user}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()
