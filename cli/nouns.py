"""`identity`, `router`, `ca`: what can be created, listed, shown, tokened, verified and deleted.

One row a noun; the verbs are written once. Wherever the API wants an id, a name will do.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cli import output
from cli.transport import MANAGEMENT, NOT_FOUND, OWN, USAGE, CommandError, Transport

Arguments = argparse.Namespace
PAGE = 500
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Noun:
    """A kind of thing: its collection, where it is listed with all that is known, and the columns of its table."""

    name: str
    path: str
    listed: str
    columns: tuple[tuple[str, str], ...]
    arguments: Callable[[argparse.ArgumentParser], None]
    body: Callable[[Transport, Arguments], dict[str, Any]]


# --- finding


def filter_text(value: str) -> str:
    """A string of the filter language."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}
    return '"' + "".join(escapes.get(c, c) for c in value) + '"'


def key_of(api: Transport, path: str, wanted: str) -> str:
    """The id of what has this id or name. Raises CommandError."""
    where = f"id = {filter_text(wanted)} or name = {filter_text(wanted)}"
    found = api.call("GET", f"{MANAGEMENT}/{path}", query={"filter": where}).checked().data
    # An id wins: somebody may have chosen another one's id as a name.
    chosen = next((row for row in found if row["id"] == wanted), found[0] if found else None)
    if chosen is None:
        raise CommandError(f"there is nothing with the id or name '{wanted}' in {path}", NOT_FOUND)
    return str(chosen["id"])


def pages(api: Transport, path: str, where: str) -> Iterator[dict[str, Any]]:
    """Every row of a collection that the filter lets through."""
    offset = 0
    while True:
        query = {"limit": PAGE, "offset": offset, **({"filter": where} if where else {})}
        answer = api.call("GET", path, query=query).checked()
        rows = answer.data
        yield from rows
        offset += len(rows)
        if not rows or offset >= answer.document["meta"]["pagination"]["totalCount"]:
            return


# --- values


def moment(text: str) -> str:
    """An RFC 3339 time from `3h`, `45m`, `30d`, or from such a time itself."""
    short = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if short:
        ahead = timedelta(**{_UNITS[short[2]]: int(short[1])})
        return (datetime.now(UTC) + ahead).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither like 3h nor like 2027-01-31T12:00Z") from None
    return found.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pair(text: str) -> tuple[str, str]:
    """A tag: KEY=VALUE."""
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise argparse.ArgumentTypeError(f"'{text}' is no KEY=VALUE")
    return key, value


def read_file(path: Path) -> str:
    """The text of a file; `-` is standard input."""
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text()
    except (OSError, UnicodeDecodeError) as e:
        raise CommandError(f"{path} cannot be read: {e}", USAGE) from None


# --- what each noun is created from


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--attribute", "-a", action="append", default=[], help="role attribute; repeatable")
    parser.add_argument("--tag", type=pair, action="append", default=[], metavar="KEY=VALUE", help="repeatable")


def _identity_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--method", choices=("ott", "ottca", "updb", "none"), default="ott", help="how it enrolls")
    parser.add_argument("--ca", default="", help="for ottca: id or name of the CA")
    parser.add_argument("--username", default="", help="for updb (default: the name)")
    parser.add_argument("--expires", type=moment, default=None, metavar="3h|TIME", help="end of the token")
    parser.add_argument("--admin", action="store_true", help="make it an administrator")
    parser.add_argument("--external-id", default="")


def _identity_body(api: Transport, a: Arguments) -> dict[str, Any]:
    enrollment: dict[str, Any] = {}
    match a.method:
        case "ott":
            enrollment["ott"] = True
        case "ottca":
            if not a.ca:
                raise CommandError("--method ottca needs --ca", USAGE)
            enrollment["ottca"] = key_of(api, "cas", a.ca)
        case "updb":
            enrollment["updb"] = a.username or a.name
    if enrollment and a.expires:
        enrollment["expiresAt"] = a.expires
    body = {"name": a.name, "type": "Default", "isAdmin": a.admin, "roleAttributes": a.attribute, "tags": dict(a.tag)}
    if a.external_id:
        body["externalId"] = a.external_id
    return {**body, **({"enrollment": enrollment} if enrollment else {})}


def _router_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--tunneler", action="store_true", help="with a tunneler identity of the same name")


def _router_body(api: Transport, a: Arguments) -> dict[str, Any]:
    return {
        "name": a.name,
        "isTunnelerEnabled": a.tunneler,
        "roleAttributes": a.attribute,
        "tags": dict(a.tag),
    }


def _ca_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--cert", type=Path, required=True, help="the CA's certificate, PEM; - reads standard input")
    parser.add_argument("--no-auto", action="store_true", help="its devices may not join by themselves")
    parser.add_argument("--no-ottca", action="store_true", help="its devices may not join with a token")
    parser.add_argument("--no-auth", action="store_true", help="its devices may not connect")
    parser.add_argument("--name-format", default="", help="default: [caName]-[commonName]")


def _ca_body(api: Transport, a: Arguments) -> dict[str, Any]:
    body = {
        "name": a.name,
        "certPem": read_file(a.cert),
        "isAutoCaEnrollmentEnabled": not a.no_auto,
        "isOttCaEnrollmentEnabled": not a.no_ottca,
        "isAuthEnabled": not a.no_auth,
        "identityRoles": a.attribute,
        "tags": dict(a.tag),
    }
    return {**body, **({"identityNameFormat": a.name_format} if a.name_format else {})}


