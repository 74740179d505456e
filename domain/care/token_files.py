"""Tokens of many as files: a zip with one file each and a manifest, or the manifest alone with the tokens in it.

Names of devices are other people's words: file names are made safe for every system, cells of a table cannot be
taken for formulas.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from domain.context import Context
from domain.enrollment import jwt_of
from models import Enrollment
from wire.resource import now_ms, time_text

# Windows takes these for devices, with any ending.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|\Z)", re.IGNORECASE)
COLUMNS = ("file", "name", "id", "method", "expiresAt", "enrollmentId", "problem")


@dataclass(slots=True)
class Entry:
    """One token to hand out, or the reason why there is none for this item."""

    id: str
    name: str
    enrollment: Enrollment | None = None
    problem: str = ""
    file: str = ""

    def row(self) -> dict[str, Any]:
        """Its line in the manifest."""
        e = self.enrollment
        values = (
            self.file,
            self.name,
            self.id,
            e.method if e else "",
            time_text(e.expires_at) if e else "",
            e.id if e else "",
            self.problem,
        )
        return dict(zip(COLUMNS, values, strict=True))


def name_files(entries: Sequence[Entry]) -> None:
    """Give each entry with a token a file name that is safe and, in any case of letters, unlike the others."""
    taken: set[str] = set()
    for entry in entries:
        if entry.enrollment is None:
            continue
        stem, number = safe(entry.name, entry.id), 1
        file = f"{stem}.jwt"
        while file.lower() in taken:
            number += 1
            file = f"{stem}-{number}.jwt"
        taken.add(file.lower())
        entry.file = file


def safe(name: str, key: str) -> str:
    """A name as the stem of a file: letters, digits, `.`, `_` and `-`; the id where nothing is left of it."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._- ")[:100].rstrip(".")
    if not stem:
        return key
    return f"_{stem}" if _RESERVED.match(stem) else stem


def cell(value: Any) -> Any:
    """A value that a spreadsheet shows and does not compute."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def table(ctx: Context, entries: Sequence[Entry], *, with_tokens: bool) -> Iterator[bytes]:
    """The manifest as CSV; with_tokens adds a last column with the JWTs."""
    yield _csv_row([*COLUMNS, "jwt"] if with_tokens else list(COLUMNS))
    for entry in entries:
        row = [cell(v) for v in entry.row().values()]
        if with_tokens:
            row.append(jwt_of(ctx, entry.enrollment) if entry.enrollment else "")
        yield _csv_row(row)


def _csv_row(values: Sequence[Any]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(values)
    return out.getvalue().encode()


def archive(ctx: Context, entries: Sequence[Entry]) -> Iterator[bytes]:
    """The zip: NAME.jwt for each token, manifest.csv and manifest.json. Made while it is sent."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        for entry in entries:
            if entry.enrollment is not None:
                made.writestr(entry.file, jwt_of(ctx, entry.enrollment))
                yield from pipe.taken()
        made.writestr("manifest.csv", b"".join(table(ctx, entries, with_tokens=False)))
        made.writestr("manifest.json", json.dumps(_manifest(ctx, entries), ensure_ascii=False, indent=1))
        yield from pipe.taken()
    yield from pipe.taken()


def _manifest(ctx: Context, entries: Sequence[Entry]) -> dict[str, Any]:
    return {"controller": ctx.ctrl.url, "madeAt": time_text(now_ms()), "tokens": [e.row() for e in entries]}


class _Pipe(io.RawIOBase):
    """What the zip is written to; it cannot go back, so that what was written can leave."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """It only takes."""
        return True

    def write(self, data: Any) -> int:
        """Keep a part until it is taken."""
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> Iterator[bytes]:
        """All that was written since the last call."""
        parts, self._parts = self._parts, []
        if parts:
            yield b"".join(parts)
