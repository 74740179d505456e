"""What connecting to the controller's addresses showed, the same in all its processes.

It is of the moment and of this machine, so it lies in memory that a fork inherits, not in the database: a counter,
a length and a JSON document.
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass

from company import SharedLock

SIZE = 1 << 17
# How often it was written, and how long it is.
_HEAD = struct.Struct("=QQ")


@dataclass(frozen=True, slots=True)
class Seen:
    """What connecting to an address showed; `at` is in ms. `serves_our_key` is None when nothing answered."""

    at: int
    resolves: tuple[str, ...] = ()
    answers: bool = False
    serves_our_key: bool | None = None
    problem: str = ""


class Sightings:
    """What was seen, by address. Made before the processes are forked.

    size: of the memory in bytes; where it is not enough, what was seen first is forgotten.
    """

    def __init__(self, size: int = SIZE) -> None:
        self._memory = mmap.mmap(-1, size)
        self._room = size - _HEAD.size
        self._lock = SharedLock()
        self._number, self._known = 0, dict[str, Seen]()

    def get(self, address: str) -> Seen | None:
        """What was seen of an address; None when nobody looked yet."""
        return self.all().get(address)

    def all(self) -> dict[str, Seen]:
        """What was seen of each address that somebody looked at."""
        if self._at()[0] != self._number:
            with self._lock.held():
                self._known, self._number = self._read(), self._at()[0]
        return self._known

    def put(self, address: str, seen: Seen) -> None:
        """Let all processes know."""
        self._change(lambda known: known.update({address: seen}))

    def forget(self, address: str) -> None:
        """Nobody comes by it any more."""
        self._change(lambda known: known.pop(address, None))

    def _change(self, change: Callable[[dict[str, Seen]], object]) -> None:
        with self._lock.held():
            known = self._read()
            change(known)
            while len(text := _text(known)) > self._room:
                del known[min(known, key=lambda address: known[address].at)]
            number = self._at()[0] + 1
            # Who is killed between the two leaves something that is no JSON, or all of it.
            self._memory[_HEAD.size : _HEAD.size + len(text)] = text
            _HEAD.pack_into(self._memory, 0, number, len(text))

    def _at(self) -> tuple[int, int]:
        number, length = _HEAD.unpack_from(self._memory)
        return number, length

    def _read(self) -> dict[str, Seen]:
        length = self._at()[1]
        try:
            found = json.loads(self._memory[_HEAD.size : _HEAD.size + length] or b"{}")
            return {address: Seen(**{**kept, "resolves": tuple(kept["resolves"])}) for address, kept in found.items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            return {}  # one that was killed while it wrote; the next look fills it again


def _text(known: dict[str, Seen]) -> bytes:
    return json.dumps({address: asdict(seen) for address, seen in known.items()}).encode()
