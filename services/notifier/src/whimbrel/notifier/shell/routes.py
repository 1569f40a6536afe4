"""The routes file."""

from pathlib import Path

from whimbrel.notifier.core import routes
from whimbrel.notifier.core.errors import MalformedRoutes
from whimbrel.notifier.core.routes import Routes
from whimbrel.runtime.errors import StartRefused


def read_routes(path: Path) -> Routes:
    """Return the routes of the file at ``path``.

    Raises StartRefused.
    """
    try:
        return routes.load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise StartRefused(f"cannot read the routes {path} (WHIMBREL_NOTIFIER_ROUTES_FILE): {why}") from error
    except MalformedRoutes as fault:
        raise StartRefused(f"the routes {path} cannot be used: {fault}") from fault
