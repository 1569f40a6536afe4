"""`python -m whimbrel.auth` serves; `python -m whimbrel.auth keys` prints a fresh key set."""

import argparse

from whimbrel.auth.app import run
from whimbrel.auth.settings import DEFAULT_ISSUER, AuthSettings
from whimbrel.auth.shell.keygen import fresh_key_set
from whimbrel.runtime import service, settings


def main() -> None:
    """Serve until told to stop, or print a key set."""
    parser = argparse.ArgumentParser(prog="python -m whimbrel.auth", description="Mint, refresh and verify tokens.")
    commands = parser.add_subparsers(dest="command")
    keys = commands.add_parser("keys", help="print a fresh key set (JWK Set, secret!) for WHIMBREL_AUTH_KEYS_FILE")
    keys.add_argument("--issuer", default=DEFAULT_ISSUER, help="issuer for which the key signs (%(default)s)")
    arguments = parser.parse_args()
    if arguments.command == "keys":
        print(fresh_key_set(arguments.issuer))
        return
    service.main("auth", settings.load(AuthSettings), run)


if __name__ == "__main__":
    main()
