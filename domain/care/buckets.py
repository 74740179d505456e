"""Token buckets that all processes of the controller share: a table of fixed size in memory that a fork inherits.

A bucket is one number, the moment at which it will be full again (the generic cell rate algorithm, ITU-T I.371), so
that memory full of zeros is a table of full buckets and nothing has to be cleaned up. Where the table is crowded, the
bucket that is nearest to full makes room: who is held back stays held back.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import secrets
import struct
import time
from collections.abc import Callable

from company import SharedLock

PERIOD = 60.0
SLOTS = 1 << 16
_PROBES = 8
_NO_KEY = bytes(8)
# key, when it is full again, when its emptiness was last spoken of; seconds of the clock that all processes share
_SLOT = struct.Struct("=8sdd")


class Buckets:
    """The table. Each bucket holds `rate` drops and gets as many back a minute; all times in seconds.

    Made before the processes are forked. clock: monotonic, the same in all of them.
    """

    def __init__(self, slots: int = SLOTS, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots, self._clock = slots, clock
        self._memory = mmap.mmap(-1, slots * _SLOT.size)
        self._secret = secrets.token_bytes(32)
        self._lock = SharedLock()

    def wait(self, name: str, rate: int) -> float:
        """How long until the bucket has a drop again; 0 when it has one now."""
        with self._lock.held():
            key = self._key(name)
            found, full_at, _ = self._read(self._find(key))
            return _lacking(full_at, self._clock(), rate) if found == key else 0.0

    def take(self, name: str, rate: int) -> float:
        """Take a drop. Gives 0, or how long to wait when there was none; then nothing is taken."""
        with self._lock.held():
            key, now = self._key(name), self._clock()
            offset = self._find(key)
            found, full_at, told_at = self._read(offset)
            if found != key:
                full_at = told_at = 0.0
            lacking = _lacking(full_at, now, rate)
            if not lacking:
                _SLOT.pack_into(self._memory, offset, key, max(full_at, now) + PERIOD / rate, told_at)
            return lacking

    def turn(self, name: str, seconds: float) -> float:
        """Stand in line. Gives how long to wait for a turn; turns are so far apart, whichever process they fall to."""
        with self._lock.held():
            key, now = self._key(name), self._clock()
            offset = self._find(key)
            found, full_at, _ = self._read(offset)
            mine = max(full_at, now) if found == key else now
            _SLOT.pack_into(self._memory, offset, key, mine + seconds, 0.0)
            return mine - now

    def fill(self, name: str) -> None:
        """Make the bucket full."""
        with self._lock.held():
            offset = self._find(key := self._key(name))
            if self._read(offset)[0] == key:
                _SLOT.pack_into(self._memory, offset, _NO_KEY, 0.0, 0.0)

    def is_news(self, name: str, seconds: float) -> bool:
        """Whether nobody spoke of this bucket for so long; if so, somebody has now."""
        with self._lock.held():
            key, now = self._key(name), self._clock()
            offset = self._find(key)
            found, full_at, told_at = self._read(offset)
            if found != key:
                return True
            if told_at and now - told_at < seconds:
                return False
            _SLOT.pack_into(self._memory, offset, key, full_at, now)
            return True

    def _key(self, name: str) -> bytes:
        return hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8, key=self._secret).digest()

    def _find(self, key: bytes) -> int:
        """Where the bucket is, or the place for it."""
        first = int.from_bytes(key, "little")
        offsets = [(first + step) % self._slots * _SLOT.size for step in range(_PROBES)]
        for offset in offsets:
            if self._memory[offset : offset + 8] == key:
                return offset
        return min(offsets, key=lambda offset: self._read(offset)[1])

    def _read(self, offset: int) -> tuple[bytes, float, float]:
        key, full_at, told_at = _SLOT.unpack_from(self._memory, offset)
        # What a process that was killed left half written must not hold anybody back.
        is_sound = math.isfinite(full_at) and full_at <= self._clock() + 2 * PERIOD
        return key, full_at if is_sound else 0.0, told_at if math.isfinite(told_at) else 0.0


def _lacking(full_at: float, now: float, rate: int) -> float:
    missing = full_at - now - (PERIOD - PERIOD / rate)
    # Not quite zero, because of rounding.
    return missing if missing > 1e-6 else 0.0
