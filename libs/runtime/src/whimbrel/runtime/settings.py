"""Settings of a process, from its environment: WHIMBREL_<SERVICE>_<FIELD>."""

import os
import re
import socket
import sys
from typing import Literal, NoReturn, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

S = TypeVar("S", bound="ServiceSettings")


def _instance() -> str:
    # A pod's host name is its own; on one machine the process id tells siblings apart.
    return re.sub(r"[^A-Za-z0-9_-]", "-", f"{socket.gethostname()}-{os.getpid()}")[:64]


class ServiceSettings(BaseSettings):
    """What every service can be told. A subclass names its ``env_prefix`` and its default port."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, allow_inf_nan=False)

    nats_url: str = Field(
        "nats://127.0.0.1:4222", repr=False, description="NATS servers, comma separated; may hold user:password@."
    )
    ops_host: str = Field("127.0.0.1", description="Address of /live, /ready and /metrics.")
    ops_port: int = Field(0, ge=0, le=65535, description="Port of /live, /ready and /metrics; 0 takes a free one.")
    instance: str = Field(
        default_factory=_instance,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Name of this process among its kind; the pod's name by default.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is written.")
    log_format: Literal["text", "json"] = Field("text", description="text for people, json for machines.")
    drain_s: float = Field(10, ge=0, description="Seconds that a stopping service has to finish its work.")


class ListeningSettings(ServiceSettings):
    """What a service can be told that is asked over HTTP; the subclass names the port."""

    host: str = Field("127.0.0.1", description="Address on which the service listens; 0.0.0.0 in a container.")
    port: int = Field(ge=0, le=65535, description="Port on which the service listens; 0 takes a free one.")


def load(cls: type[S]) -> S:
    """Read ``cls`` from the environment.

    Ends the process with one sentence on stderr and exit code 2 where a setting is missing, wrong or unknown.
    """
    prefix = cls.model_config.get("env_prefix", "")
    known = {f"{prefix}{name}".upper() for name in cls.model_fields}
    unknown = sorted(
        name for name in os.environ if name.upper().startswith(prefix.upper()) and name.upper() not in known
    )
    if prefix and unknown:
        _refuse(f"{', '.join(unknown)}: no such setting; known are {', '.join(sorted(known))}")
    try:
        return cls()
    except ValidationError as error:
        _refuse(
            "; ".join(
                _sentence(cls, prefix, fault["loc"], fault["msg"], fault.get("input")) for fault in error.errors()
            )
        )


def _sentence(cls: type[ServiceSettings], prefix: str, loc: tuple[int | str, ...], message: str, value: object) -> str:
    name = str(loc[0]) if loc else ""
    field = cls.model_fields.get(name)
    message = message.removeprefix("Value error, ")
    # What is not shown in a repr is not shown here either: it may hold a password.
    shown = f", not {value!r}" if field is not None and field.repr and isinstance(value, str | int | float) else ""
    where = f"{prefix}{name}: ".upper() if name else ""  # what concerns several names them itself
    return f"{where}{message[:1].lower()}{message[1:]}{shown}"


def _refuse(sentence: str) -> NoReturn:
    sys.stderr.write(f"{sentence}.\n")
    raise SystemExit(2)
