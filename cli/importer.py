"""`import`: a CSV file becomes identities or routers, with a trial first and a bar while it runs."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import files
from cli import output
from cli.transport import OWN, USAGE, CommandError, Transport
from cli.values import new_file, read_bytes

# Lines of one request: few enough to show how it goes, many enough to be tried at once. What the API takes at most.
CHUNK, TRIAL = 250, 10_000
SHOWN = 100
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
    raw = read_bytes(a.file)
    if a.tokens:
        new_file(a.tokens)
    tried = list(_once_each(_send_all(api, raw, a, TRIAL, "checking", dryRun="true")))
    refused = [row for row in tried if not row["ok"]]
    if a.dry_run or (refused and not a.skip):
        _tell(len(tried), refused, "would be made" if not refused or a.skip else "nothing was written", a)
        return 1 if refused else 0
    written = list(_send_all(api, raw, a, CHUNK, "importing"))
    # Somebody else may have taken a name meanwhile.
    refused = [row for row in written if not row["ok"]]
    made = [row["id"] for row in written if row["ok"]]
    zips = _write_tokens(api, made, a) if a.tokens else []
    _tell(len(written), refused, f"{len(made)} made" + (f"; tokens in {', '.join(zips)}" if zips else ""), a)
    return 1 if refused else 0


def _once_each(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Results of a trial, in which a piece does not know the names of those before it."""
    seen: set[str] = set()
    for row in rows:
        is_again = row["ok"] and row["name"] in seen
        seen.add(row["name"])
        yield row | {"ok": False, "reason": "the name stands in an earlier line, too"} if is_again else row


def _send_all(
    api: Transport, raw: bytes, a: argparse.Namespace, size: int, what: str, **query: Any
) -> Iterator[dict[str, Any]]:
    """Send piece after piece; gives the result of each row, with its line in the file."""
    lines: list[int] = []
    bar: output.Progress | None = None
    for piece, total, numbers in pieces(raw, size):
        bar = bar or output.Progress(total, what)
        asked = {"entity": a.entity, "onError": "skip", "firstRow": len(lines) + 1, **query}
        answer = api.call("POST", f"{OWN}/bulk", piece, query=asked, content_type="text/csv").checked()
        lines += numbers
        yield from (row | {"line": lines[row["row"] - 1]} for row in answer.data["results"])
        bar.at(len(lines))
    if not lines:
        raise CommandError(f"{a.file} has no line below the one that names the columns", USAGE)


def pieces(raw: bytes, size: int) -> Iterator[tuple[bytes, int, list[int]]]:
    """The file in pieces of so many rows, each with the line that names the columns.

    Gives the piece, how many rows the whole file has, and the lines of the piece's rows in the file. A file that
    fits into one piece, or that cannot be read, is given as it is: what is wrong with it is the API's to say.
    """
    try:
        text = raw.decode(_MARKS.get(raw[:2], "utf-8-sig"))
        separator = max(",;\t", key=text.split("\n", 1)[0].count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
        header = next(reader, [])
        rows = [(reader.line_num, cells) for cells in reader if any(c.strip() for c in cells)]
    except (UnicodeDecodeError, csv.Error):
        yield raw, 1, [1]
        return
    for start in range(0, len(rows), size):
        chosen = rows[start : start + size]
        piece = io.StringIO()
        csv.writer(piece, delimiter=separator).writerows([header, *(cells for _, cells in chosen)])
        content = raw if len(chosen) == len(rows) else piece.getvalue().encode()
        yield content, len(rows), [number for number, _ in chosen]


def _write_tokens(api: Transport, made: list[str], a: argparse.Namespace) -> list[str]:
    """The tokens as a zip, or as several where they are more than one may hold; gives their names."""
    names = []
    for number, start in enumerate(range(0, len(made), TRIAL), 1):
        path: Path = a.tokens if number == 1 else a.tokens.with_stem(f"{a.tokens.stem}-{number}")
        body = {"ids": made[start : start + TRIAL], "entity": a.entity, "format": "zip"}
        answer = api.call("POST", f"{OWN}/tokens/export", body, accept="application/zip").checked()
        files.write(path, answer.content)
        names.append(str(path))
    return names


def _tell(total: int, refused: list[dict[str, Any]], outcome: str, a: argparse.Namespace) -> None:
    if a.output == "json":
        output.as_json({"total": total, "refused": refused, "outcome": outcome})
        return
    for row in refused[:SHOWN]:
        print(f"line {row['line']}: {output.cell(row['name'])}: {row['reason']}")
    if len(refused) > SHOWN:
        print(f"… and {len(refused) - SHOWN} more: --output json has all of them")
    print(f"{total} lines, {len(refused)} refused; {outcome}")
