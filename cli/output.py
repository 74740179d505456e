"""What commands print: a table for people, JSON for programs, a bare JWT for pipes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

_LONGEST, _LONGEST_ALONE = 48, 160
_FIRST = ("id", "name")


def as_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def as_json_line(value: Any) -> None:
    """Print a value as JSON in one line, at once."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def cell(value: Any, longest: int = _LONGEST) -> str:
    """A value as one cell: one line, nothing that moves the cursor, not too long. A reference is shown by its name."""
    if value is None or value in ("", [], {}):
        return "-"
    match value:
        case bool():
            shown = "yes" if value else "no"
        case list():
            shown = " ".join(cell(one, longest) for one in value)
        case {"name": str(name), "id": str()}:
            shown = name
        case dict():
            shown = " ".join(f"{k}={cell(v, longest)}" for k, v in value.items())
        case _:
            shown = str(value)
    plain = "".join(c if c.isprintable() else "?" for c in shown)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def line(row: dict[str, Any], columns: Sequence[tuple[str, ...]]) -> list[str]:
    """The cells of a row. A column is its title and properties, of which the first that says something is shown.

    The last one is what the others lead to: it is shown whole.
    """
    last = len(columns) - 1
    values = (next((row[name] for name in names if row.get(name)), row.get(names[0])) for _, *names in columns)
    return [cell(value, sys.maxsize if i == last else _LONGEST) for i, value in enumerate(values)]


def as_table(rows: Iterable[dict[str, Any]], columns: Sequence[tuple[str, ...]]) -> None:
    """Print rows below each other; see `line` for the columns."""
    lines = [[title for title, *_ in columns], *(line(row, columns) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for cells in lines:
        print("  ".join(map(str.ljust, cells, widths)).rstrip())


def as_list(row: dict[str, Any]) -> None:
    """Print all that is known about one thing, a property a line."""
    names = [name for name in _FIRST if name in row] + sorted(row.keys() - {"_links", *_FIRST})
    width = max(map(len, names))
    for name in names:
        value = row[name]
        # What a person wrote is shown whole, line for line; what consists of parts is only hinted at.
        shown = [cell(part, sys.maxsize) for part in value.splitlines()] if isinstance(value, str) and value else []
        print(f"{name:{width}}  " + f"\n{' ' * width}  ".join(shown or [cell(value, _LONGEST_ALONE)]))


class GrowingTable:
    """A table whose rows come one after the other; its columns widen as they must. The titles come with the first."""

    def __init__(self, columns: Sequence[tuple[str, ...]]) -> None:
        self._columns = columns
        self._widths: list[int] = []

    def add(self, row: dict[str, Any]) -> None:
        """Print one more."""
        cells, titles = line(row, self._columns), [title for title, *_ in self._columns]
        before = self._widths or [len(title) for title in titles]
        widths = [max(width, len(text)) for width, text in zip(before, cells, strict=True)]
        for texts in [cells] if self._widths else [titles, cells]:
            print("  ".join(map(str.ljust, texts, widths)).rstrip(), flush=True)
        self._widths = widths


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
