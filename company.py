"""What the processes that serve one controller tell each other. Imports nothing of ours."""

from __future__ import annotations

import contextlib
import logging
import mmap
import multiprocessing
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

log = logging.getLogger("zitilite.company")

AGREE_SECONDS, LOOK_SECONDS = 2.0, 0.001
# Longer than anybody holds a lock on shared memory: whoever has it then was killed with it.
_LOCK_SECONDS = 0.25


class SharedLock:
    """Orders those who write to memory that processes share. Made before the fork; held for moments only."""

    def __init__(self) -> None:
        self._lock = _lock()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold it. Of one that was killed while it held it, it is taken over."""
        self._lock.acquire(timeout=_LOCK_SECONDS)
        try:
            yield
        finally:
            # After a timeout, too: it is released in place of the one that cannot do so any more.
            with contextlib.suppress(ValueError, RuntimeError):
                self._lock.release()


def _lock() -> Any:
    try:
        return multiprocessing.get_context("fork").Lock()
    except (OSError, ImportError, ValueError):
        return threading.Lock()  # a machine without shared semaphores: each process then orders its own threads


class Company:
    """The processes that serve one controller, seen from one of them: what they tell each other.

    Made before the fork. There are a board of numbers, of which each process writes its own row, and bells: one byte,
    of which the listener knows the meaning. Who does not listen in time misses nothing but repetitions, as its queue
    holds the byte already. A process alone has nobody to tell, and waits for nobody.

    Args:
        count: how many processes there will be.
    """

    # Columns of the board: rows that wait to be written, open event streams, and the numbers of `agree`.
    WAITING, LISTENERS, ASKED, DONE, _PID = range(5)
    _COLUMNS = 5
    _AGREE = b"a"

    def __init__(self, count: int = 1) -> None:
        self.count, self.me = count, 0
        self._memory = mmap.mmap(-1, 8 * self._COLUMNS * count)
        self._pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(count)] if count > 1 else []
        for _, entrance in self._pairs:
            entrance.setblocking(False)  # noqa: FBT003 - the socket's own
        self._answers: dict[bytes, Callable[[], None]] = {}

    def put(self, column: int, number: int) -> None:
        """Write a number into this process's row."""
        struct.pack_into("q", self._memory, 8 * (self.me * self._COLUMNS + column), number)

    def others(self, column: int) -> list[int]:
        """What the other processes wrote."""
        return [self._at(row, column) for row in range(self.count) if row != self.me]

    def _at(self, row: int, column: int) -> int:
        return int(struct.unpack_from("q", self._memory, 8 * (row * self._COLUMNS + column))[0])

    def pids(self) -> list[int]:
        """The processes that serve."""
        return [self._at(row, self._PID) for row in range(self.count)] if self.count > 1 else [os.getpid()]

    def _newest(self) -> int:
        return max(self._at(row, self.ASKED) for row in range(self.count))

    def ring(self, what: bytes) -> None:
        """Tell the other processes. what: one byte."""
        for number, (_, entrance) in enumerate(self._pairs):
            if number != self.me:
                with contextlib.suppress(OSError):
                    entrance.send(what)

    def wait_for(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Wait until the board shows something; whether it did in time."""
        end = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > end:
                return False
            time.sleep(LOOK_SECONDS)
        return True

    def agree(self) -> None:
        """Have the other processes take up what was changed in the database, and wait until they did."""
        if self.count == 1:
            return
        number = self._newest() + 1
        self.put(self.ASKED, number)
        self.put(self.DONE, number)
        self.ring(self._AGREE)
        if not self.wait_for(lambda: min(self.others(self.DONE)) >= number, AGREE_SECONDS):
            log.warning("another process has not taken up a change within %g s", AGREE_SECONDS)

    def join(self, number: int, take_up: Callable[[], None], answers: Mapping[bytes, Callable[[], None]]) -> None:
        """Begin to listen, in a thread of its own.

        Args:
            number: which of the processes this is.
            take_up: brings what is kept in memory to what the database says.
            answers: what to do when another process rings.
        """
        self.me = number
        if self.count == 1:
            return
        for column in (self.WAITING, self.LISTENERS):
            self.put(column, 0)
        self.put(self._PID, os.getpid())

        def agree() -> None:
            newest = self._newest()
            take_up()
            self.put(self.DONE, newest)

        self._answers = {**answers, self._AGREE: agree}
        agree()
        threading.Thread(target=self._listen, name="bells", daemon=True).start()

    def _listen(self) -> None:
        ear = self._pairs[self.me][0]
        while True:
            try:
                self._answers[ear.recv(1)]()
            except OSError:
                return
            except Exception:  # one that went wrong must not make it deaf
                log.exception("news of another process could not be taken")
