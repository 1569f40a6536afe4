"""`python -m whimbrel.router` serves."""

from whimbrel.router.app import run
from whimbrel.router.settings import RouterSettings
from whimbrel.runtime import service, settings

if __name__ == "__main__":
    service.main("router", settings.load(RouterSettings), run)
