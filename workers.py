"""Several processes that serve one listening socket: forked once everything is loaded, restarted when one dies.

What they share was made before the fork: the socket and their `Company`. Imports nothing of ours. docs/adr/0012
says why processes, and what they cost.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import signal
import time
from collections.abc import Callable
from typing import NoReturn

log = logging.getLogger("zitilite.workers")

STOP_SECONDS = 5.0
# One that dies again at once is not started again at once.
PAUSE_SECONDS = 1.0
_ENDINGS = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG = 1
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD, _M_ARENA_MAX = -3, -1, -8


def keep_memory_small() -> None:
    """Have the C library give back what it no longer needs; before anything large was allocated.

    A password hash takes 16 MiB for 40 ms. By itself glibc would keep it, once for each thread that ever hashed.
    Elsewhere than on glibc nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 1 << 20)
        mallopt(_M_TRIM_THRESHOLD, 1 << 18)
        mallopt(_M_ARENA_MAX, 2)


def _give_back_memory() -> None:
    """What starting needed and nobody needs any more."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class Pool:
    """The processes that serve, and the one that looks after them.

    Args:
        count: how many serve.
        serve: what each does until it is told to stop by SIGTERM; gets its number.
    """

    def __init__(self, count: int, serve: Callable[[int], None]) -> None:
        self._count, self._serve = count, serve
        self._numbers: dict[int, int] = {}
        self._stopping = False

    def run(self, ready: Callable[[], None]) -> None:
        """Start them, and start again what dies, until SIGTERM or SIGINT. No thread may have been started yet.

        ready: called once signals are heeded.
        """
        for ending in _ENDINGS:
            signal.signal(ending, lambda *_: self._stop())
        ready()
        # What is there now is there for good: looking through it for garbage would only make copies of shared pages.
        gc.collect()
        _give_back_memory()
        gc.freeze()
        for number in range(self._count):
            self._start(number)
        while self._numbers:
            self._wait()
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _start(self, number: int) -> None:
        """Fork one, unless all are to stop."""
        parent = os.getpid()
        # A signal now would find the child with its parent's handlers, and the parent without the child's number.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)
        if not self._stopping:
            child = os.fork()
            if not child:
                self._work(number, parent)
            self._numbers[child] = number
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDINGS)

    def _work(self, number: int, parent: int) -> NoReturn:
        """What the forked process does, from its beginning to its end."""
        code = 1
        try:
            for ending in _ENDINGS:
                signal.signal(ending, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDINGS)
            _die_with(parent)
            self._serve(number)
            code = 0
        except Exception:
            log.exception("worker %d ended", number)
        finally:
            logging.shutdown()
            os._exit(code)

    def _wait(self) -> None:
        began = time.monotonic()
        try:
            child, status = os.wait()
        except ChildProcessError:
            self._numbers.clear()
            return
        number = self._numbers.pop(child, None)
        if self._stopping or number is None:
            return
        log.error("worker %d (process %d) ended with %s: starting it again", number, child, _said(status))
        if time.monotonic() - began < PAUSE_SECONDS:
            time.sleep(PAUSE_SECONDS)
        self._start(number)

    def _stop(self) -> None:
        if not self._stopping:
            signal.signal(signal.SIGALRM, lambda *_: self._kill())
            signal.setitimer(signal.ITIMER_REAL, STOP_SECONDS)
        self._stopping = True
        self._tell(signal.SIGTERM)

    def _kill(self) -> None:
        log.error("after %g s some have not stopped: they are killed", STOP_SECONDS)
        self._tell(signal.SIGKILL)

    def _tell(self, number: int) -> None:
        for child in list(self._numbers):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)


def _die_with(parent: int) -> None:
    """End this process together with the one that looks after it, however that ends."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _said(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
