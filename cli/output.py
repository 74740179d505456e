"""What commands print: a table for people, JSON for programs, a bare JWT for pipes."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

FORMATS = ("table", "json", "jwt")
_LONGEST = 48


def as_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def cell(value: Any) -> str:
    """A value as one cell: one line, nothing that moves the cursor, not too long."""
    match value:
        case None | "" | [] | {}:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            shown = " ".join(map(str, value))
        case dict():
            shown = " ".join(f"{k}={v}" for k, v in value.items())
        case _:
            shown = str(value)
    plain = "".join(c if c.isprintable() else "?" for c in shown)
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"


def as_table(rows: Sequence[dict[str, Any]], columns: Sequence[tuple[str, str]]) -> None:
    """Print rows below each other; columns are (title, property)."""
    lines = [[title for title, _ in columns]]
    lines += [[cell(row.get(name)) for _, name in columns] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


class Progress:
    """A bar on standard error while it is a terminal, nothing otherwise."""

    def __init__(self, total: int, what: str) -> None:
        self.total, self.what, self.shown = max(total, 1), what, sys.stderr.isatty()

    def at(self, done: int) -> None:
        """Say how many are done."""
        if not self.shown:
            return
        full = 30 * done // self.total
        end = "\n" if done >= self.total else ""
        sys.stderr.write(f"\r{self.what} [{'#' * full}{'.' * (30 - full)}] {done}/{self.total}{end}")
        sys.stderr.flush()
