"""What is done to many identities or routers in one transaction: by names, ids or a filter, with a trial if wanted."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import files
from cli import output
from cli.nouns import Arguments, Noun, Verb, pages
from cli.transport import NOT_FOUND, OWN, USAGE, CommandError, Transport
from cli.values import filter_text, moment, new_file, pair, span

FORMS = {".zip": "zip", ".csv": "csv", ".html": "sheet"}
# Names in one filter, tokens in one request.
_PART, _MOST = 50, 5_000


# --- whom it is about


def take_some(parser: argparse.ArgumentParser) -> None:
    """The arguments that say whom it is about."""
    parser.add_argument("names", nargs="*", metavar="name", help="names or ids")
    parser.add_argument("--filter", default=None, help="all that this filter finds, instead of names")


def take_changes(parser: argparse.ArgumentParser) -> None:
    """The arguments of every change of many."""
    take_some(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would come of it, change nothing")
    parser.add_argument("--skip", action="store_true", help="leave out what is refused (default: change nothing then)")


def chosen(noun: Noun, api: Transport, a: Arguments) -> dict[str, Any]:
    """How a request says whom it is about. Raises CommandError where a name stands for nobody."""
    if bool(a.names) == (a.filter is not None):
        raise CommandError("say whom: names or ids, or --filter", USAGE)
    if a.filter is not None:
        return {"filter": a.filter}
    found: dict[str, str] = {}
    for start in range(0, len(a.names), _PART):
        part = ", ".join(filter_text(name) for name in a.names[start : start + _PART])
        rows = list(pages(api, noun.path, f"id in [{part}] or name in [{part}]"))
        # An id wins: somebody may have chosen another one's id as a name.
        found |= {row["name"]: row["id"] for row in rows} | {row["id"]: row["id"] for row in rows}
    for name in a.names:
        if name not in found:
            raise CommandError(f"there is nothing with the id or name '{name}' in {noun.plural}", NOT_FOUND)
    return {"ids": [found[name] for name in a.names]}


# --- changes


def change(
    action: str, done: str, noun: Noun, api: Transport, a: Arguments, more: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Change those that were chosen; prints a line for each. Gives the report, with what was refused in it."""
    body = {"action": action, "entity": noun.bulk, "dryRun": a.dry_run, "onError": "skip" if a.skip else "abort"}
    answer = api.call("POST", f"{OWN}/bulk", body | chosen(noun, api, a) | (more or {}))
    report = answer.error["cause"] if answer.code == "BULK_ABORTED" else answer.checked().data
    if a.output == "json":
        output.as_json(report)
        return dict(report)
    if a.output == "table":
        for row in report["results"]:
            if row["ok"]:
                print(f"{row['name']} {'would be' if a.dry_run else 'is'} {done}")
    for row in report["results"]:
        if not row["ok"]:
            print(f"{row['name'] or row['id']}: {row['reason']}", file=sys.stderr)
    if answer.status >= 400:
        print(f"{report['failed']} of {report['total']} were refused, so nothing was changed", file=sys.stderr)
    return dict(report)


def _exit_code(report: dict[str, Any]) -> int:
    return 1 if report["failed"] else 0


def _simple(action: str, done: str, noun: Noun, api: Transport, a: Arguments) -> int:
    return _exit_code(change(action, done, noun, api, a))


def _tag(noun: Noun, api: Transport, a: Arguments) -> int:
    attributes = {"add": a.add, "remove": a.remove}
    tags = {"set": dict(a.set), "remove": a.unset}
    if not any((a.add, a.remove, a.set, a.unset)):
        raise CommandError("say what: --add, --remove, --set or --unset", USAGE)
    more = {"roleAttributes": attributes} if a.add or a.remove else {}
    return _exit_code(change("tag", "tagged", noun, api, a, more | ({"tags": tags} if a.set or a.unset else {})))


def _take_tags(parser: argparse.ArgumentParser) -> None:
    take_changes(parser)
    parser.add_argument("--add", action="append", default=[], metavar="ATTRIBUTE", help="role attribute; repeatable")
    parser.add_argument("--remove", action="append", default=[], metavar="ATTRIBUTE", help="repeatable")
    parser.add_argument("--set", type=pair, action="append", default=[], metavar="KEY=VALUE", help="tag; repeatable")
    parser.add_argument("--unset", action="append", default=[], metavar="KEY", help="tag; repeatable")


