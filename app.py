"""Zitilite: an OpenZiti-compatible controller. Wiring and the command line, nothing else."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask

import config
import pki
import store
import tls
import tokens
from api import console, engine, exports, fabric_table, health, metrics, openapi, own_table, rows
from api.entities import ENTITIES, TABLE
from domain import (
    authenticators,
    cas,
    controller_settings,
    database,
    enrollment,
    identities,
    ids,
    roots,
    setup,
    token_enrollment,
)
from domain.care import audit, events, webhook
from domain.context import VERSION, Controller
from domain.enrolling import client as enrolling
from domain.enrolling import dry_run
from domain.logins import auth, mfa, oidc, session_certificates
from domain.logins.jwks import KeyStore
from domain.network import fabric, posture, posture_checks, routers, services, sessions
from migrations import MIGRATIONS
from wire.resource import Action

log = logging.getLogger("zitilite")
MODULES = (
    roots,
    auth,
    mfa,
    session_certificates,
    oidc,
    identities,
    authenticators,
    enrollment,
    enrolling,
    dry_run,
    token_enrollment,
    cas,
    routers,
    services,
    sessions,
    posture,
    posture_checks,
    controller_settings,
    database,
    fabric,
    events,
    webhook,
)
WATCH_SECONDS = 30


def operations() -> list[Action]:
    """Everything the controller serves: the actions of the modules and of the table, and the documents of both."""
    actions = [a for module in MODULES for a in module.ACTIONS]
    actions += [a for entity in ENTITIES for a in rows.actions(entity, TABLE)]
    actions += [a for entity in fabric_table.ENTITIES for a in rows.actions(entity, fabric_table.TABLE)]
    actions += [a for entity in own_table.ENTITIES for a in rows.actions(entity, own_table.TABLE)]
    actions += exports.actions(own_table.ENTITIES)
    actions.append(rows.current_identity(TABLE))
    return actions + openapi.actions(actions)


def create_app(ctrl: Controller) -> Flask:
    """The WSGI application: every operation, health and the console."""
    ctrl.news = events.Newsroom(ctrl)
    ctrl.news.show = partial(rows.document, own_table.TABLE["attempts"])
    s = ctrl.settings
    allowed = s.audit_webhook_private_addresses == "on"
    ctrl.webhook = webhook.Webhook(s.audit_webhook, s.audit_webhook_secret, private_addresses=allowed)
    ctrl.webhook.show = exports.shown(own_table.TABLE["audit"])
    app = Flask("zitilite", static_folder=None)
    engine.install(app, ctrl, operations())
    health.install(app)
    metrics.install(app, ctrl)
    console.install(app, Path(__file__).parent / "static")
    engine.access_log(app)
    app.wsgi_app = engine.PathNormal(app.wsgi_app, oidc=ctrl.settings.oidc == "on")  # type: ignore[method-assign]
    return app


# --- run


def now() -> datetime:
    """The time of the certificates' clock."""
    return datetime.now(UTC)


def open_authority(settings: config.Settings, folder: Path, names: Sequence[str]) -> pki.Authority:
    """Load or make the CA and the server certificate."""
    options = pki.PkiOptions(
        trust_domain=settings.trust_domain or setup.new_trust_domain(),
        addresses=tuple(names),
        ca_key=settings.ca_key,
        server_key=settings.server_key,
        identity_days=settings.identity_certificate_days,
        router_days=settings.router_certificate_days,
        signing=_own_chain(settings, "signing_cert", "signing_key"),
        server=_own_chain(settings, "server_cert", "server_cert_key"),
    )
    return pki.Authority.open(folder, options, clock=now)


def _own_chain(settings: config.Settings, cert: str, key: str) -> pki.OwnChain | None:
    files = settings.values[cert], settings.values[key]
    if not any(files):
        return None
    if not all(files):
        raise config.SettingError(f"settings '{cert}' and '{key}' go together; only one is given")
    return pki.OwnChain(Path(files[0]), Path(files[1]))


def open_store(folder: Path) -> None:
    """Open the database of a data folder."""
    store.open_database(folder / "zitilite.db", MIGRATIONS)
    audit.protect()


def run(settings: config.Settings) -> int:
    """Serve until SIGTERM or SIGINT."""
    folder: Path = settings.data
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = store.FolderLock(folder)
    try:
        open_store(folder)
        first = setup.is_new()
        password = setup.first_start(settings.admin_user, settings.admin_password) if first else ""
        ctrl, server = _listen(settings, folder)
        stopping = _stop_on_signals(server)
        _announce(settings, ctrl, folder, password)
        _serve(ctrl, server, stopping)
    finally:
        store.close()
        lock.release()
    return 0


def _listen(settings: config.Settings, folder: Path) -> tuple[Controller, tls.TlsServer]:
    asked = settings.listen
    names = [a.host for a in settings.advertised(asked.port)]
    authority = open_authority(settings, folder / "pki", names)
    ctrl = Controller(
        settings=settings,
        authority=authority,
        addresses=settings.advertised(asked.port),
        instance_id=ids.session_id(),
        signer=tokens.Signer(authority.signing_key),
        jwks=KeyStore(private_addresses=settings.jwks_private_addresses == "on"),
        network_id=setup.network_id(),
    )
    server = tls.create_server(
        create_app(ctrl),
        host=asked.host,
        port=asked.port,
        material=authority.tls_material(),
        limits=tls.Limits(body_bytes=settings.body_limit, threads=settings.threads),
        ident=f"zitilite/{VERSION}",
        error_headers=[("ziti-instance-id", ctrl.instance_id)],
    )
    ctrl.addresses = settings.advertised(server.port)
    return ctrl, server


