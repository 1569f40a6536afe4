"""`python -m deploy.checks [FOLDER]`: print every fault of the deploy folder; exit 1 where there is one."""

import sys
from pathlib import Path

from deploy.checks import bus, compose, configuration, dockerfile, pods, references, schemas, settings
from deploy.checks.rendered import CannotRender, Objects, overlays, render


def main(folder: Path) -> int:
    """Check ``folder``, a copy of deploy/."""
    faults = [*bus.faults(folder), *dockerfile.faults(folder / "Dockerfile"), *compose.faults(folder)]
    rendered = 0
    for overlay in overlays(folder):
        try:
            objects = render(overlay)
        except CannotRender as error:
            faults.append(str(error))
            continue
        rendered += len(objects)
        faults += [f"{overlay.relative_to(folder)}: {fault}" for fault in of_objects(objects, folder)]
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"deploy: {rendered} objects, {len(faults)} faults")
    return 1 if faults else 0


def of_objects(objects: Objects, folder: Path) -> list[str]:
    """Return the faults of rendered ``objects``."""
    return [
        *schemas.faults(objects),
        *pods.faults(objects),
        *references.faults(objects),
        *configuration.faults(objects),
        *settings.faults(objects, folder),
    ]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]))
