"""CSV as rows to create: which text it is, what its columns mean, and which line is wrong.

The first line names the columns. Comma, semicolon and tab separate, whichever the first line uses; UTF-8 with or
without a mark, or UTF-16 with one, as spreadsheets write them. What concerns the whole file raises; what concerns
one line is kept with it, so that all mistakes of a file are answered at once.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from models import AuthPolicy, Ca
from wire.errors import ApiError, field_error
from wire.resource import parse_time

Json = dict[str, Any]


@dataclass(slots=True)
class Line:
    """One line with data: its number in the file, the body it stands for, or what is wrong with it."""

    number: int
    body: Json = field(default_factory=dict)
    error: ApiError | None = None


def read(raw: bytes, kind: str, most: int) -> list[Line]:
    """The lines of a file for entities of this kind. Raises what is wrong with the file as a whole."""
    text = _decode(raw)
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    # strict: a quote that never ends would swallow the rest of the file silently
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
    lines: list[Line] = []
    try:
        header = _header(next(reader, []), kind)
        for cells in reader:
            if any(c.strip() for c in cells):
                lines.append(_line(reader.line_num, header, cells, kind))
            if len(lines) > most:
                raise field_error("rows", f"the file has more than the {most} lines that one request may hold", most)
    except csv.Error as e:
        raise ApiError("COULD_NOT_PARSE_BODY", f"line {reader.line_num}: {e}") from None
    return lines


def _decode(raw: bytes) -> str:
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "utf-16" if raw.startswith(marks) else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as e:
        line = raw.count(b"\n", 0, e.start) + 1
        raise ApiError(
            "COULD_NOT_PARSE_BODY", f"line {line} is no UTF-8: save the file as CSV in UTF-8 and send it again"
        ) from None
    if "\0" in text:
        raise ApiError("COULD_NOT_PARSE_BODY", f"line {text.count(chr(10), 0, text.index(chr(0))) + 1} has a NUL in it")
    return text


# --- columns


def _text(value: str) -> str:
    return value


def _words(value: str) -> list[str]:
    return [word for word in re.split(r"[\s;,]+", value) if word]


def _bool(value: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if value.lower() not in known:
        raise ValueError(f"'{value}' is neither true nor false")
    return known[value.lower()]


def _int(value: str) -> int:
    if not re.fullmatch(r"-?\d{1,9}", value):
        raise ValueError(f"'{value}' is no whole number")
    return int(value)


def _time(value: str) -> str:
    """A date alone is its last second, UTC."""
    full = f"{value}T23:59:59Z" if re.fullmatch(r"\d{4}-\d\d-\d\d", value) else value
    try:
        parse_time(full)
    except (ValueError, OverflowError):
        raise ValueError(f"'{value}' is neither a date (2026-12-31) nor a time (2026-12-31T12:00:00Z)") from None
    return full


Convert = Callable[[str], Any]
_COMMON: dict[str, Convert] = {"name": _text, "roleAttributes": _words}
COLUMNS: dict[str, dict[str, Convert]] = {
    "identities": {
        **_COMMON,
        "type": _text,
        "isAdmin": _bool,
        "externalId": _text,
        "authPolicy": _text,
        "enrollment": _text,
        "ca": _text,
        "username": _text,
        "expiresAt": _time,
    },
    "edge-routers": {
        **_COMMON,
        "cost": _int,
        "noTraversal": _bool,
        "disabled": _bool,
        "isTunnelerEnabled": _bool,
    },
    "transit-routers": {"name": _text, "cost": _int, "noTraversal": _bool, "disabled": _bool},
}
_ALIASES = {"method": "enrollment", "attributes": "roleAttributes", "roles": "roleAttributes", "caid": "ca"}


def _header(cells: list[str], kind: str) -> list[tuple[str, Convert]]:
    """The columns of the first line, by name and converter. Upper and lower case are the same."""
    known = {name.lower(): name for name in COLUMNS[kind]} | {a: n for a, n in _ALIASES.items() if n in COLUMNS[kind]}
    found: list[tuple[str, Convert]] = []
    for place, cell in enumerate(cells, 1):
        word = cell.strip()
        if word.lower().startswith("tags.") and len(word) > len("tags."):
            found.append((f"tags.{word[5:]}", _text))
        elif word.lower() in known:
            name = known[word.lower()]
            found.append((name, COLUMNS[kind][name]))
        else:
            names = ", ".join((*COLUMNS[kind], "tags.NAME"))
            raise ApiError("COULD_NOT_PARSE_BODY", f"line 1: column {place} is '{word}'; known are {names}")
    names_found = Counter(name for name, _ in found)
    twice = sorted(name for name, times in names_found.items() if times > 1)
    if twice:
        raise ApiError("COULD_NOT_PARSE_BODY", f"line 1: column '{twice[0]}' is there twice")
    if "name" not in names_found:
        raise ApiError("COULD_NOT_PARSE_BODY", "line 1: there is no column 'name'")
    return found


def _line(number: int, header: list[tuple[str, Convert]], cells: list[str], kind: str) -> Line:
    if len(cells) > len(header):
        text = f"{len(cells)} values for {len(header)} columns: a value with a separator in it needs quotes"
        return Line(number, {"name": cells[0]}, field_error("line", text, number))
    values: Json = {}
    for (name, convert), cell in zip(header, cells, strict=False):
        text = cell.strip()
        if not text:
            continue
        try:
            values[name] = convert(text)
        except ValueError as e:
            return Line(number, {"name": values.get("name", "")}, field_error(name, str(e), text))
    try:
        return Line(number, _body(values, kind))
    except ApiError as e:
        return Line(number, {"name": values.get("name", "")}, e)


def _body(values: Json, kind: str) -> Json:
    """The body of a create. An empty cell is as if it were not there."""
    tags = {name[5:]: values.pop(name) for name in list(values) if name.startswith("tags.")}
    body = {name: v for name, v in values.items() if name not in ("authPolicy", "enrollment", "ca", "username")}
    expires = body.pop("expiresAt", None)
    if tags:
        body["tags"] = tags
    if kind != "identities":
        return body
    if "authPolicy" in values:
        body["authPolicyId"] = _id_of(AuthPolicy, "authPolicy", values["authPolicy"])
    wanted = _enrollment(values)
    if wanted:
        body["enrollment"] = wanted | ({"expiresAt": expires} if expires else {})
    return body


def _enrollment(values: Json) -> Json:
    """What the columns enrollment, ca and username ask for. Without any of them: a one-time token."""
    method = values.get("enrollment", "").lower()
    if not method:
        method = "ottca" if "ca" in values else "updb" if "username" in values else "ott"
    if method in ("none", "-"):
        return {}
    if method == "ott":
        return {"ott": True}
    if method == "updb":
        if "username" not in values:
            raise field_error("username", "enrollment updb needs a value in column username", "")
        return {"updb": values["username"]}
    if method == "ottca":
        if "ca" not in values:
            raise field_error("ca", "enrollment ottca needs a value in column ca", "")
        return {"ottca": _id_of(Ca, "ca", values["ca"])}
    raise field_error("enrollment", f"'{method}' is none of ott, ottca, updb and none", method)


def _id_of(model: Any, column: str, wanted: str) -> str:
    """The id of what a cell names by its id or its name."""
    row = model.get_or_none((model.id == wanted) | (model.name == wanted))
    if row is None:
        raise field_error(column, f"there is none with the name or id '{wanted}'", wanted)
    return str(row.id)
