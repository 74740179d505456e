"""Which request a worker thread takes next: those that hash a password wait in a line of their own.

A hash keeps a core busy for some 40 ms. Of the workers so few are given to such requests that a storm of logins
leaves the others to enrollment, and what would have to wait for long is refused at once. Imports nothing of ours.
"""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from typing import Any

from waitress.task import ThreadedTaskDispatcher
from waitress.utilities import Error

AT_ONCE = 2
# How long the last one in the line may have to wait, in seconds, and how many they may be.
PATIENCE = 10.0
WAITING = 200
# What one takes as long as none was seen, in seconds.
_GUESS = 0.05
_ALWAYS = re.compile(r"/(login/(password|username)|first-run|enroll/updb|authenticators(/[^/]+)?)/*\Z")
_BY_METHOD = re.compile(r"/(authenticate|enroll)/*\Z")
_METHOD = re.compile(r"(?:\A|&)method=(password|updb)(?:&|\Z)")


class TooBusy(Error):  # type: ignore[misc]  # noqa: N818 - one of waitress's answers
    """The answer to a request that would have to wait for too long."""

    code = 429
    reason = "Too Many Requests"


def hashes(method: str, path: str, query: str) -> bool:
    """Whether a request will hash a password, as far as its first line tells."""
    if method not in ("POST", "PUT", "PATCH"):
        return False
    return bool(_ALWAYS.search(path) or (_BY_METHOD.search(path) and _METHOD.search(query)))


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Waitress's workers with a second, bounded line. threads: how many there will be."""

    # Waitress warns of every request that has to wait a moment.
    queue_logger = logging.getLogger(f"{__name__}.queue")
    queue_logger.setLevel(logging.ERROR)

    def __init__(self, threads: int) -> None:
        super().__init__()
        self._at_once = max(1, min(AT_ONCE, threads - 1))
        self._under_way = 0
        self._seconds = _GUESS
        self._waiting: deque[_Slow] = deque()

    def add_task(self, task: Any) -> None:
        """Take a channel whose first request is complete."""
        request = task.requests[0]
        if request.error or not hashes(request.command or "", request.path or "", request.query or ""):
            super().add_task(task)
            return
        slow = _Slow(task, self)
        with self.lock:
            is_free = self._under_way < self._at_once
            is_full = len(self._waiting) >= min(WAITING, PATIENCE * self._at_once / self._seconds)
            if is_free:
                self._under_way += 1
            elif not is_full:
                self._waiting.append(slow)
        if is_free:
            super().add_task(slow)
        elif is_full:
            request.error = TooBusy("too many passwords wait to be checked: try again in 5 s")
            super().add_task(task)

    def next_slow(self, seconds: float) -> None:
        """One of them is done, after so long: the next may come."""
        with self.lock:
            self._seconds = max(0.8 * self._seconds + 0.2 * seconds, _GUESS)
            following = self._waiting.popleft() if self._waiting else None
            if following is None:
                self._under_way -= 1
        if following is not None:
            super().add_task(following)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:  # noqa: FBT001, FBT002 - waitress's
        """End the threads."""
        with self.lock:
            while self._waiting:
                self._waiting.popleft().cancel()
        return bool(super().shutdown(cancel_pending, timeout))


class _Slow:
    def __init__(self, channel: Any, dispatcher: Dispatcher) -> None:
        self._channel, self._dispatcher = channel, dispatcher

    def service(self) -> None:
        began = time.monotonic()
        try:
            self._channel.service()
        finally:
            self._dispatcher.next_slow(time.monotonic() - began)

    def cancel(self) -> None:
        self._channel.cancel()