def _new_tokens(action: str, done: str, noun: Noun, api: Transport, a: Arguments) -> int:
    report = change(action, done, noun, api, a, {"expiresAt": a.expires} if a.expires else None)
    if a.output == "jwt" and not a.dry_run:
        for jwt in token_lines(noun, api, [row["id"] for row in report["results"] if row["ok"]]):
            print(jwt)
    return _exit_code(report)


def _take_end(parser: argparse.ArgumentParser) -> None:
    take_changes(parser)
    parser.add_argument("--expires", type=moment, default=None, metavar="3h|TIME", help="end of the new tokens")


def _disable(noun: Noun, api: Transport, a: Arguments) -> int:
    minutes = max(1, round(a.time.total_seconds() / 60)) if a.time else 0
    return _exit_code(change("disable", "disabled", noun, api, a, {"durationMinutes": minutes}))


def _take_time(parser: argparse.ArgumentParser) -> None:
    take_changes(parser)
    parser.add_argument(
        "--for", type=span, dest="time", default=None, metavar="3h", help="until then (default: for good)"
    )


def _delete(noun: Noun, api: Transport, a: Arguments) -> int:
    if a.filter is not None and not (a.yes or a.dry_run):
        body = {"action": "delete", "entity": noun.bulk, "filter": a.filter, "dryRun": True}
        count = api.call("POST", f"{OWN}/bulk", body).checked().data["ok"]
        raise CommandError(
            f"that would delete {count} {noun.plural}: say so with --yes, or see them by --dry-run", USAGE
        )
    return _exit_code(change("delete", "deleted", noun, api, a))


def _take_yes(parser: argparse.ArgumentParser) -> None:
    take_changes(parser)
    parser.add_argument("--yes", action="store_true", help="with --filter: delete all that it finds")


# --- tokens


def tokens(noun: Noun, api: Transport, whom: dict[str, Any], form: str, **more: Any) -> bytes:
    """The tokens of many as a zip, a table or a sheet of QR codes."""
    body = {"entity": noun.bulk, "format": form} | whom | more
    return api.call("POST", f"{OWN}/tokens/export", body, accept="*/*").checked().content


def token_lines(noun: Noun, api: Transport, keys: list[str]) -> Iterator[str]:
    """The JWTs of those with these ids that have one, each in a line of its own."""
    for start in range(0, len(keys), _MOST):
        text = tokens(noun, api, {"ids": keys[start : start + _MOST]}, "csv").decode()
        yield from (row["jwt"] for row in csv.DictReader(io.StringIO(text)) if row["jwt"])


def write_tokens(noun: Noun, api: Transport, a: Arguments) -> None:
    """Write the tokens of many into one file, by whose ending the form is chosen."""
    form = FORMS.get(a.file.suffix.lower())
    if form is None:
        raise CommandError(f"the file must end in {', '.join(FORMS)}, not '{a.file.name}'", USAGE)
    if not a.names and a.filter is None:
        a.filter = "true"
    files.write(new_file(a.file), tokens(noun, api, chosen(noun, api, a), form, columns=a.columns))
    print(f"written: {a.file}")


def _take_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="FILE.zip, FILE.csv, or FILE.html: QR codes to print")
    take_some(parser)
    parser.add_argument("--columns", type=int, default=3, metavar="N", help="of a sheet: 1 to 6 (default: 3)")


TAG = Verb("tag", _tag, "change role attributes and tags", _take_tags)
RENEW = Verb(
    "renew",
    partial(_new_tokens, "renew", "renewed"),
    "give pending tokens, ended or not, a new text and end",
    _take_end,
    ("table", "json", "jwt"),
)
REISSUE = Verb(
    "reissue",
    partial(_new_tokens, "reissue", "re-issued"),
    "end what they log in with, and give them a token",
    _take_end,
    ("table", "json", "jwt"),
)
DISABLE = Verb("disable", _disable, "disable some, for a time or for good", _take_time)
ENABLE = Verb("enable", partial(_simple, "enable", "enabled"), "enable some", take_changes)
DELETE = Verb("delete", _delete, "delete some", _take_yes)
TOKENS = Verb(
    "tokens", write_tokens, "write the tokens of all that wait, or of some, into one file", _take_file, ("table",)
)
