"""What the notifier can be told, by WHIMBREL_NOTIFIER_<FIELD>."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from whimbrel.runtime.settings import ServiceSettings


class NotifierSettings(ServiceSettings):
    """Settings of the notifier."""

    model_config = SettingsConfigDict(env_prefix="WHIMBREL_NOTIFIER_")

    ops_port: int = Field(9083, ge=0, le=65535, description="Port of /live, /ready and /metrics; 0 takes a free one.")
    routes_file: Path = Field(description="YAML file that says which events go where (docs/reference/routes.md).")
