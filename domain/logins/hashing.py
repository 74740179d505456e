"""The threads that hash passwords: two, of low priority, and few who may wait for them.

A hash takes some 40 ms of a core and 16 MiB, which the C library gives back (workers.keep_memory_small). So at most
two are computed at once, in threads that stand back behind everything else. The TLS server lets no more requests in
that need one than that (dispatch.py); the bound here is for what comes another way. Imports nothing of ours but the
errors.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from wire.errors import ApiError

THREADS = 2
WAITING = 4
NICENESS = 5


class Hashing:
    """A pool that refuses what would have to wait for long."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, "hash", initializer=_stand_back)
        self._places = threading.BoundedSemaphore(THREADS + WAITING)

    def run(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Compute and wait for it. Raises RATE_LIMITED when too many wait already."""
        if not self._places.acquire(blocking=False):
            cause = "too many passwords are being checked at this moment: try again in 1 s"
            raise ApiError("RATE_LIMITED", cause, headers={"Retry-After": "1"})
        try:
            return self._pool.submit(work, *args, **kwargs).result()
        finally:
            self._places.release()


def _stand_back() -> None:
    """On Linux a thread has a priority of its own."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
