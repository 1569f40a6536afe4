"""`/v1/tokens`, `/v1/tokens/refresh` and `/v1/tickets`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Final

from fastapi import Depends, FastAPI, Header
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from whimbrel.auth.core.tokens import NotMinted, TooLarge
from whimbrel.auth.core.verdicts import Verdicts
from whimbrel.auth.shell.issuer import Issuer, SignedOut
from whimbrel.auth.shell.tickets import Tickets
from whimbrel.protocol.bodies import RefreshRequest, TicketReply, TokenReply, TokenRequest
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.rpc import Claims
from whimbrel.protocol.versions import PATH_PREFIX
from whimbrel.runtime.http import answer_problems, problem_response
from whimbrel.runtime.logs import Logger

Guard = Callable[..., Awaitable[None]]  # a FastAPI dependency that raises Refused

TOKENS: Final = f"{PATH_PREFIX}/tokens"
REFRESH: Final = f"{PATH_PREFIX}/tokens/refresh"
TICKETS: Final = f"{PATH_PREFIX}/tickets"
OPEN_TO_PAGES: Final = (REFRESH, TICKETS)
PREFLIGHT_S: Final = 3600  # how long a browser remembers that it may ask


class NotAdmitted(Exception):
    """The bearer of an access token may not have what it asks for."""

    def __init__(self, code: ErrorCode | CloseCode, detail: str, *, status: int) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status


_NOT_ADMITTED: Final[Mapping[str, tuple[ErrorCode | CloseCode, int]]] = {
    "token_expired": (ErrorCode.TOKEN_EXPIRED, 401),
    "revoked": (CloseCode.REVOKED, 401),
    "forbidden": (ErrorCode.PERMISSION_DENIED, 403),
}


class Bearer:
    """A FastAPI dependency: the claims of the access token that a request bears. Raises NotAdmitted."""

    def __init__(self, verdicts: Verdicts, *, clock: Callable[[], float]) -> None:
        self._verdicts = verdicts
        self._clock = clock

    async def __call__(self, authorization: Annotated[str, Header()] = "") -> Claims:
        """Judge the token."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            why = "send the access token in `Authorization: Bearer`"
            raise NotAdmitted(ErrorCode.UNAUTHORIZED, why, status=401)
        verdict = self._verdicts.judge(token.strip(), now=self._clock())
        if verdict.claims is None:
            code, status = _NOT_ADMITTED.get(verdict.code, (ErrorCode.UNAUTHORIZED, 401))
            raise NotAdmitted(code, verdict.reason, status=status)
        return verdict.claims


def application(
    issuer: Issuer, tickets: Tickets, log: Logger, *, guard: Guard, bearer: Bearer, origins: Sequence[str]
) -> ASGIApp:
    """Return the HTTP application.

    ``guard`` lets backends mint, ``bearer`` says who a user is; pages of ``origins`` may refresh and ask for tickets.
    """
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

    @app.post(TICKETS)
    async def make_ticket(claims: Annotated[Claims, Depends(bearer)], response: Response) -> TicketReply:
        response.headers["Cache-Control"] = "no-store"
        return await tickets.make(claims)

    return _OpenToPages(app, origins)


def answer_tokens(app: FastAPI) -> None:
    """Make what cannot be minted, and who has to sign in again, a problem."""

    async def not_minted(_: Request, error: Exception) -> Response:
        code = ErrorCode.TOO_LARGE if isinstance(error, TooLarge) else ErrorCode.BAD_REQUEST
        return problem_response(code, str(error))

    async def signed_out(_: Request, error: Exception) -> Response:
        assert isinstance(error, SignedOut)
        return problem_response(error.code, error.detail, status=401)

    async def not_admitted(_: Request, error: Exception) -> Response:
        assert isinstance(error, NotAdmitted)
        return problem_response(error.code, error.detail, status=error.status)

    app.add_exception_handler(NotMinted, not_minted)
    app.add_exception_handler(NotAdmitted, not_admitted)
    app.add_exception_handler(SignedOut, signed_out)


class _OpenToPages:
    """CORS for what a user asks for alone: the service key of /v1/tokens has no place in a page."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._open = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["POST"],
            allow_headers=["authorization", "content-type"],
            expose_headers=["retry-after"],
            max_age=PREFLIGHT_S,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._open if scope.get("path") in OPEN_TO_PAGES else self._app
        await app(scope, receive, send)
