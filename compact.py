"""JSON as compact text, as it is stored, compared and sent. Imports nothing of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson


def dump(value: Any, *, default: Callable[[Any], Any] | None = None, is_sorted: bool = False) -> bytes:
    """The document in UTF-8, without a space. Raises TypeError for what JSON has no type for, unless `default` has.

    orjson refuses integers of more than 64 bits, which clients may send in tags, and half surrogate pairs. The
    standard library takes the former; the latter become question marks.
    """
    try:
        return orjson.dumps(value, default, option=orjson.OPT_SORT_KEYS if is_sorted else None)
    except TypeError:
        plain = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=is_sorted, default=default)
        return plain.encode("utf-8", "replace")


def text(value: Any) -> str:
    """The same as a text, as it is stored and bound."""
    return dump(value).decode()


def load(stored: str) -> Any:
    """The document of such a text. Raises ValueError."""
    try:
        return orjson.loads(stored)
    except ValueError:
        return json.loads(stored)
