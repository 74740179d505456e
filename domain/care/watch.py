"""What is done without being asked: every half minute, and whenever something says that it changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from domain.care import addresses, backups, certificates, crls, rollover
from domain.context import Controller

log = logging.getLogger("zitilite.watch")
SECONDS = 30


def _index(ctrl: Controller) -> None:
    certificates.catch_up()


JOBS: tuple[tuple[str, Callable[[Controller], None]], ...] = (
    ("the server certificate could not be renewed", addresses.use),
    ("a CA could not be rolled over", rollover.roll_if_due),
    ("the addresses could not be checked", addresses.look_at_all),
    ("the revocation lists could not be fetched", crls.fetch_due),
    ("the certificates could not be listed", _index),
    ("the scheduled backup could not be made", backups.make_if_due),
)


def watch(ctrl: Controller, stopping: threading.Event) -> None:
    """Do all jobs again and again until the server stops. A job that fails is tried again the next time."""
    while not stopping.is_set():
        ctrl.wake.clear()
        for what, job in JOBS:
            if stopping.is_set():
                return
            try:
                job(ctrl)
            except Exception as e:  # noqa: BLE001 - the others must be done all the same
                log.error("%s: %s", what, e)  # noqa: TRY400 - the reason says it all
        ctrl.wake.wait(SECONDS)


def start(ctrl: Controller, stopping: threading.Event) -> threading.Thread:
    """Begin to watch in a thread of its own."""
    thread = threading.Thread(target=watch, args=(ctrl, stopping), name="watch", daemon=True)
    thread.start()
    return thread
