"""What the router can be told, by WHIMBREL_ROUTER_<FIELD>."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from whimbrel.runtime.settings import ListeningSettings


class RouterSettings(ListeningSettings):
    """Settings of the router."""

    model_config = SettingsConfigDict(env_prefix="WHIMBREL_ROUTER_")

    port: int = Field(8082, ge=0, le=65535, description="Port on which the service listens; 0 takes a free one.")
    ops_port: int = Field(9082, ge=0, le=65535, description="Port of /live, /ready and /metrics; 0 takes a free one.")
    service_key: SecretStr = Field(description="Bearer key of the backends and tools that may use the router's HTTP.")
    namespaces_file: Path | None = Field(
        None, description="YAML file with the namespaces; without one, those that are stored stay as they are."
    )
    partitions: int = Field(8, ge=1, le=256, description="History streams; fixed with the first start.")
    replicas: int = Field(1, ge=1, le=5, description="Servers that hold each stream: 3 in production.")