def _announce(settings: config.Settings, ctrl: Controller, folder: Path, password: str) -> None:
    """Print what a person needs to go on; the password only when it was made here, and only once."""
    print(f"zitilite {VERSION}")
    print(f"console   {ctrl.url}/")
    print(f"data      {folder.resolve()}")
    if password and not settings.admin_password:
        print(f"admin     user {settings.admin_user}  password {password}  (shown only now)")
    sys.stdout.flush()


def _stop_on_signals(server: tls.TlsServer) -> threading.Event:
    stopping = threading.Event()

    def stop(number: int, frame: Any) -> None:
        # Nothing here may take a lock that a second signal would want again (an Event's, for one).
        server.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping


def _serve(ctrl: Controller, server: tls.TlsServer, stopping: threading.Event) -> None:
    watcher = threading.Thread(target=_watch, args=(ctrl, server, stopping), name="watch", daemon=True)
    watcher.start()
    ctrl.news.start()
    ctrl.webhook.start()
    server.run()
    stopping.set()
    ctrl.webhook.stop()
    ctrl.news.stop()
    watcher.join(timeout=1)


def _watch(ctrl: Controller, server: tls.TlsServer, stopping: threading.Event) -> None:
    """Renew the server certificate in time, and see whether the advertised address serves it."""
    while not stopping.is_set():
        try:
            if ctrl.authority.renew_server_if_needed([a.host for a in ctrl.addresses], now=now()):
                server.swap_certificate(ctrl.authority.tls_material())
                log.info("the server certificate was renewed")
        except pki.PkiError as e:
            log.error("the server certificate could not be renewed: %s", e)  # noqa: TRY400 - the reason says it all
        check_advertised(ctrl)
        stopping.wait(WATCH_SECONDS)


def check_advertised(ctrl: Controller) -> None:
    """Compare the key that the first advertised address serves with ours.

    Clients check tokens against that key, so a token must not leave when it is another one. An address
    that cannot be reached from here (behind NAT) says nothing and is only logged.
    """
    address = ctrl.addresses[0]
    try:
        pem = ssl.get_server_certificate((address.host, address.port), timeout=3)
        served = pki.load_cert(pem)
    except (OSError, pki.PkiError) as e:
        log.warning("advertised address %s cannot be checked from here: %s", address, e)
        ctrl.key_problem = ""
        return
    if served.public_key_print == ctrl.authority.server_cert.public_key_print:
        ctrl.key_problem = ""
        return
    ctrl.key_problem = (
        f"{address} serves the certificate {served.subject} with another key, so clients would refuse "
        "tokens of this controller: correct --advertise, or what answers at that address"
    )
    log.error(ctrl.key_problem)


# --- logging


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Make the line of one record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up_logging(settings: config.Settings) -> None:
    """Log to standard error in the format asked for."""
    handler = logging.StreamHandler()
    plain = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    plain.converter = time.gmtime
    handler.setFormatter(JsonLines() if settings.log_format == "json" else plain)
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.getLogger("waitress").setLevel(logging.ERROR)
    # At level debug it would write every statement with its values: tokens, sessions, password hashes.
    logging.getLogger("peewee").setLevel(logging.INFO)


# --- command line


def parser() -> argparse.ArgumentParser:
    """The command line, its settings taken from the table in config.py."""
    top = argparse.ArgumentParser(prog="zitilite", description="An OpenZiti-compatible controller in one process.")
    top.add_argument("--version", action="version", version=f"zitilite {VERSION}")
    config.add_flags(top)
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    config.add_flags(commands.add_parser("run", help="start the controller (the default)"))
    config.add_flags(commands.add_parser("settings", help="print the effective settings and where each came from"))
    admin = commands.add_parser("admin", help="administrators, on this machine, without a login")
    verbs = admin.add_subparsers(dest="verb", required=True, metavar="VERB")
    reset = verbs.add_parser("reset-password", help="new password; unlocks, enables and ends sessions")
    config.add_flags(reset, ("data", "config"))
    reset.add_argument("--user", default="", help="login or name (default: the administrator of the first start)")
    reset.add_argument("--password", default="", help="the new password (default: random, printed)")
    return top


def show_settings(settings: config.Settings) -> int:
    """Print each setting, its effective value and its source; of secrets only whether they are set."""
    for s in config.SETTINGS:
        value = settings.values[s.name]
        if s.secret and value:
            value = "(set)"
        elif s.repeatable:
            value = ", ".join(map(str, value))
        print(f"{s.name:28} {'-' if value in ('', None) else value!s:28} {settings.sources[s.name]}")
    return 0


def reset_password(settings: config.Settings, arguments: argparse.Namespace) -> int:
    """Give the default administrator a new password, and end the sessions that the old one made."""
    if not (settings.data / "zitilite.db").exists():
        raise setup.SetupError(f"{settings.data} holds no controller: name its folder with --data")
    open_store(settings.data)
    try:
        login, password = setup.reset_password(arguments.user, arguments.password)
    finally:
        store.database.close()
    print(f"user {login}  password {password}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code: 0 done, 1 it could not be done, 2 wrong arguments."""
    arguments = parser().parse_args(argv)
    try:
        settings = config.load(vars(arguments))
        set_up_logging(settings)
        if arguments.command == "settings":
            return show_settings(settings)
        if arguments.command == "admin":
            return reset_password(settings, arguments)
        return run(settings)
    except BrokenPipeError:
        # Whoever read our output has seen enough (`| head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except config.SettingError as e:
        print(f"zitilite: {e}", file=sys.stderr)
        return 2
    except (store.StoreError, pki.PkiError, setup.SetupError, OSError) as e:
        print(f"zitilite: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
