"""`python -m whimbrel.edge` serves until it is told to stop."""

from whimbrel.edge.app import run
from whimbrel.edge.settings import Settings
from whimbrel.runtime import service, settings

if __name__ == "__main__":
    service.main("edge", settings.load(Settings), run)