_ID, _NAME, _ROLES = ("ID", "id"), ("NAME", "name"), ("ATTRIBUTES", "roleAttributes")
NOUNS = (
    Noun(
        "identity",
        "identities",
        f"{OWN}/identities",
        (
            _ID,
            _NAME,
            ("STATE", "enrollmentState"),
            _ROLES,
            ("CERTIFICATE UNTIL", "certificateExpiresAt"),
            ("LAST SEEN", "lastSeenAt"),
        ),
        _identity_arguments,
        _identity_body,
    ),
    Noun(
        "router",
        "edge-routers",
        f"{OWN}/routers",
        (_ID, _NAME, ("STATE", "enrollmentState"), _ROLES, ("CERTIFICATE UNTIL", "certificateExpiresAt")),
        _router_arguments,
        _router_body,
    ),
    Noun(
        "ca",
        "cas",
        f"{MANAGEMENT}/cas",
        (
            _ID,
            _NAME,
            ("VERIFIED", "isVerified"),
            ("AUTO", "isAutoCaEnrollmentEnabled"),
            ("OTTCA", "isOttCaEnrollmentEnabled"),
            ("CONNECT", "isAuthEnabled"),
            ("FINGERPRINT", "fingerprint"),
        ),
        _ca_arguments,
        _ca_body,
    ),
)


# --- the verbs


def create(noun: Noun, api: Transport, a: Arguments) -> None:
    """Make one; prints what became of it, or with `--output jwt` its token."""
    made = api.call("POST", f"{MANAGEMENT}/{noun.path}", noun.body(api, a)).checked().data
    if a.output == "jwt":
        _print_token(noun, api, made["id"], "")
        return
    row = api.call("GET", f"{MANAGEMENT}/{noun.path}/{made['id']}").checked().data
    if a.output == "json":
        output.as_json(row)
        return
    output.as_table([row], (_ID, _NAME))
    if noun.name == "ca":
        print(
            f"not verified yet: sign a certificate with the common name {row['verificationToken']} by this CA, "
            f"then: zitilite ca verify {row['name']} --cert FILE"
        )
    else:
        print(f"its token: zitilite {noun.name} token {row['name']}")


def listing(noun: Noun, api: Transport, a: Arguments) -> None:
    """List what the filter lets through."""
    rows = list(pages(api, noun.listed, a.filter))
    if a.output == "json":
        output.as_json(rows)
    else:
        output.as_table(rows, noun.columns)


def get(noun: Noun, api: Transport, a: Arguments) -> None:
    """Show one, all of it."""
    key = key_of(api, noun.path, a.name)
    row = api.call("GET", f"{noun.listed}/{key}").checked().data
    if a.output == "json":
        output.as_json(row)
        return
    for name in sorted(row):
        if name != "_links":
            print(f"{name:28} {output.cell(row[name])}")


def token(noun: Noun, api: Transport, a: Arguments) -> None:
    """Print the token of one that waits for its enrollment; of a CA the reusable one."""
    _print_token(noun, api, key_of(api, noun.path, a.name), getattr(a, "method", ""))


def _print_token(noun: Noun, api: Transport, key: str, method: str) -> None:
    path = f"{MANAGEMENT}/{noun.path}/{key}" + ("/jwt" if noun.name == "ca" else "")
    query = {"method": method} if method else None
    print(api.call("GET", path, query=query, accept="application/jwt").checked().content.decode().strip())


def verify(noun: Noun, api: Transport, a: Arguments) -> None:
    """Prove control of a CA by a certificate whose common name is its verification token."""
    key = key_of(api, noun.path, a.name)
    proof = read_file(a.cert).encode()
    api.call("POST", f"{MANAGEMENT}/cas/{key}/verify", proof, content_type="text/plain").checked()
    print(f"{a.name} is verified")


def delete(noun: Noun, api: Transport, a: Arguments) -> None:
    """Delete some; stops at the first that cannot be."""
    for name in a.names:
        api.call("DELETE", f"{MANAGEMENT}/{noun.path}/{key_of(api, noun.path, name)}").checked()
        print(f"{name} is deleted")


def add_verbs(noun: Noun, verbs: Any, options: argparse.ArgumentParser) -> None:
    """Give a noun's parser its verbs; each remembers the function that does it."""

    def verb(name: str, run: Callable[[Noun, Transport, Arguments], None], help: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = verbs.add_parser(name, help=help, parents=[options])
        parser.set_defaults(act=lambda api, a: run(noun, api, a))
        return parser

    noun.arguments(verb("create", create, f"make a {noun.name}"))
    verb("list", listing, "list them").add_argument("filter", nargs="?", default="", help="in the filter language")
    verb("get", get, "show one").add_argument("name", help="name or id")
    shown = verb("token", token, "print its enrollment token (JWT)")
    shown.add_argument("name", help="name or id")
    if noun.name == "identity":
        shown.add_argument("--method", choices=("ott", "ottca", "updb"), default="", help="when it has several")
    if noun.name == "ca":
        proven = verb("verify", verify, "prove control of it")
        proven.add_argument("name", help="name or id")
        proven.add_argument("--cert", type=Path, required=True, help="certificate with the token as common name, PEM")
    verb("delete", delete, "delete some").add_argument("names", nargs="+", metavar="name", help="names or ids")
