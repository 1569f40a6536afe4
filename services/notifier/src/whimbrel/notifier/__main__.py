"""`python -m whimbrel.notifier` runs the notifier."""

from whimbrel.notifier.app import run
from whimbrel.notifier.settings import NotifierSettings
from whimbrel.runtime import service, settings


def main() -> None:
    """Turn events into publications until told to stop."""
    service.main("notifier", settings.load(NotifierSettings), run)


if __name__ == "__main__":
    main()
