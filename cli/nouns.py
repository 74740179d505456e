"""The frame of `zitilite NOUN VERB`: one row a noun, one row a verb, and the verbs that any noun can have.

Wherever the API wants an id, a name will do.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from cli import output
from cli.transport import NOT_FOUND, USAGE, CommandError, Transport
from cli.values import filter_text

Arguments = argparse.Namespace
Column = tuple[str, ...]
PAGE = 500
ID, NAME, ROLES = ("ID", "id"), ("NAME", "name"), ("ATTRIBUTES", "roleAttributes")


def nothing(parser: argparse.ArgumentParser) -> None:
    """What a verb takes that needs no argument."""


@dataclass(frozen=True)
class Verb:
    """Something to do. `run` may give an exit code; `formats` are those of `--output`, the first is the default."""

    name: str
    run: Callable[[Noun, Transport, Arguments], int | None]
    help: str
    arguments: Callable[[argparse.ArgumentParser], None] = nothing
    formats: tuple[str, ...] = ("table", "json")


@dataclass(frozen=True)
class Noun:
    """A kind of thing.

    path: its collection, base path and all. columns: those of its table. listed: where it is listed with all that is
    known, when that is not `path`. called: the properties that name one, none where only ids do. spelled: gives a name
    as the API writes it. order: what all are sorted by, "" for the API's own order. bulk: what bulk requests call it.
    """

    name: str
    path: str
    columns: tuple[Column, ...]
    verbs: tuple[Verb, ...]
    help: str
    listed: str = ""
    called: tuple[str, ...] = ("name",)
    spelled: Callable[[str], str] = str
    order: str = "name"
    bulk: str = ""

    @property
    def seen_at(self) -> str:
        """Where it is listed with all that is known."""
        return self.listed or self.path

    @property
    def plural(self) -> str:
        """The last part of its path."""
        return self.path.rsplit("/", 1)[1]


# --- finding


def key_of(api: Transport, noun: Noun, wanted: str) -> str:
    """The id of what has this id or name. Raises CommandError."""
    if not noun.called:
        return wanted
    return found_by(api, noun.path, wanted, {symbol: noun.spelled(wanted) for symbol in noun.called})


def found_by(api: Transport, path: str, wanted: str, names: dict[str, str] | None = None) -> str:
    """The id of the item of a collection that has this id, or one of `names` by symbol. Raises CommandError."""
    names = {"name": wanted} if names is None else names
    where = " or ".join(f"{symbol} = {filter_text(value)}" for symbol, value in {"id": wanted, **names}.items())
    found = api.call("GET", path, query={"filter": where}).checked().data
    # An id wins: somebody may have chosen another one's id as a name.
    chosen = [row for row in found if row["id"] == wanted] or found
    if not chosen:
        raise CommandError(f"there is nothing with the id or name '{wanted}' in {path.rsplit('/', 1)[1]}", NOT_FOUND)
    if len(chosen) > 1:
        keys = ", ".join(row["id"] for row in chosen)
        raise CommandError(f"'{wanted}' stands for several: name one of the ids {keys}", USAGE)
    return str(chosen[0]["id"])


def pages(api: Transport, path: str, where: str, most: int | None = None) -> Iterator[dict[str, Any]]:
    """Every row of a collection that the filter lets through, `most` of them at most."""
    offset = 0
    while most is None or offset < most:
        limit = PAGE if most is None else min(PAGE, most - offset)
        query = {"limit": limit, "offset": offset, **({"filter": where} if where else {})}
        answer = api.call("GET", path, query=query).checked()
        rows = answer.data
        yield from rows
        offset += len(rows)
        if not rows or offset >= answer.total:
            return


# --- verbs for all


def take_filter(parser: argparse.ArgumentParser) -> None:
    """The argument of what lists."""
    parser.add_argument("filter", nargs="?", default="", help="in the filter language")
    parser.add_argument("--limit", type=int, default=None, metavar="N", help="so many at most (default: all)")


def take_name(parser: argparse.ArgumentParser) -> None:
    """The argument of what is about one."""
    parser.add_argument("name", help="name or id")


def take_names(parser: argparse.ArgumentParser) -> None:
    """The argument of what is about some."""
    parser.add_argument("names", nargs="+", metavar="name", help="names or ids")


def listing(noun: Noun, api: Transport, a: Arguments) -> None:
    """List what the filter lets through."""
    where = a.filter or (f"true sort by {noun.order}" if noun.order else "")
    show_rows(a, list(pages(api, noun.seen_at, where, a.limit)), noun.columns)


def get(noun: Noun, api: Transport, a: Arguments) -> None:
    """Show one, all of it."""
    show(a, api.call("GET", f"{noun.seen_at}/{key_of(api, noun, a.name)}").checked().data)


def show_rows(a: Arguments, rows: list[dict[str, Any]], columns: tuple[Column, ...]) -> None:
    """Print several things in the form that was asked for."""
    if a.output == "json":
        output.as_json(rows)
    else:
        output.as_table(rows, columns)


def show_row(a: Arguments, row: dict[str, Any], columns: tuple[Column, ...]) -> None:
    """Print one thing shortly, in the form that was asked for."""
    if a.output == "json":
        output.as_json(row)
    else:
        output.as_table([row], columns)


def show(a: Arguments, row: dict[str, Any]) -> None:
    """Print one thing in the form that was asked for."""
    if a.output == "json":
        output.as_json(row)
    else:
        output.as_list(row)


def delete(noun: Noun, api: Transport, a: Arguments) -> None:
    """Delete some; stops at the first that cannot be."""
    for name in a.names:
        api.call("DELETE", f"{noun.path}/{key_of(api, noun, name)}").checked()
        print(f"{name} is deleted")


LIST = Verb("list", listing, "list them", take_filter)
GET = Verb("get", get, "show one", take_name)
DELETE = Verb("delete", delete, "delete some", take_names, ("table",))


# --- the parser


def add_noun(commands: Any, noun: Noun, options: Callable[[tuple[str, ...]], argparse.ArgumentParser]) -> None:
    """Give the parser a noun with its verbs; each remembers the function that does it.

    options: the parser of what all commands have in common, for the formats of a verb.
    """
    names = ", ".join(verb.name for verb in noun.verbs)
    parser = commands.add_parser(noun.name, help=f"{noun.help}: {names}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in noun.verbs:
        one = verbs.add_parser(verb.name, help=verb.help, description=verb.help, parents=[options(verb.formats)])
        verb.arguments(one)
        one.set_defaults(act=partial(verb.run, noun))
