"""`/v1/tokens` and `/v1/tokens/refresh`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from whimbrel.auth.core.tokens import NotMinted, TooLarge
from whimbrel.auth.shell.issuer import Issuer, SignedOut
from whimbrel.protocol.bodies import RefreshRequest, TokenReply, TokenRequest
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.versions import PATH_PREFIX
from whimbrel.runtime.http import answer_problems, problem_response
from whimbrel.runtime.logs import Logger

Guard = Callable[..., Awaitable[None]]  # a FastAPI dependency that raises Refused

TOKENS: Final = f"{PATH_PREFIX}/tokens"
REFRESH: Final = f"{PATH_PREFIX}/tokens/refresh"
PREFLIGHT_S: Final = 3600  # how long a browser remembers that it may ask


def application(issuer: Issuer, log: Logger, *, guard: Guard, origins: Sequence[str]) -> ASGIApp:
    """Return the HTTP application; ``guard`` lets backends mint, ``origins`` are whose pages may refresh themselves."""
    app = FastAPI(title="Whimbrel auth", openapi_url=None)
    answer_problems(app, log)
    answer_tokens(app)

    @app.post(TOKENS, dependencies=[Depends(guard)])
    async def tokens(body: TokenRequest, response: Response) -> TokenReply:
        response.headers["Cache-Control"] = "no-store"  # RFC 6749 §5.1
        return await issuer.sign_in(body)

    @app.post(REFRESH)
    async def refresh(body: RefreshRequest, response: Response) -> TokenReply:
        response.headers["Cache-Control"] = "no-store"
        return await issuer.refresh(body.refresh_token)

    return _RefreshFromPages(app, origins)


def answer_tokens(app: FastAPI) -> None:
    """Make what cannot be minted, and who has to sign in again, a problem."""

    async def not_minted(_: Request, error: Exception) -> Response:
        code = ErrorCode.TOO_LARGE if isinstance(error, TooLarge) else ErrorCode.BAD_REQUEST
        return problem_response(code, str(error))

    async def signed_out(_: Request, error: Exception) -> Response:
        assert isinstance(error, SignedOut)
        return problem_response(error.code, error.detail, status=401)

    app.add_exception_handler(NotMinted, not_minted)
    app.add_exception_handler(SignedOut, signed_out)


class _RefreshFromPages:
    """CORS for the refresh alone: the service key of /v1/tokens has no place in a page."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._open = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["POST"],
            allow_headers=["content-type"],
            expose_headers=["retry-after"],
            max_age=PREFLIGHT_S,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._open if scope.get("path") == REFRESH else self._app
        await app(scope, receive, send)
