"""What the auth service can be told, by WHIMBREL_AUTH_<FIELD>."""

from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from whimbrel.runtime.settings import ListeningSettings

DEFAULT_ISSUER: Final = "whimbrel"


class AuthSettings(ListeningSettings):
    """Settings of the auth service."""

    model_config = SettingsConfigDict(env_prefix="WHIMBREL_AUTH_")

    port: int = Field(8081, ge=0, le=65535, description="Port on which the service listens; 0 takes a free one.")
    ops_port: int = Field(9081, ge=0, le=65535, description="Port of /live, /ready and /metrics; 0 takes a free one.")
    service_key: SecretStr = Field(description="Bearer key of the backends that may have tokens minted.")
    keys_file: Path = Field(
        description="JWK Set with the keys that sign and verify; `python -m whimbrel.auth keys` makes one."
    )
    issuer: str = Field(
        DEFAULT_ISSUER, min_length=1, max_length=512, description="The `iss` of the tokens minted here."
    )
    allowed_origins: str = Field(
        "",
        description="Web origins whose pages may refresh tokens and ask for tickets, comma separated; empty: none.",
    )
    refresh_days: float = Field(30, gt=0, le=365, description="Days after which an unused refresh token is forgotten.")
