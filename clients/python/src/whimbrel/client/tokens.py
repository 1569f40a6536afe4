"""Where tokens come from: a fixed text, or a function of the application that fetches one."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from whimbrel.client.errors import TokenUnavailable

TokenSource = str | Callable[[], str | Awaitable[str | None] | None]


class Tokens:
    """Asks ``source``, which may take at most ``timeout_s``.

    A function that is not a coroutine function runs in a thread, for it may well block on a request of its own.
    """

    def __init__(self, source: TokenSource, *, timeout_s: float) -> None:
        self._source = source
        self._timeout_s = timeout_s

    @property
    def renewable(self) -> bool:
        """Whether asking again can give another token."""
        return not isinstance(self._source, str)

    async def fetch(self) -> str | None:
        """Return a token; None where nobody is signed in any more.

        Raises TokenUnavailable where the source raises, takes too long, or returns something else than a text.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                token = await self._ask()
        except TimeoutError:
            raise TokenUnavailable(f"the token provider gave no answer within {self._timeout_s:g} s") from None
        except Exception as error:  # whatever the application's code raises: the client goes on trying
            raise TokenUnavailable(f"the token provider failed: {error!r}") from error
        if token is not None and not isinstance(token, str):
            raise TokenUnavailable(f"the token provider returned {type(token).__name__}, not a token")
        return token or None

    async def _ask(self) -> object:
        if isinstance(self._source, str):
            return self._source
        if inspect.iscoroutinefunction(self._source):
            return await self._source()
        answer = await asyncio.to_thread(self._source)
        return await answer if inspect.isawaitable(answer) else answer
