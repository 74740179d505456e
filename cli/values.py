"""What is written on a command line: times, spans, tags, files, and values of the filter language."""

from __future__ import annotations

import argparse
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cli.transport import USAGE, CommandError

_JWT = re.compile(r"ey[\w-]+\.[\w-]+\.[\w-]+")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def span(text: str) -> timedelta:
    """The time that `45m`, `3h` or `30d` stands for; s, m, h, d and w are known."""
    short = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if not short:
        raise argparse.ArgumentTypeError(f"'{text}' is not like 45m, 3h or 30d")
    return timedelta(**{_UNITS[short[2]]: int(short[1])})


def moment(text: str) -> str:
    """An RFC 3339 time from `3h`, `45m`, `30d`, or from such a time itself."""
    try:
        return time_text(datetime.now(UTC) + span(text))
    except argparse.ArgumentTypeError:
        pass
    try:
        return time_text(datetime.fromisoformat(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither like 3h nor like 2027-01-31T12:00Z") from None


def time_text(time: datetime) -> str:
    """RFC 3339 in UTC."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pair(text: str) -> tuple[str, str]:
    """A tag: KEY=VALUE."""
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise argparse.ArgumentTypeError(f"'{text}' is no KEY=VALUE")
    return key, value


def filter_text(value: str) -> str:
    """A string of the filter language."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}
    return '"' + "".join(escapes.get(c, c) for c in value) + '"'


def read_bytes(path: Path) -> bytes:
    """A file; `-` is standard input. Raises CommandError."""
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as e:
        raise CommandError(f"{path} cannot be read: {e.strerror}", USAGE) from None


def read_text(path: Path) -> str:
    """The text of a file; `-` is standard input. Raises CommandError."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as e:
        raise CommandError(f"{path} cannot be read: {e}", USAGE) from None


def token_text(given: str) -> tuple[str, str]:
    """The JWT, and the name of its file without the ending ("" when it came without one). Raises CommandError."""
    if _JWT.fullmatch(given.strip()):
        return given.strip(), ""
    return read_text(Path(given)).strip(), "" if given == "-" else Path(given).stem


def new_file(path: Path) -> Path:
    """A file that is not there yet. Raises CommandError."""
    if path.exists():
        raise CommandError(f"{path} is there already: name another file", USAGE)
    return path
