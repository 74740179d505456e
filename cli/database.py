"""`zitilite database`: move a controller's data from the SQLite file to PostgreSQL, and back."""

from __future__ import annotations

import argparse
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import config
import store
from cli.transport import USAGE, CommandError
from migrations import MIGRATIONS


def add_commands(commands: Any) -> None:
    """Add the command."""
    verbs = commands.add_parser("database", help="copy the data to PostgreSQL, or back").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    copy = verbs.add_parser(
        "copy",
        help="copy all data to the other kind of database; the controller must be stopped",
        description="Copies all data between the SQLite file in the data folder and the PostgreSQL database of the "
        "setting `database`, in one transaction. What is copied to must be empty, and nothing is removed. Stop the "
        "controller first.",
    )
    config.add_flags(copy, ("data", "database", "config"))
    copy.add_argument(
        "--to",
        required=True,
        metavar="postgresql|sqlite",
        help="which of the two gets the data; a postgresql:// URL takes the place of the setting `database`",
    )
    copy.set_defaults(offline=run)


def run(settings: config.Settings, a: argparse.Namespace) -> int:
    """Copy, telling how far it is."""
    url, file = settings.database, settings.data / "zitilite.db"
    if a.to.startswith(("postgresql://", "postgres://")):
        url, a.to = a.to, "postgresql"
    if a.to not in ("postgresql", "sqlite"):
        raise CommandError(f"--to is postgresql or sqlite, not '{a.to}'", USAGE)
    if not url:
        raise CommandError(
            "name the PostgreSQL database: ZITILITE_DATABASE=postgresql://USER:PASSWORD@HOST/NAME", USAGE
        )
    with ExitStack() as stack:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        stack.callback(store.FolderLock(settings.data).release)
        found = _to_server(file, url) if a.to == "postgresql" else _to_file(file, url)
    there = "the PostgreSQL database" if a.to == "postgresql" else str(file)
    print(f"{sum(found.values())} rows in {len(found)} tables are in {there}")
    return 0


def _tell(line: str) -> None:
    print(line, flush=True)


def _to_server(file: Path, url: str) -> dict[str, int]:
    import database_copy  # noqa: PLC0415 - only who has PostgreSQL has its driver

    if not file.exists():
        raise CommandError(f"{file.parent} holds no controller: name its folder with --data")
    try:
        return database_copy.to_server(file, url, MIGRATIONS, _tell)
    except database_copy.CopyError as e:
        raise CommandError(str(e)) from None


def _to_file(file: Path, url: str) -> dict[str, int]:
    import database_copy  # noqa: PLC0415 - only who has PostgreSQL has its driver
    from postgres import Postgres, Unusable  # noqa: PLC0415

    if file.exists():
        raise CommandError(f"{file} is there already: move it away, or name another folder with --data")
    try:
        source = Postgres(url)
        with closing(source):
            source.require_usable()
            others = database_copy.users(source)
        if others:
            raise CommandError(f"controllers have {others} connections to {source.shown}: stop them first")
        return database_copy.to_file(source, file, MIGRATIONS, _tell)
    except (Unusable, database_copy.CopyError, store.DatabaseError) as e:
        raise CommandError(str(e)) from None
