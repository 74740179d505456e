"""`attempt` and `audit`: the two logs, listed, watched as they grow, and written to a file."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import files
from cli import output
from cli.nouns import GET, Arguments, Noun, Verb, listing, pages
from cli.transport import OWN, USAGE, CommandError, Transport
from cli.values import new_file, span, time_text

SHOWN = 50
LOOK_SECONDS = 1.0
FORMS = (".csv", ".jsonl")


def _take_filter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("filter", nargs="?", default="", help="in the filter language")
    parser.add_argument("--limit", type=int, default=SHOWN, metavar="N", help=f"so many at most (default: {SHOWN})")


# --- as it grows


def watch(noun: Noun, api: Transport, a: Arguments) -> int:
    """Print what comes from now on, or since a while ago. Exit code 1 when `--count` did not come within `--within`."""
    table = output.GrowingTable(noun.columns)
    for number, row in enumerate(_news(noun, api, a), 1):
        if a.output == "json":
            output.as_json_line(row)
        else:
            table.add(row)
        if number == a.count:
            return 0
    return 1 if a.count else 0


def _news(noun: Noun, api: Transport, a: Arguments) -> Iterator[dict[str, Any]]:
    """Rows that the filter lets through, as they come, until the time is over. A log's ids rise."""
    until = time.monotonic() + a.within.total_seconds() if a.within else None
    if a.since:
        since = f"createdAt > datetime({time_text(datetime.now(UTC) - a.since)})"
    else:
        newest = api.call("GET", noun.path, query={"limit": 1}).checked().data
        since = f"id > {newest[0]['id'] if newest else 0}"
    if sys.stderr.isatty():
        print("waiting for what comes; Ctrl-C ends", file=sys.stderr)
    while True:
        began = time.monotonic()
        for row in pages(api, noun.path, f"{since}{f' and ({a.filter})' if a.filter else ''} sort by id"):
            since = f"id > {row['id']}"
            yield row
        if until is not None and began >= until:
            return
        time.sleep(LOOK_SECONDS if until is None else max(0.0, min(LOOK_SECONDS, until - time.monotonic())))


def _take_watch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("filter", nargs="?", default="", help="in the filter language, without sort")
    parser.add_argument("--since", type=span, default=None, metavar="1h", help="begin with what came so long ago")
    parser.add_argument("--count", type=int, default=None, metavar="N", help="end after so many")
    parser.add_argument("--within", type=span, default=None, metavar="30s", help="end after this time")


# --- as a file


def export(noun: Noun, api: Transport, a: Arguments) -> None:
    """Write all that the filter lets through into a file, by whose ending the form is chosen."""
    if a.file.suffix not in FORMS:
        raise CommandError(f"the file must end in {' or '.join(FORMS)}, not '{a.file.name}'", USAGE)
    query = {"format": a.file.suffix[1:], **({"filter": a.filter} if a.filter else {})}
    files.write(new_file(a.file), api.call("GET", f"{noun.path}/export", query=query, accept="*/*").checked().content)
    print(f"written: {a.file}")


def _take_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help=f"FILE{' or FILE'.join(FORMS)}")
    parser.add_argument("filter", nargs="?", default="", help="in the filter language, without sort")


_VERBS = (
    Verb("list", listing, "list the newest", _take_filter),
    Verb("watch", watch, "show them as they come", _take_watch),
    GET,
    Verb("export", export, "write them to a file", _take_file, ("table",)),
)
ROWS = (
    Noun(
        "attempt",
        f"{OWN}/attempts",
        (
            ("WHEN", "createdAt"),
            ("KIND", "kind"),
            ("METHOD", "method"),
            ("OUTCOME", "outcome"),
            ("WHO", "identityName", "routerName"),
            ("FROM", "sourceAddress"),
            ("REASON", "reason"),
        ),
        _VERBS,
        "attempts to enroll, renew, verify and log in, with the reason",
        called=(),
        order="",
    ),
    Noun(
        "audit",
        f"{OWN}/audit",
        (
            ("WHEN", "createdAt"),
            ("WHO", "actorName"),
            ("FROM", "sourceAddress", "actorKind"),
            ("VERB", "verb"),
            ("ENTITY", "entity"),
            ("NAME", "entityName", "entityId"),
            ("CHANGED", "changed"),
        ),
        _VERBS,
        "who changed what",
        called=(),
        order="",
    ),
)
