"""What is done without being asked: every half minute, and whenever something says that it changed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import store
from domain.care import addresses, backups, certificates, crls, rollover
from domain.context import Controller

log = logging.getLogger("zitilite.watch")
SECONDS = 30.0
# What failed is tried again after twice the time as before, and after this at the latest.
LONGEST_SECONDS = 3600.0


@dataclass
class Job:
    """Something to do again and again; after a failure less often, so that the log stays readable.

    once: by one process only, where several share a database.
    """

    complaint: str
    work: Callable[[Controller], None]
    once: bool = False
    pause: float = 0
    not_before: float = 0

    def do(self, ctrl: Controller) -> None:
        """Do it, unless it failed a moment ago. A failure is logged and harms nothing else."""
        if time.monotonic() < self.not_before:
            return
        try:
            if not self.once or store.leads("watch"):
                self.work(ctrl)
        except Exception as e:  # noqa: BLE001 - the others must be done all the same
            self.pause = min(max(2 * self.pause, SECONDS), LONGEST_SECONDS)
            self.not_before = time.monotonic() + self.pause
            log.error("%s: %s", self.complaint, e)  # noqa: TRY400 - the reason says it all
        else:
            self.pause = 0


def _renew(ctrl: Controller) -> None:
    # Also what a command on the data folder changed meanwhile.
    if addresses.use(ctrl):
        # All processes present the same one.
        ctrl.company.agree()


def _index(ctrl: Controller) -> None:
    certificates.catch_up()


def jobs() -> list[Job]:
    """All of them, in the order in which they are done."""
    return [
        Job("the server certificate could not be renewed", _renew),
        Job("a CA could not be rolled over", rollover.roll_if_due, once=True),
        Job("the addresses could not be checked", addresses.look_at_all),
        Job("the revocation lists could not be fetched", crls.fetch_due, once=True),
        Job("the certificates could not be listed", _index),
        Job("the scheduled backup could not be made", backups.make_if_due, once=True),
    ]


def watch(ctrl: Controller, stopping: threading.Event) -> None:
    """Do all jobs again and again until the server stops."""
    todo = jobs()
    while not stopping.is_set():
        ctrl.wake.clear()
        for job in todo:
            if stopping.is_set():
                return
            job.do(ctrl)
        store.rest()
        ctrl.wake.wait(SECONDS)


def start(ctrl: Controller, stopping: threading.Event) -> threading.Thread:
    """Begin to watch in a thread of its own."""
    thread = threading.Thread(target=watch, args=(ctrl, stopping), name="watch", daemon=True)
    thread.start()
    return thread
