"""`backup` and `restore`: one encrypted file that holds everything."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import config
import files
from cli import output
from cli.transport import OWN, USAGE, CommandError, Transport
from cli.values import new_file, read_text
from domain.care import archive
from migrations import MIGRATIONS


def add_commands(commands: Any, options: Callable[[tuple[str, ...]], argparse.ArgumentParser]) -> None:
    """Give the parser these commands."""
    common = options(("table", "json"))
    backup = commands.add_parser("backup", help="write everything into one encrypted file", parents=[common])
    backup.add_argument("file", type=Path, nargs="?", default=None, help="default: a file in the backup folder")
    _add_passphrase(backup)
    backup.set_defaults(act=run_backup)
    restore = commands.add_parser("restore", help="put a backup back as a data folder, or only look at it")
    config.add_flags(restore, ("data", "config"))
    restore.add_argument("file", type=Path)
    restore.add_argument("--check", action="store_true", help="open it and look at all of it, change nothing")
    restore.add_argument("--force", action="store_true", help="move aside what is in the folder")
    _add_passphrase(restore)
    restore.set_defaults(offline=run_restore)


def _add_passphrase(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        default=None,
        help="file with the passphrase (default: the setting backup_passphrase, or it is asked for)",
    )


def _new_passphrase() -> str:
    """One that was typed twice: with a slip in it nobody could ever open the file."""
    passphrase = getpass.getpass("passphrase for the backup: ")
    if getpass.getpass("once more: ") != passphrase:
        raise CommandError("these were not the same", USAGE)
    return passphrase


def _make(api: Transport, a: argparse.Namespace) -> str:
    """Have a backup made; the passphrase is from the file, the controller's settings, or the terminal."""
    body = {"passphrase": read_text(a.passphrase_file).strip()} if a.passphrase_file else {}
    answer = api.call("POST", f"{OWN}/backups", body)
    if answer.field == "passphrase" and not body and sys.stdin.isatty():
        answer = api.call("POST", f"{OWN}/backups", {"passphrase": _new_passphrase()})
    return str(answer.checked().data["id"])


def run_backup(api: Transport, a: argparse.Namespace) -> None:
    """Make a backup while everything goes on; with a file named it is fetched there."""
    if a.file:
        new_file(a.file)
    key = _make(api, a)
    if a.file:
        path = f"{OWN}/backups/{key}"
        content = api.call("GET", f"{path}/content", accept="application/octet-stream").checked().content
        files.write(a.file, content)
        api.call("DELETE", path).checked()
    if a.output == "json":
        output.as_json({"id": key, "file": str(a.file) if a.file else None})
    else:
        where = a.file or f"{key}.age in the backup folder"
        print(f"written: {where}; `zitilite restore --check FILE` looks at it")


def run_restore(settings: config.Settings, a: argparse.Namespace) -> int:
    """Put a backup back, or look at it. Exit code 1 when it is not usable."""
    passphrase = read_text(a.passphrase_file).strip() if a.passphrase_file else settings.backup_passphrase
    if not passphrase and sys.stdin.isatty():
        passphrase = getpass.getpass("passphrase: ")
    if not passphrase:
        raise CommandError("a passphrase is needed: --passphrase-file, or the setting backup_passphrase", USAGE)
    if a.check:
        report = archive.check(a.file, passphrase, len(MIGRATIONS))
    else:
        report = archive.restore(a.file, passphrase, settings.data, len(MIGRATIONS), force=a.force)
    for line in report.lines():
        print(line)
    if not a.check:
        print(f"restored to {settings.data}; where clients reach it by another name now, start it with --advertise")
    return 1 if report.problems else 0
