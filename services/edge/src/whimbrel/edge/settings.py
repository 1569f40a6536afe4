"""Settings of the edge: WHIMBREL_EDGE_<FIELD>."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from whimbrel.edge.core.brownout import Bounds
from whimbrel.edge.core.liveness import Terms
from whimbrel.protocol import limits
from whimbrel.runtime.settings import ListeningSettings

# What browsers send (RFC 6454 §6.2): another spelling would match no request, a pattern would be taken for a name.
_ORIGIN: Final = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_DEFAULT_PORT: Final = {"http": ":80", "https": ":443"}


class Settings(ListeningSettings):
    """Every limit of the edge, with its unit."""

    model_config = SettingsConfigDict(env_prefix="WHIMBREL_EDGE_", frozen=True, env_ignore_empty=True)

    port: int = Field(8080, ge=0, le=65535, description="Port on which clients connect; 0 takes a free one.")
    ops_port: int = Field(9080, ge=0, le=65535, description="Port of /live, /ready and /metrics; 0 takes a free one.")
    allowed_origins: Annotated[frozenset[str], NoDecode] = Field(
        frozenset({"http://127.0.0.1:8000", "http://localhost:8000"}),
        description="Origins whose pages may connect, comma separated, each as browsers send it.",
    )
    tls_certificate: Path | None = Field(
        None, description="PEM file with the certificate and its chain; with it the edge speaks TLS itself (wss://)."
    )
    tls_key: Path | None = Field(None, description="PEM file with the private key of `tls_certificate`.")
    compression: Literal["none", "deflate"] = Field(
        "none",
        description="deflate: agree to permessage-deflate with clients that offer it, for less traffic and more CPU.",
    )
    ping_s: float = Field(
        limits.PING_S,
        gt=0,
        description="Seconds of silence before the edge pings a client; up to 4 % more, for pings go out together.",
    )
    pong_s: float = Field(limits.PONG_S, gt=0, description="Seconds within which a client answers a ping.")
    connect_timeout_s: float = Field(
        limits.CONNECT_TIMEOUT_S, gt=0, description="Seconds within which a new connection must authenticate."
    )
    request_timeout_s: float = Field(
        9, gt=0, description="Seconds within which a new connection must have sent its HTTP request."
    )
    max_age_s: float = Field(
        3600, gt=0, description="Seconds after which a connection is closed with 4007; drawn from the last quarter."
    )
    max_connections: int = Field(
        50_000,
        gt=0,
        description="Sockets and polls of this pod; who was answered by a publication keeps its place until it polls "
        "again. More are answered 503 and go to another pod.",
    )
    max_sockets: int = Field(
        60_000, gt=0, description="TCP connections of this pod, silent ones included; more are reset at once."
    )
    connections_per_user: int = Field(
        100, gt=0, description="Sockets and waiting polls of one user on this pod; more are refused with 4507 or 429."
    )
    connects_per_s: float = Field(
        500, gt=0, description="Connects per second of this pod; 2 s' worth may come at once, the rest is answered 503."
    )
    address_connects_per_s: float = Field(
        100, gt=0, description="Connects per second from one address; 10 s' worth may come at once, then 429."
    )
    trusted_proxies: int = Field(
        0, ge=0, description="Proxies in front of the edge, each of which adds to the header whom a request came from."
    )
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = Field(
        "x-forwarded-for", description="Header that the trusted proxies write; clients can write any other."
    )
    publish_per_s: float = Field(
        100, gt=0, description="Publishes per second of one user on this pod; 2 s' worth may come at once."
    )
    requests_per_s: float = Field(
        400, gt=0, description="Requests and polls per second of one user on this pod; 5 s' worth may come at once."
    )
    frames_per_s: float = Field(
        200, gt=0, description="WebSocket frames per second of one connection; 5 s' worth may come at once."
    )
    bytes_per_s: float = Field(
        256 * 1024, gt=0, description="Bytes per second of one connection; 5 s' worth may come at once."
    )
    send_buffer_bytes: int = Field(
        128 * 1024,
        ge=8 * 1024,
        description="Bytes of one socket that the kernel holds unsent, in twice as much memory; left to itself it "
        "takes up to 4 MiB of a client who reads nothing.",
    )
    outbox_bytes: int = Field(
        256 * 1024,
        ge=64 * 1024,
        description="Unsent bytes of one socket above which it is no longer written live but catches up from history.",
    )
    stuck_s: float = Field(30, gt=0, description="Seconds after which a socket that takes nothing is closed with 4002.")
    drain_s: float = Field(
        20,
        ge=0,
        description="Seconds within which a stopping edge has sent its clients elsewhere, one by one; then it exits.",
    )
    poll_interval_s: float = Field(
        5, gt=0, description="Seconds between two polls that polling clients are told to keep."
    )
    brownout_lag_s: float = Field(
        0.25, gt=0, description="Seconds by which the event loop was late in the last 2 s of a pod under strain."
    )
    brownout_memory_bytes: int = Field(
        384 * 1024 * 1024, gt=0, description="Bytes of the process in RAM at which the pod is under strain."
    )
    brownout_after_s: float = Field(5, ge=0, description="Seconds of such strain after which a brownout begins.")
    brownout_calm_s: float = Field(30, ge=0, description="Seconds well below both bounds after which it ends.")
    brownout_spread_s: float = Field(
        30, gt=0, description="Seconds over which a brownout asks all open connections to poll instead."
    )
    brownout_poll_s: float = Field(15, gt=0, description="Seconds between two polls that are asked for in a brownout.")

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return frozenset(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: frozenset[str]) -> frozenset[str]:
        for origin in value:
            if not _ORIGIN.fullmatch(origin) or origin.endswith(_DEFAULT_PORT[origin.partition(":")[0]]):
                why = "lower case, scheme://host, and :port where it is not the scheme's own"
                raise ValueError(f"{origin!r} is not an origin as browsers send it: {why}")
        return value

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("set both WHIMBREL_EDGE_TLS_CERTIFICATE and WHIMBREL_EDGE_TLS_KEY, or neither")
        return self

    @property
    def bounds(self) -> Bounds:
        """What the pod may bear before it sheds load."""
        return Bounds(
            lag_s=self.brownout_lag_s,
            memory_bytes=self.brownout_memory_bytes,
            after_s=self.brownout_after_s,
            calm_s=self.brownout_calm_s,
        )

    @property
    def terms(self) -> Terms:
        """What every session is granted."""
        return Terms(
            ping=self.ping_s,
            pong=self.pong_s,
            connect_timeout=self.connect_timeout_s,
            max_age=self.max_age_s,
            publish_per_s=self.publish_per_s,
            frames_per_s=self.frames_per_s,
            bytes_per_s=self.bytes_per_s,
        )
