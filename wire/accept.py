"""What an Accept header prefers (RFC 9110 section 12.5.1), as far as our own additions need it.

Upstream's operations answer JSON, and everything that accepts JSON goes on getting it. A type of ours is chosen
only when the header names it and ranks it above JSON: by its `q`, then by its place. A wildcard is JSON's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from wire.resource import JSON_TYPE

_JSON = (JSON_TYPE, "application/*", "*/*")
Rank = tuple[float, int]


def preferred(header: str, ours: Sequence[str]) -> str | None:
    """The type of `ours` that ranks highest, when it ranks above JSON; else None."""
    ranks = _usual_ranks(header) if len(header) < _USUAL else _ranks(header)
    json = max((ranks[kind] for kind in _JSON if kind in ranks), default=(0.0, 0))
    named = [kind for kind in ours if kind in ranks]
    best = max(named, key=lambda kind: ranks[kind], default=None)
    return best if best is not None and ranks[best] > json else None


def _ranks(header: str) -> dict[str, Rank]:
    found: dict[str, Rank] = {}
    for place, item in enumerate(header.split(",")):
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        found.setdefault(kind, (_quality(parameters), -place - 1))
    # q=0 says "not this one".
    return {kind: rank for kind, rank in found.items() if rank[0] > 0}


_USUAL = 200  # characters: a client sends the same ones again and again, and strangers what they like
_usual_ranks = lru_cache(100)(_ranks)


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
