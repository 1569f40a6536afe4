"""TLS on the edge itself: a certificate that is renewed while connections live.

Whoever renews it (cert-manager, certbot, an operator) replaces the two files; the edge looks at them every 10 s, and
handshakes from then on get the new one. Open connections keep the session they negotiated. Files that do not make a
pair leave what is served as it is: they are looked at again until they do.
"""

import asyncio
import ssl
from collections import Counter
from pathlib import Path
from typing import Final

from whimbrel.runtime.errors import StartRefused
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.metrics import Metrics

LOOK_S: Final = 10.0  # certificates are renewed weeks before they expire; two stat calls cost nothing
_TROUBLE: Final = (
    OSError,
    ValueError,
)  # a file away or unreadable (SSLError is an OSError), a certificate that is none


class Certificate:
    """The certificate of the edge. ``context`` is for the listening socket: it hands each handshake to the newest pair.

    Raises StartRefused where the files are no certificate with its key.
    """

    def __init__(self, chain: Path, key: Path, log: Logger) -> None:
        self._chain = chain
        self._key = key
        self._log = log
        self._seen = self._state()
        self.loads: Counter[str] = Counter(loaded=0, failed=0)
        try:
            self.context, self.expires = self._load()
        except _TROUBLE as error:
            why = f"the certificate in {chain} with the key in {key} cannot be used: {_reason(error)}"
            raise StartRefused(why) from error
        self._newest = self.context
        self.context.sni_callback = self._choose

    def look(self) -> None:
        """Load the files if they changed since the last look that succeeded."""
        state = self._state()
        if state == self._seen:
            return
        try:
            self._newest, self.expires = self._load()
        except _TROUBLE as error:
            self.loads["failed"] += 1
            self._log.error("tls.not_loaded", certificate=str(self._chain), error=_reason(error))
        else:
            self._seen = state
            self.loads["loaded"] += 1
            self._log.info("tls.loaded", certificate=str(self._chain), expires=int(self.expires))

    async def run(self) -> None:
        """Look every LOOK_S seconds. Ends when cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def expose(self, metrics: Metrics) -> None:
        """Publish when the certificate expires, and how loading new ones went."""
        metrics.gauge(
            "whimbrel_edge_tls_expires_seconds", "When the certificate expires, Unix seconds.", lambda: self.expires
        )
        metrics.labelled(
            "whimbrel_edge_tls_loads_total",
            "Changes of the certificate's files, by what came of them; `failed` leaves the old one in use.",
            "counter",
            ("outcome",),
            lambda: {(outcome,): number for outcome, number in self.loads.items()},
        )

    def _state(self) -> tuple[tuple[int, int, int] | None, ...]:
        return _state(self._chain), _state(self._key)

    def _load(self) -> tuple[ssl.SSLContext, float]:
        from cryptography import x509  # 9 MiB, of which an edge behind a proxy that ends TLS needs nothing

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996: older ones are not to be used
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self._chain, self._key, password="")  # an encrypted key fails; nobody is asked
        leaf = x509.load_pem_x509_certificates(self._chain.read_bytes())[0]
        return context, leaf.not_valid_after_utc.timestamp()

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # Loading into the context in use would leave it without a key where the second file does not fit.
        connection.context = self._newest


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "PEM that OpenSSL cannot read").replace("_", " ").lower()
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
