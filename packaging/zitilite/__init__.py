"""The installed form: `zitilite`, and the modules of the project inside this package (docs/adr/0010)."""

import sys
from pathlib import Path


def main() -> int:
    """Run the command line; gives the exit code."""
    # The modules know each other by their short names. Only this process finds them by those.
    sys.path.insert(0, str(Path(__file__).parent / "_app"))
    from app import main as run  # noqa: PLC0415 - found only now

    return run()
