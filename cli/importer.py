"""`import`: a CSV file becomes identities or routers, with a trial first and a bar while it runs."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import files
from cli import output
from cli.transport import OWN, USAGE, Answer, CommandError, Transport

CHUNK = 250
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def add_commands(commands: Any, options: Callable[[tuple[str, ...]], argparse.ArgumentParser]) -> None:
    """Give the parser this command."""
    common = options(("table", "json"))
    parser = commands.add_parser("import", help="make identities or routers from a CSV file", parents=[common])
    parser.add_argument("file", type=Path, help="its first line names the columns; see docs/guide/bulk.md")
    parser.add_argument("--entity", choices=("identities", "edge-routers", "transit-routers"), default="identities")
    parser.add_argument("--dry-run", action="store_true", help="check every line, change nothing")
    parser.add_argument("--skip", action="store_true", help="leave out lines that are refused (default: write nothing)")
    parser.add_argument("--tokens", type=Path, default=None, metavar="ZIP", help="write the tokens to this zip file")
    parser.set_defaults(act=run)


def run(api: Transport, a: argparse.Namespace) -> int:
    """Try all lines, tell what would be refused, then write in pieces. Exit code 1 when lines were refused."""
    if a.tokens and a.tokens.exists():
        raise CommandError(f"{a.tokens} is there already: name another file", USAGE)
    try:
        raw = a.file.read_bytes()
    except OSError as e:
        raise CommandError(f"{a.file} cannot be read: {e.strerror}", USAGE) from None
    trial = _send(api, raw, a.entity, dryRun="true", onError="skip").checked().data
    refused = [row for row in trial["results"] if not row["ok"]]
    if a.dry_run or (refused and not a.skip):
        _tell(trial["total"], refused, "would be made" if not refused or a.skip else "nothing was written", a)
        return 1 if refused else 0
    made = [row["id"] for row in _write(api, raw, a.entity, trial["total"]) if row["ok"]]
    if a.tokens and made:
        body = {"ids": made, "entity": a.entity, "format": "zip"}
        answer = api.call("POST", f"{OWN}/tokens/export", body, accept="application/zip").checked()
        files.write(a.tokens, answer.content)
    _tell(trial["total"], refused, f"{len(made)} made", a)
    return 1 if refused else 0


def _send(api: Transport, raw: bytes, entity: str, **query: Any) -> Answer:
    return api.call("POST", f"{OWN}/bulk", raw, query={"entity": entity, **query}, content_type="text/csv")


def _write(api: Transport, raw: bytes, entity: str, total: int) -> Iterator[dict[str, Any]]:
    """Send piece after piece; gives the result of each row."""
    bar, first = output.Progress(total, "importing"), 1
    for piece, count in pieces(raw):
        yield from _send(api, piece, entity, onError="skip", firstRow=first).checked().data["results"]
        first += count
        bar.at(first - 1)


def pieces(raw: bytes) -> Iterator[tuple[bytes, int]]:
    """The file in pieces of some rows, each with the line that names the columns; and how many rows it has."""
    text = raw.decode(_MARKS.get(raw[:2], "utf-8-sig"))
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    header = next(lines, [])
    rows = [cells for cells in lines if any(c.strip() for c in cells)]
    for start in range(0, len(rows), CHUNK):
        piece = io.StringIO()
        chosen = rows[start : start + CHUNK]
        csv.writer(piece, delimiter=separator).writerows([header, *chosen])
        yield piece.getvalue().encode(), len(chosen)


def _tell(total: int, refused: list[dict[str, Any]], outcome: str, a: argparse.Namespace) -> None:
    if a.output == "json":
        output.as_json({"total": total, "refused": refused, "outcome": outcome})
        return
    for row in refused:
        print(f"line {row['line']}: {output.cell(row['name'])}: {row['reason']}")
    print(f"{total} lines, {len(refused)} refused; {outcome}" + (f"; tokens in {a.tokens}" if a.tokens else ""))
