"""Puts the auth service together."""

import asyncio
import secrets
import time
from pathlib import Path
from typing import Final

from whimbrel.auth.core.keys import Key, KeySet, MalformedKeySet
from whimbrel.auth.core.verdicts import Verdicts
from whimbrel.auth.settings import AuthSettings
from whimbrel.auth.shell.http import Bearer, application
from whimbrel.auth.shell.issuer import Issuer
from whimbrel.auth.shell.metrics import Counts
from whimbrel.auth.shell.responder import Responder
from whimbrel.auth.shell.store import FamilyStore
from whimbrel.auth.shell.tickets import Tickets
from whimbrel.protocol import subjects
from whimbrel.runtime import http, jetstream
from whimbrel.runtime.directget import DirectGet
from whimbrel.runtime.errors import LayoutMismatch, StartRefused
from whimbrel.runtime.kv import Bucket
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection
from whimbrel.runtime.service import Service

DAY_S: Final = 24 * 3600


async def run(service: Service) -> None:
    """Serve until the process is asked to stop."""
    settings = service.settings
    assert isinstance(settings, AuthSettings)
    keys, signer = _keys(settings.keys_file, settings.issuer)
    guard = http.service_key(settings.service_key.get_secret_value())
    socket = http.bind(settings.host, settings.port)

    bus = await service.connect()
    counts = Counts()
    verdicts = Verdicts(keys)
    counts.expose(service.metrics, verdicts)
    reads = DirectGet(bus)
    tickets = Tickets(Bucket(bus, reads, subjects.TICKETS), counts, clock=time.time, entropy=secrets.token_bytes)
    issuer = Issuer(
        FamilyStore(Bucket(bus, reads, subjects.REFRESH)),
        signer,
        counts,
        service.log,
        lifetime=settings.refresh_days * DAY_S,
        clock=time.time,
        entropy=secrets.token_bytes,
    )
    origins = [origin.strip() for origin in settings.allowed_origins.split(",") if origin.strip()]
    bearer = Bearer(verdicts, clock=time.time)
    app = application(issuer, tickets, service.log, guard=guard, bearer=bearer, origins=origins)
    service.detail = lambda: {
        "port": socket.getsockname()[1],
        "verdicts": dict(counts.verdicts),
        "minted": counts.minted,
        "refreshes": dict(counts.refreshes),
        "tickets": dict(counts.tickets),
    }

    await Responder(verdicts, tickets, counts, clock=time.time).attach(bus)
    serving = asyncio.create_task(http.serve(app, socket, stop=service.stopping, grace_s=settings.drain_s))
    try:
        await service.unless_stopping(_layout(bus, service.log))
        service.log.info("auth.serving", port=socket.getsockname()[1], issuer=settings.issuer, kid=signer.kid)
        service.health.ready()
        await asyncio.shield(serving)
    finally:
        serving.cancel()
        await asyncio.wait([serving])


def _keys(path: Path, issuer: str) -> tuple[KeySet, Key]:
    try:
        keys = KeySet.load(path.read_bytes())
        return keys, keys.signer(issuer)
    except OSError as error:
        raise StartRefused(f"cannot read the key set {path} (WHIMBREL_AUTH_KEYS_FILE): {error.strerror}") from error
    except MalformedKeySet as fault:
        raise StartRefused(f"the key set {path} cannot be used: {fault}") from fault


async def _layout(bus: Connection, log: Logger) -> None:
    try:
        await jetstream.await_layout(bus, log)
    except LayoutMismatch as mismatch:
        raise StartRefused(str(mismatch)) from mismatch
