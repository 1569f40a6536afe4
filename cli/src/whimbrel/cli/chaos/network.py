"""How a network between a client and an edge can be."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_MS = 3_600_000


class Network(BaseModel):
    """Conditions that hold until others are set; the defaults are a good network.

    Open connections follow a change too, but for ``upgrade`` and ``buffering``: these concern requests.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    refusing: bool = Field(False, description="New connections are reset.")
    silent: bool = Field(False, description="Nothing passes and nobody is told: both ends hold a half-open connection.")
    delay_ms: int = Field(0, ge=0, le=MAX_MS, description="Everything arrives so much later, both ways.")
    lifetime_ms: int = Field(0, ge=0, le=MAX_MS, description="A connection is cut at this age; 0: never.")
    idle_ms: int = Field(
        0, ge=0, le=MAX_MS, description="A connection is cut when nothing passed for so long; 0: never."
    )
    upgrade: Literal["pass", "refuse", "strip", "hang", "mute"] = Field(
        "pass",
        description="What becomes of a WebSocket: refuse answers 403; strip makes a plain request of it, as proxies do "
        "that do not know it; hang never answers; mute answers 101, and then nothing passes.",
    )
    buffering: bool = Field(False, description="An HTTP response is held back until it is complete.")
    share: float = Field(1.0, ge=0, le=1, description="Of the new connections, how many meet all this; 1: all.")
