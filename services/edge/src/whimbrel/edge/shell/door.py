"""What a poll knows of the connection that it came on."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Protocol

from whimbrel.edge.shell.httpwire import Refusal, answer, cors_headers

POST_HEADERS: Final[Mapping[str, str]] = {"content-type": "application/json", "cache-control": "no-store"}


class Door(Protocol):
    """The connection that a poll came on: it gets one answer, by one of these."""

    def admit(self) -> None:
        """Count the request as a connect: its token is new to this pod. Raises Refusal (429, 503)."""

    def reply(self, status: HTTPStatus, body: bytes, headers: Mapping[str, str]) -> None:
        """Answer the request."""

    def repeat(self, composed: "Composed") -> None:
        """Answer the request as many others are answered."""

    def refuse(self, refusal: Refusal) -> None:
        """Answer with an error."""

    def wait_until(self, at: float) -> None:
        """Have the poll's ``tick`` called at ``at``."""


class Composed:
    """A POST's answer for all who asked the same."""

    __slots__ = ("_whole", "at", "body")

    def __init__(self, body: bytes, at: float) -> None:
        self.body = body
        self.at = at  # loop seconds
        self._whole: dict[str | None, bytes] = {}  # by origin

    def whole(self, origin: str | None) -> bytes:
        """Return the HTTP answer to a page of ``origin``, or a client without, whose connection is kept."""
        whole = self._whole.get(origin)
        if whole is None:
            headers = {**POST_HEADERS, **cors_headers(origin)}
            whole = self._whole[origin] = answer(HTTPStatus.OK, self.body, headers)
        return whole
