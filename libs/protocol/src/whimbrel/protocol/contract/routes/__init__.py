"""The HTTP endpoints, one row each: what OpenAPI is made of."""

from collections.abc import Mapping
from typing import Final

from whimbrel.protocol.contract.routes.auth import AUTH
from whimbrel.protocol.contract.routes.edge import EDGE
from whimbrel.protocol.contract.routes.route import Answer, Caller, Parameter, Route
from whimbrel.protocol.contract.routes.router import ROUTER

ROUTES: Final[Mapping[str, tuple[Route, ...]]] = {"edge": EDGE, "auth": AUTH, "router": ROUTER}

__all__ = ["ROUTES", "Answer", "Caller", "Parameter", "Route"]
