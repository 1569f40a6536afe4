"""``python -m orders``: serve the page, and let the shop trade until the process is stopped."""

import sys

import uvicorn

from orders.app import application
from orders.settings import Settings, SettingsMissing


def main() -> None:
    """Serve until SIGINT or SIGTERM; a missing setting ends the process with one sentence."""
    try:
        settings = Settings.from_environment()
    except SettingsMissing as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    uvicorn.run(application(settings), host=settings.host, port=settings.port, log_level="warning")


if __name__ == "__main__":
    main()
