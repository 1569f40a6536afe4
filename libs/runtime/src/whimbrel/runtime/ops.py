"""The operations port of every process: /live, /ready, /metrics."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from whimbrel.runtime.health import Health
from whimbrel.runtime.metrics import CONTENT_TYPE, Metrics


def ops_app(health: Health, metrics: Metrics) -> Starlette:
    """Return the application of the operations port: /live, /ready, /metrics."""

    async def live(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(_: Request) -> Response:
        body = {"ready": health.is_ready, "reasons": list(health.reasons)}
        return JSONResponse(body, 200 if health.is_ready else 503)

    async def scrape(_: Request) -> Response:
        return Response(metrics.exposition(), headers={"content-type": CONTENT_TYPE})

    return Starlette(routes=[Route("/live", live), Route("/ready", ready), Route("/metrics", scrape)])
