"""What an HTTP answer other than 200 says."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pydantic import ValidationError

from whimbrel.client.core.link import Loss, loss_of_problem
from whimbrel.protocol.bodies import Problem


def loss_of_response(status: int, headers: Mapping[str, str], body: bytes) -> Loss:
    """Read the problem body of an edge, or what a proxy wrote in its place."""
    after_s = retry_after_s(headers.get("retry-after"))
    try:
        problem = Problem.model_validate_json(body)
    except ValidationError:
        # It is none of the edge's: what is called so is a proxy in between, or another server.
        return loss_of_problem(status, None, f"HTTP {status} without a problem document: not an edge's answer", after_s)
    if problem.retry_after_ms is not None:
        after_s = problem.retry_after_ms / 1000
    return loss_of_problem(status, problem.code, problem.detail or problem.slug, after_s)


def retry_after_s(value: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for (RFC 9110 §10.2.3); None where it says nothing."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
