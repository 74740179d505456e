"""The command line: what can be asked for, and how it ends.

Exit codes: 0 done, 1 refused or failed, 2 wrong arguments or settings, 3 not found, 4 not allowed,
5 the controller cannot be reached.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import shtab

import config
import pki
import store
from cli import (
    api_tokens,
    backup,
    database,
    device,
    dry_run,
    entities,
    importer,
    key_files,
    logs,
    nouns,
    trust,
    upkeep,
)
from cli.transport import CommandError, Local, Remote, Transport
from domain import setup
from domain.care import trouble
from domain.care.archive import BackupError
from domain.context import VERSION
from wire.errors import reason_of

# What every command understands that works on a data folder or on a controller elsewhere.
CLIENT_SETTINGS = ("data", "database", "config", "url", "token", "trust")


@dataclass(frozen=True)
class Wiring:
    """What only app.py can do: serve until told to stop, set up, open the application on a data folder."""

    set_up_logging: Callable[[config.Settings], None]
    serve: Callable[[config.Settings], int]
    init: Callable[[config.Settings], int]
    local: Callable[[config.Settings], AbstractContextManager[Callable[..., Any]]]


def parser() -> argparse.ArgumentParser:
    """The whole command line; its settings are from the table in config.py."""
    top = argparse.ArgumentParser(
        prog="zitilite",
        # A beginning of a word may be an option of the command that follows.
        allow_abbrev=False,
        usage="zitilite [SETTINGS] COMMAND …",
        description="An OpenZiti-compatible controller in one process, and the commands to look after it. "
        "Without a command it starts; `zitilite run --help` shows its settings.",
        epilog="Commands work on the data folder (--data) without a login, or with --url and --token on a "
        "controller elsewhere. Exit codes: 0 done, 1 refused or failed, 2 wrong arguments or settings, "
        "3 not found, 4 not allowed, 5 not reachable.",
    )
    top.add_argument("--version", action="version", version=f"zitilite {VERSION}")
    config.add_flags(top, shown=False)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", prog="zitilite")
    config.add_flags(commands.add_parser("run", help="start the controller (the default)"), config.SERVER_NAMES)
    config.add_flags(
        commands.add_parser("settings", help="print the effective settings and where each came from"),
        config.SERVER_NAMES,
    )
    config.add_flags(
        commands.add_parser("init", help="first start without serving: folder, keys, database, administrator"),
        config.SERVER_NAMES,
    )
    for noun in (*entities.ROWS, *logs.ROWS, *trust.ROWS, *api_tokens.ROWS):
        nouns.add_noun(commands, noun, _options)
    dry_run.add_commands(commands, _options)
    upkeep.add_commands(commands, _options)
    importer.add_commands(commands, _options)
    backup.add_commands(commands, _options)
    device.add_commands(commands)
    database.add_commands(commands)
    key_files.add_commands(commands)
    completion = commands.add_parser("completion", help="print the completion script of a shell")
    completion.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)
    return top


def _options(formats: tuple[str, ...]) -> argparse.ArgumentParser:
    """What the commands that use the API have in common; those with one form of output have no choice of it."""
    options = argparse.ArgumentParser(add_help=False)
    if len(formats) > 1:
        options.add_argument("--output", "-o", choices=formats, default=formats[0], help=f"default: {formats[0]}")
    else:
        options.set_defaults(output=formats[0])
    config.add_flags(options.add_argument_group("which controller"), CLIENT_SETTINGS)
    return options


def _again(arguments: argparse.Namespace) -> str:
    """How the same controller is named on the next command line. A token is not repeated."""
    given = [word for name in ("data", "url", "trust") for word in _flag(name, vars(arguments).get(name))]
    return shlex.join(["zitilite", *given])


def _flag(name: str, value: Any) -> list[str]:
    return [f"--{name}", str(value)] if value else []


@contextmanager
def connect(settings: config.Settings, wiring: Wiring) -> Iterator[Transport]:
    """The controller that the settings name: elsewhere by `url`, else the one of the data folder."""
    if settings.url:
        yield Remote(settings.url, settings.token, settings.trust)
        return
    # A refusal is told by the command, not by the controller's log as well.
    logging.getLogger("zitilite.api").setLevel(logging.CRITICAL)
    with wiring.local(settings) as app:
        yield Local(app)


def perform(arguments: argparse.Namespace, settings: config.Settings, wiring: Wiring) -> int:
    """Do what was asked for. Gives the exit code."""
    if arguments.command in (None, "run"):
        wiring.set_up_logging(settings)
        return wiring.serve(settings)
    if arguments.command == "init":
        wiring.set_up_logging(settings)
        return wiring.init(settings)
    if arguments.command == "settings":
        return upkeep.show_settings(settings)
    if arguments.command == "completion":
        print(shtab.complete(parser(), arguments.shell))
        return 0
    arguments.again = _again(arguments)
    if hasattr(arguments, "offline"):
        return int(arguments.offline(settings, arguments) or 0)
    with connect(settings, wiring) as api:
        return int(arguments.act(api, arguments) or 0)


def main(argv: Sequence[str] | None, wiring: Wiring) -> int:
    """Run a command. Gives the exit code."""
    arguments = parser().parse_args(argv)
    try:
        return perform(arguments, config.load(vars(arguments)), wiring)
    except BrokenPipeError:
        # Whoever read our output has seen enough (`| head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except config.SettingError as e:
        return _complain(e, 2)
    except CommandError as e:
        return _complain(e, e.exit_code)
    except (store.StoreError, store.DatabaseError, pki.PkiError, setup.SetupError, BackupError, OSError) as e:
        known = trouble.explain(e) if isinstance(e, store.DatabaseError) else None
        return _complain(reason_of(known) if known else e, 1)
    except (KeyboardInterrupt, EOFError):
        return _complain("stopped", 130)


def _complain(problem: object, code: int) -> int:
    print(f"zitilite: {problem}", file=sys.stderr)
    return code
