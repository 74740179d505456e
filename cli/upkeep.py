"""Commands that look after a controller: its settings, first start, administrators."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import config
import store
from cli import output
from cli.transport import MANAGEMENT, OWN, Remote, Transport
from domain import chosen, ids, setup
from domain.care import doctor
from migrations import MIGRATIONS


def add_commands(commands: Any, options: Callable[[tuple[str, ...]], argparse.ArgumentParser]) -> None:
    """Give the parser these commands."""
    admin = commands.add_parser("admin", help="administrators: create, reset-password")
    verbs = admin.add_subparsers(dest="verb", required=True, metavar="VERB")
    common = options(("table", "json"))
    create = verbs.add_parser("create", help="make another administrator", parents=[common])
    create.add_argument("name", help="its name, which is its login as well")
    create.add_argument("--password", default="", help="5 to 100 characters (default: random, printed)")
    create.set_defaults(act=create_admin)
    reset = verbs.add_parser("reset-password", help="new password; unlocks, enables and ends sessions")
    config.add_flags(reset, ("data", "config"))
    reset.add_argument("--user", default="", help="login or name (default: the administrator of the first start)")
    reset.add_argument("--password", default="", help="the new password (default: random, printed)")
    reset.set_defaults(offline=reset_password)
    look = commands.add_parser(
        "doctor",
        help="look whether anything needs care (exit code 0: nothing, 1: look at it, 2: broken)",
    )
    config.add_flags(look, config.SERVER_NAMES, shown=False)
    config.add_flags(look, ("url", "token", "trust"))
    look.add_argument("--output", "-o", choices=("table", "json"), default="table", help="default: table")
    look.set_defaults(offline=run_doctor)
    bench = commands.add_parser("bench", help="measure a fresh controller on this machine")
    bench.add_argument("--count", type=int, default=300, help="identities to create and enroll (default: 300)")
    bench.add_argument("--identities", type=int, default=10_000, help="identities for the lists (default: 10000)")
    bench.add_argument("--json", type=Path, default=None, help="write the figures to a file as well")
    bench.set_defaults(offline=run_bench)


def show_settings(settings: config.Settings) -> int:
    """Print each setting, its effective value and its source; of secrets only whether they are set."""
    chosen_here = _chosen_here(settings)
    for s in config.SETTINGS:
        value = chosen_here.get(s.name, settings.values[s.name])
        if s.secret and value:
            value = "(set)"
        elif s.repeatable:
            value = ", ".join(map(str, value))
        source = "chosen in the console" if s.name in chosen_here else settings.sources[s.name]
        print(f"{s.name:28} {'-' if value in ('', None) else value!s:28} {source}")
    return 0


def _chosen_here(settings: config.Settings) -> dict[str, Any]:
    """The values that were chosen while the controller ran, where there is one."""
    if not settings.holds_data:
        return {}
    try:
        store.attach(settings.place)
        return {name: chosen.value(settings, name) for name in chosen.CHANGEABLE if chosen.is_chosen(settings, name)}
    except (store.StoreError, store.DatabaseError) as e:
        print(f"zitilite: what was chosen in the console is not shown: {e}", file=sys.stderr)
        return {}
    finally:
        store.close()


def create_admin(api: Transport, a: argparse.Namespace) -> None:
    """Make an administrator that logs in with a password."""
    password = a.password or ids.password()
    body = {"name": a.name, "type": "Default", "isAdmin": True}
    made = api.call("POST", f"{MANAGEMENT}/identities", body).checked().data
    login = {"method": "updb", "identityId": made["id"], "username": a.name, "password": password}
    answer = api.call("POST", f"{MANAGEMENT}/authenticators", login)
    if answer.status >= 400:
        # Half an administrator, without a login, is of no use to anybody.
        api.call("DELETE", f"{MANAGEMENT}/identities/{made['id']}").checked()
    answer.checked()
    if a.output == "json":
        output.as_json({"id": made["id"], "username": a.name, "password": password})
    else:
        print(f"user {a.name}  password {password}")


def reset_password(settings: config.Settings, a: argparse.Namespace) -> None:
    """Give an administrator a new password, and end the sessions that the old one made."""
    if not settings.holds_data:
        raise setup.SetupError(f"{settings.data} holds no controller: name its folder with --data")
    store.open_database(settings.place, MIGRATIONS)
    try:
        login, password = setup.reset_password(a.user, a.password)
    finally:
        store.close()
    print(f"user {login}  password {password}")


def run_doctor(settings: config.Settings, a: argparse.Namespace) -> int:
    """Do all checks of the data folder, whether the controller runs or not; or ask one that runs elsewhere."""
    if settings.url:
        rows = Remote(settings.url, settings.token, settings.trust).call("GET", f"{OWN}/checks").checked().data
        found = [doctor.Check(**row) for row in rows]
    else:
        found = doctor.run_offline(settings, len(MIGRATIONS))
    if a.output == "json":
        output.as_json([asdict(check) for check in found])
    else:
        print("\n".join(doctor.lines(found)))
    return doctor.exit_code(found)


def run_bench(settings: config.Settings, a: argparse.Namespace) -> int:
    """Measure, each figure beside what the machine can do in the same run."""
    from bench import run  # noqa: PLC0415 - nothing else needs what it imports

    return run.main(a.count, a.identities, a.json)
