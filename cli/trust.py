"""`certificate`, `blocked` and `address`: what clients trust, what they must not, and where they find it."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from cli.nouns import (
    DELETE,
    GET,
    ID,
    LIST,
    NAME,
    Arguments,
    Column,
    Noun,
    Verb,
    key_of,
    pages,
    show,
    show_row,
    show_rows,
    take_filter,
    take_name,
)
from cli.transport import NOT_FOUND, OWN, USAGE, CommandError, Transport
from cli.values import filter_text, read_text

KEYS = ("P-256", "P-384", "RSA-2048", "RSA-3072", "RSA-4096")
_HELD: tuple[Column, ...] = (
    ("KIND", "kind"),
    ("CURRENT", "isCurrent"),
    ("UNTIL", "notAfter"),
    ("SUBJECT", "subject"),
)


# --- certificates


def rollover(noun: Noun, api: Transport, a: Arguments) -> None:
    """Replace the intermediate or the root; old and new are trusted side by side. Prints those that are."""
    body = {"what": a.what, **({"key": a.key} if a.key else {})}
    held = api.call("POST", f"{noun.path}/rollover", body).checked().data
    show_rows(a, held, _HELD)


def _take_what(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("intermediate", "root"))
    parser.add_argument("--key", choices=KEYS, default="", help="kind of the new key (default: the setting ca_key)")


def block(noun: Noun, api: Transport, a: Arguments) -> None:
    """Block a certificate from the next request on, or all that an identity or router has."""
    if sum(map(bool, (a.which, a.of, a.fingerprint, a.serial))) != 1:
        raise CommandError("say which: a file, fingerprint or serial, or --of NAME", USAGE)
    made = [api.call("POST", noun.path, {**names, "reason": a.reason}).checked().data["id"] for names in _named(api, a)]
    rows = [api.call("GET", f"{noun.path}/{key}").checked().data for key in made]
    show_rows(a, rows, noun.columns)


def _named(api: Transport, a: Arguments) -> list[dict[str, str]]:
    """How the API is told each certificate."""
    if a.fingerprint:
        return [{"fingerprint": a.fingerprint}]
    if a.serial:
        return [{"serial": a.serial, **({"issuer": a.issuer} if a.issuer else {})}]
    if a.which and Path(a.which).is_file():
        return [{"certPem": read_text(Path(a.which))}]
    if a.of:
        where, missing = f"ownerName = {filter_text(a.of)}", f"'{a.of}' has no certificate that works"
        where += ' and isCurrent = true and state in ["ok", "expiring"]'
    else:
        where, missing = _digits(a.which), f"no certificate with the fingerprint or serial '{a.which}' is known here"
        missing += ": --fingerprint or --serial block one that is not"
    rows = list(pages(api, f"{OWN}/certificates", where))
    if not rows:
        raise CommandError(missing, NOT_FOUND)
    if a.which and len(rows) > 1:
        raise CommandError(f"several have the serial '{a.which}': say which by their fingerprints", USAGE)
    return [{"fingerprint": row["fingerprint"]} for row in rows]


def _digits(text: str) -> str:
    """The filter for a fingerprint or serial; many serials have as many digits as a fingerprint."""
    plain = plain_hex(text)
    if not re.fullmatch(r"[0-9a-f]+", plain):
        raise CommandError(f"'{text}' is neither a file nor a fingerprint or serial (hexadecimal digits)", USAGE)
    return f'fingerprint = "{plain}" or serial = "{plain}"'


def plain_hex(text: str) -> str:
    """A fingerprint or serial as openssl prints it, the way the API writes it."""
    plain = re.sub(r"[\s:]", "", text).lower().removeprefix("0x")
    return plain if len(plain) % 2 == 0 else f"0{plain}"


def _take_certificate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("which", nargs="?", default="", help="file with the certificate, its fingerprint, or serial")
    parser.add_argument("--of", default="", metavar="NAME", help="the certificates of this identity or router")
    parser.add_argument("--fingerprint", default="", help="of one that need not be known here (SHA-1 or SHA-256)")
    parser.add_argument("--serial", default="", help="of one that need not be known here")
    parser.add_argument("--issuer", default="", help="with --serial: the name of the CA")
    parser.add_argument("--reason", default="", help="for those who look later")


# --- addresses


def listing(noun: Noun, api: Transport, a: Arguments) -> None:
    """List addresses; those that nobody has looked at yet are looked at now."""
    rows = list(pages(api, noun.path, a.filter or f"true sort by {noun.order}", a.limit))
    rows = [row if row["checkedAt"] else _looked_at(noun, api, row) for row in rows]
    show_rows(a, rows, noun.columns)


def add(noun: Noun, api: Transport, a: Arguments) -> None:
    """Add an address; the server certificate names it from then on."""
    made = api.call("POST", noun.path, {"address": a.address, "isIssuer": a.issuer, "isAnnounced": not a.silent})
    _shown(noun, api, a, made.checked().data["id"])


def change(noun: Noun, api: Transport, a: Arguments) -> None:
    """Make an address the one in tokens, or tell clients about it or not."""
    changes: dict[str, Any] = {"isIssuer": True} if a.issuer else {}
    if a.announced:
        changes["isAnnounced"] = a.announced == "on"
    if not changes:
        raise CommandError("say what: --issuer or --announced", USAGE)
    key = key_of(api, noun, a.name)
    api.call("PATCH", f"{noun.path}/{key}", changes).checked()
    _shown(noun, api, a, key)


def check(noun: Noun, api: Transport, a: Arguments) -> int:
    """Look at an address now. Exit code 1 when clients could not use it."""
    found = api.call("POST", f"{noun.path}/{key_of(api, noun, a.name)}/check").checked().data
    show(a, found)
    return 1 if found["problem"] else 0


def users(noun: Noun, api: Transport, a: Arguments) -> None:
    """List the identities and routers that last enrolled by an address."""
    key = key_of(api, noun, a.name)
    rows = [
        {"kind": kind, "id": row["id"], "name": row["name"]}
        for kind, path in (("identity", "identities"), ("router", "routers"))
        for row in pages(api, f"{noun.path}/{key}/{path}", "")
    ]
    show_rows(a, rows, (("KIND", "kind"), ID, NAME))


def _looked_at(noun: Noun, api: Transport, row: dict[str, Any]) -> dict[str, Any]:
    seen: dict[str, Any] = api.call("POST", f"{noun.path}/{row['id']}/check").checked().data
    return row | seen


def _shown(noun: Noun, api: Transport, a: Arguments, key: str) -> None:
    show_row(a, _looked_at(noun, api, api.call("GET", f"{noun.path}/{key}").checked().data), noun.columns)


def _take_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", help="HOST[:PORT]")
    parser.add_argument("--issuer", action="store_true", help="new tokens name this one")
    parser.add_argument("--silent", action="store_true", help="clients are not told about it")


def _take_change(parser: argparse.ArgumentParser) -> None:
    take_name(parser)
    parser.add_argument("--issuer", action="store_true", help="new tokens name this one")
    parser.add_argument("--announced", choices=("on", "off"), default="", help="whether clients are told about it")


ROWS = (
    Noun(
        "certificate",
        f"{OWN}/certificates",
        (
            ("KIND", "kind"),
            ("OWNER", "ownerName"),
            ("STATE", "state"),
            ("UNTIL", "notAfter"),
            ("FINGERPRINT", "fingerprint"),
            ("SUBJECT", "subject"),
        ),
        (LIST, GET, Verb("rollover", rollover, "replace the intermediate or the root", _take_what)),
        "every certificate there is",
        called=("fingerprint", "serial"),
        spelled=plain_hex,
        order="notAfter",
    ),
    Noun(
        "blocked",
        f"{OWN}/blocked-certificates",
        (ID, ("SERIAL", "serial"), ("OWNER", "identityName", "routerName"), ("BY", "blockedBy"), ("REASON", "reason")),
        (Verb("add", block, "block a certificate, from the next request on", _take_certificate), LIST, GET, DELETE),
        "certificates that must not work any more",
        called=("fingerprint", "serial"),
        spelled=plain_hex,
        order="createdAt",
    ),
    Noun(
        "address",
        f"{OWN}/addresses",
        (
            ("ADDRESS", "address"),
            ("ISSUER", "isIssuer"),
            ("ANNOUNCED", "isAnnounced"),
            ("ANSWERS", "answers"),
            ("ENROLLED", "enrolledCount"),
            ("PROBLEM", "problem"),
        ),
        (
            Verb("add", add, "add one, while everything goes on", _take_address),
            Verb("list", listing, LIST.help, take_filter),
            GET,
            Verb("change", change, "make it the one in tokens, or tell clients about it or not", _take_change),
            Verb("check", check, "look at it now", take_name),
            Verb("users", users, "who enrolled by it", take_name),
            DELETE,
        ),
        "by which clients reach the controller",
        called=("address", "host"),
        order="address",
    ),
)
