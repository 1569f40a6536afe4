"""The shop's calls to Whimbrel's services, with its service key."""

from typing import Any, Final, Self

import httpx

from orders.events import VIP
from orders.settings import Settings

TOKEN_S: Final = 300  # short, so that the page shows how a token is renewed in place


class Platform:
    """Tokens from auth, memberships at the router.

    Every method raises httpx.HTTPError where the service does not answer or refuses.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = httpx.AsyncClient(headers={"authorization": f"Bearer {settings.service_key}"}, timeout=5.0)

    async def token(self, user: str) -> dict[str, Any]:
        """Return a fresh access token for ``user``."""
        body = {"user": user, "ttl": TOKEN_S}
        answer = await self._http.post(f"{self._settings.auth}/v1/tokens", json=body)
        answer.raise_for_status()
        tokens: dict[str, Any] = answer.json()
        return {"token": tokens["access_token"], "expires_in": tokens["expires_in"]}

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
