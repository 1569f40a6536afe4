"""Which installation a command talks to: options, else the environment, else what `whimbrel dev` runs here."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click

from whimbrel.cli.exits import BadSetting, Unreachable
from whimbrel.cli.invocation import invocation
from whimbrel.cli.output import Output

STORE: Final = ".whimbrel"  # what `whimbrel dev` keeps, in the directory where it was started
DEV_FILE: Final = "dev.json"

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Target:
    """Addresses and the service key; None where nobody told."""

    edge: str | None = None
    auth: str | None = None
    router: str | None = None
    nats: str | None = None
    service_key: str | None = None
    store: Path | None = None
    """The store that the command was told to use."""

    def need(self, name: str) -> str:
        """Return what the command cannot do without.

        Raises Failure.
        """
        value: str | None = getattr(self, name)
        if value:
            return value
        option = f"--{name.replace('_', '-')} or WHIMBREL_{name.upper()}"
        if self.store:
            raise Unreachable(
                f"where is Whimbrel? Nothing runs on the store {self.store} (no {self.store / DEV_FILE})",
                f"start it by `{invocation('dev', self.store)}`, or say {option}",
            )
        raise Unreachable(
            f"where is Whimbrel? Nothing runs here (no {STORE}/{DEV_FILE} in this directory or above)",
            f"start it by `{invocation('dev')}`, or say where it is: --store DIR, or {option}",
        )


def talks_to(*names: str) -> Callable[[Command], Command]:
    """Give a command ``target`` and ``output``, with the options that say where ``names`` are, and --json."""

    def decorate(command: Command) -> Command:
        def called(as_json: bool, store: Path | None, **arguments: Any) -> Any:
            told = {name: arguments.pop(name) for name in names}
            return command(target=_target(told, store), output=Output(as_json=as_json), **arguments)

        called.__name__, called.__doc__ = command.__name__, command.__doc__
        called.__dict__.update(command.__dict__)
        decorated: Any = called
        for name in reversed(names):
            decorated = click.option(
                f"--{name.replace('_', '-')}",
                name,
                envvar=f"WHIMBREL_{name.upper()}",
                metavar=_KIND[name],
                help=f"{_WHAT[name]} [env WHIMBREL_{name.upper()}]",
            )(decorated)
        decorated = click.option(
            "--store", type=click.Path(path_type=Path), metavar="DIR", help="Store of the `whimbrel dev` that is meant."
        )(decorated)
        result: Command = click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")(decorated)
        return result

    return decorate


_KIND: Final = {"edge": "URL", "auth": "URL", "router": "URL", "nats": "URL", "service_key": "KEY"}
_WHAT: Final = {
    "edge": "Base URL of an edge.",
    "auth": "Base URL of the auth service.",
    "router": "Base URL of the router.",
    "nats": "NATS server, with the credentials of a domain team.",
    "service_key": "Service key of auth and router.",
}


def _target(told: dict[str, str | None], store: Path | None) -> Target:
    found = read_dev_file(store)
    values = {name: value or found.get(name) for name, value in told.items()}
    for name, value in values.items():
        if value and _KIND[name] == "URL":
            _check_url(name, value)
    return Target(**values, store=store)


def _check_url(name: str, value: str) -> None:
    schemes = ("nats", "tls", "ws", "wss") if name == "nats" else ("http", "https")
    for each in value.split(",") if name == "nats" else (value,):
        try:
            parts = urlsplit(each.strip())
            understood = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:  # of the port
            understood = False
        if not understood:
            shown = without_password(value)
            raise BadSetting(f"--{name} {shown!r} is not an address", f"write {schemes[0]}://HOST:PORT")


def without_password(urls: str) -> str:
    """Return addresses, comma separated, as they may be shown: without user and password."""
    return re.sub(r"//((?!,\w+://).)*@", "//", urls)  # a password may hold commas, too


def read_dev_file(store: Path | None) -> dict[str, Any]:
    """Return what `whimbrel dev` wrote: of ``store``, else of this directory or the nearest one above.

    Empty where nothing runs. Raises Failure where the file cannot be read.
    """
    here = Path.cwd()
    stores = [store] if store else [folder / STORE for folder in (here, *here.parents)]
    for path in (each / DEV_FILE for each in stores):
        try:
            found: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise BadSetting(f"{path} cannot be read: {error}") from error
        if servers := found.get("nats_servers"):
            found["nats"] = ",".join(servers)
        return found
    return {}
