"""Zitilite: an OpenZiti-compatible controller. Wiring and the command line, nothing else."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import config
import pki
import store
import tls
import tokens
import workers
from api import (
    bulk,
    console,
    exports,
    fabric_table,
    front,
    health,
    log_exports,
    metrics,
    openapi,
    own_table,
    rows,
)
from api.entities import ENTITIES, TABLE
from cli import main as cli
from company import Company
from domain import (
    authenticators,
    cas,
    chosen,
    controller_settings,
    database,
    enrollment,
    identities,
    ids,
    roots,
    setup,
    token_enrollment,
)
from domain.care import (
    addresses,
    archive,
    attempts,
    audit,
    backups,
    ca_people,
    certificates,
    crls,
    decode,
    doctor,
    events,
    first_run,
    overview,
    recovery,
    rollover,
    shares,
    watch,
    webhook,
)
from domain.context import VERSION, Controller
from domain.enrolling import client as enrolling
from domain.enrolling import dry_run
from domain.logins import api_tokens, auth, mfa, oidc, session_certificates
from domain.logins.jwks import KeyStore
from domain.network import fabric, posture, posture_checks, routers, services, sessions
from migrations import MIGRATIONS
from wire.resource import OWN, Action

log = logging.getLogger("zitilite")
MODULES = (
    roots,
    auth,
    mfa,
    api_tokens,
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
    addresses,
    certificates,
    decode,
    ca_people,
    overview,
    rollover,
    crls,
    backups,
    recovery,
    chosen,
    doctor,
    first_run,
    shares,
    bulk,
    exports,
    events,
    webhook,
)


def operations() -> list[Action]:
    """Everything the controller serves: the actions of the modules and of the table, and the documents of both."""
    actions = [a for module in MODULES for a in module.ACTIONS]
    actions += [a for entity in ENTITIES for a in rows.actions(entity, TABLE)]
    actions += [a for entity in fabric_table.ENTITIES for a in rows.actions(entity, fabric_table.TABLE)]
    own = {**TABLE, **own_table.TABLE}
    actions += [a for entity in own_table.ENTITIES for a in rows.actions(entity, own)]
    actions += log_exports.actions(own_table.ENTITIES)
    actions.append(rows.current_identity(TABLE))
    return actions + openapi.actions(actions)


def create_app(ctrl: Controller) -> front.Front:
    """The WSGI application: every operation, health and the console."""
    ctrl.authority.days = chosen.days(ctrl.settings)
    ctrl.news = events.Newsroom(ctrl)
    ctrl.news.show = partial(rows.document, own_table.TABLE["attempts"])
    s = ctrl.settings
    allowed = s.audit_webhook_private_addresses == "on"
    ctrl.webhook = webhook.Webhook(s.audit_webhook, s.audit_webhook_secret, private_addresses=allowed)
    ctrl.webhook.company = ctrl.company
    ctrl.webhook.show = log_exports.shown(own_table.TABLE["audit"])
    app = front.Front(ctrl, operations())
    health.install(app)
    metrics.install(app, ctrl)
    console.install(app, Path(__file__).parent / "static")
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
        passphrase=settings.passphrase_of_keys(),
    )
    return pki.Authority.open(folder, options, clock=now)


def _own_chain(settings: config.Settings, cert: str, key: str) -> pki.OwnChain | None:
    files = settings.values[cert], settings.values[key]
    if not any(files):
        return None
    if not all(files):
        raise config.SettingError(f"settings '{cert}' and '{key}' go together; only one is given")
    return pki.OwnChain(Path(files[0]), Path(files[1]))


def open_store(settings: config.Settings) -> None:
    """Open the database that the settings name, bring its schema up to date, and guard its audit log."""
    store.open_database(settings.place, MIGRATIONS)
    audit.protect()


def run(settings: config.Settings) -> int:
    """Serve until SIGTERM or SIGINT."""
    folder: Path = settings.data
    workers.keep_memory_small()
    count = settings.workers or min(4, os.cpu_count() or 1)
    backups.check_settings(settings)
    if archive.unfinished(folder):
        raise archive.BackupError(f"a restore into {folder} was cut off: run `zitilite restore` again")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = store.FolderLock(folder, shared=bool(settings.database))
    try:
        open_store(settings)
        with _alone(settings):
            first = setup.is_new()
            password = setup.first_start(settings.admin_user, settings.admin_password) if first else ""
            code = first_run.offer() if first and not settings.admin_password else ""
            if not first:
                setup.require_keys(settings)
            ctrl, sock = _listen(settings, folder, count)
        app = create_app(ctrl)
        announce = partial(_announce, settings, ctrl, folder, password, code)
        if count == 1:
            _serve(ctrl, app, sock, ready=announce)
        else:
            if settings.metrics == "on":
                ctrl.metrics.share(folder / "metrics")
            store.database.close()
            workers.Pool(count, lambda number: _serve(ctrl, app, sock, number)).run(announce)
    finally:
        store.close()
        lock.release()
    return 0


def _alone(settings: config.Settings) -> AbstractContextManager[None]:
    """One after the other, where several processes may start on one database at once: the first one sets up."""
    return store.write() if settings.database else nullcontext()


def init(settings: config.Settings) -> int:
    """Do what the first start does, without serving. Raises SetupError where that was done before."""
    folder: Path = settings.data
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = store.FolderLock(folder, shared=bool(settings.database))
    try:
        open_store(settings)
        if not setup.is_new():
            raise setup.SetupError(f"{folder.resolve()} holds a controller already")
        password = setup.first_start(settings.admin_user, settings.admin_password)
        code = "" if settings.admin_password else first_run.offer()
        ctrl = make_controller(settings, open_authority(settings, folder / "pki", addresses.take_setting(settings)))
        certificates.note_own(ctrl.authority)
        addresses.listening(ctrl, settings.listen.port)
        _announce(settings, ctrl, folder, password, code)
    finally:
        store.close()
        lock.release()
    return 0


def make_controller(settings: config.Settings, authority: pki.Authority, count: int = 1) -> Controller:
    """The services that requests work with. count: how many processes will serve."""
    return Controller(
        settings=settings,
        authority=authority,
        addresses=addresses.announced(),
        instance_id=ids.session_id(),
        signer=tokens.Signer(authority.signing_key),
        jwks=KeyStore(private_addresses=settings.jwks_private_addresses == "on"),
        network_id=setup.network_id(),
        company=Company(count),
    )


@contextmanager
def local(settings: config.Settings) -> Iterator[front.Front]:
    """The application on a data folder, without a port, whether a controller runs on it or not.

    Raises SetupError where there is no controller.
    """
    folder: Path = settings.data
    if not settings.holds_data:
        raise setup.SetupError(f"{folder} holds no controller: name its folder with --data, or another with --url")
    open_store(settings)
    try:
        if settings.database:
            if setup.is_new():
                raise setup.SetupError("the database holds no controller: start one on it first")
            setup.require_keys(settings)
        ctrl = make_controller(settings, open_authority(settings, folder / "pki", addresses.hosts()))
        ctrl.port = addresses.listened_on(settings)
        yield create_app(ctrl)
        ctrl.attempts.flush()
    finally:
        store.close()


def _listen(settings: config.Settings, folder: Path, count: int) -> tuple[Controller, socket.socket]:
    """Take the port, and make everything that serving needs but the server and its threads."""
    authority = open_authority(settings, folder / "pki", addresses.take_setting(settings))
    if settings.database:
        setup.require_known(authority)
    ctrl = make_controller(settings, authority, count)
    sock = tls.listen(settings.listen.host, settings.listen.port)
    certificates.note_own(authority)
    certificates.measure(ctrl)
    addresses.listening(ctrl, sock.getsockname()[1])
    return ctrl, sock


def _server(ctrl: Controller, app: front.Front, sock: socket.socket) -> tls.TlsServer:
    settings = ctrl.settings
    server = tls.create_server(
        app,
        host=settings.listen.host,
        port=settings.listen.port,
        sock=sock,
        material=ctrl.authority.tls_material(),
        limits=tls.Limits(
            body_bytes=settings.body_limit,
            large_bytes=settings.bulk_limit,
            large_paths=(f"{OWN}/bulk", f"{OWN}/tokens/export"),
            threads=settings.threads,
        ),
        ident=f"zitilite/{VERSION}",
        error_headers=[("ziti-instance-id", ctrl.instance_id)],
        is_quick=app.is_quick,
    )
    ctrl.swap_certificate = server.swap_certificate
    return server


def _announce(settings: config.Settings, ctrl: Controller, folder: Path, password: str, code: str) -> None:
    """Print what a person needs to go on; password and first-run code only when they were made here, and only once."""
    print(f"zitilite {VERSION}")
    print(f"console   {ctrl.url}/")
    print(f"data      {folder.resolve()}")
    for root in ctrl.authority.bundle:
        if root.is_self_signed:
            print(f"root CA   SHA-256 {root.sha256}")
    if password and not settings.admin_password:
        print(f"admin     user {settings.admin_user}  password {password}  (shown only now)")
    if code:
        print(f"first run  {ctrl.url}{first_run.PAGE}#{code}  (choose name and password; works once, for a day)")
    sys.stdout.flush()


def _stop_on_signals(server: tls.TlsServer) -> threading.Event:
    stopping = threading.Event()

    def stop(number: int, frame: Any) -> None:
        # Nothing here may take a lock that a second signal would want again (an Event's, for one).
        server.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping


def _serve(
    ctrl: Controller, app: front.Front, sock: socket.socket, number: int = 0, ready: Callable[[], None] = lambda: None
) -> None:
    """Serve until SIGTERM or SIGINT, alone or as one of several processes. ready: called once signals are heeded."""
    server = _server(ctrl, app, sock)
    stopping = _stop_on_signals(server)
    ready()
    company = ctrl.company
    if company.count > 1:
        store.share(number)
    company.join(
        number,
        partial(_take_up, ctrl),
        {
            attempts.FLUSH: ctrl.attempts.flush,
            events.NEWS: ctrl.news.hear,
            webhook.NEWS: ctrl.webhook.hear,
            webhook.HURRY: ctrl.webhook.hear_hurry,
        },
    )
    watcher = watch.start(ctrl, stopping)
    ctrl.news.start()
    ctrl.webhook.start()
    server.run()
    stopping.set()
    ctrl.wake.set()
    ctrl.webhook.stop()
    ctrl.news.stop()
    watcher.join(timeout=1)
    store.close()


def _take_up(ctrl: Controller) -> None:
    """Bring what this process keeps in memory to what another one wrote."""
    addresses.use(ctrl)
    ctrl.wake.set()


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


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit code (cli/main.py)."""
    multiprocessing.freeze_support()  # the bench starts processes of its own, in the binary, too
    return cli.main(argv, cli.Wiring(set_up_logging, run, init, local))


if __name__ == "__main__":
    sys.exit(main())
