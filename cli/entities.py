"""`identity`, `router`, `ca`: what they are made from, and how they get and give away their tokens."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

import files
from cli import many, output
from cli.nouns import (
    DELETE,
    GET,
    ID,
    LIST,
    NAME,
    ROLES,
    Arguments,
    Noun,
    Verb,
    found_by,
    get,
    key_of,
    listing,
    pages,
    show,
    show_row,
    take_filter,
    take_name,
)
from cli.transport import MANAGEMENT, OWN, USAGE, CommandError, Transport
from cli.values import moment, new_file, pair, read_bytes, read_text

ALL = ("table", "json", "jwt")
SWITCHES = {
    "isAutoCaEnrollmentEnabled": ("--auto", "its devices may join by themselves"),
    "isOttCaEnrollmentEnabled": ("--ottca", "its devices may join with a token"),
    "isAuthEnabled": ("--auth", "its devices may connect; off ends their sessions"),
}
DRAWN = {".svg": "image/svg+xml", ".png": "image/png"}


# --- what each is created from


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
            enrollment["ottca"] = found_by(api, f"{MANAGEMENT}/cas", a.ca)
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


def _router_body(a: Arguments) -> dict[str, Any]:
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


def _ca_body(a: Arguments) -> dict[str, Any]:
    body = {
        "name": a.name,
        "certPem": read_text(a.cert),
        "isAutoCaEnrollmentEnabled": not a.no_auto,
        "isOttCaEnrollmentEnabled": not a.no_ottca,
        "isAuthEnabled": not a.no_auth,
        "identityRoles": a.attribute,
        "tags": dict(a.tag),
    }
    return {**body, **({"identityNameFormat": a.name_format} if a.name_format else {})}


# --- creating


def _create(noun: Noun, api: Transport, a: Arguments, body: dict[str, Any]) -> dict[str, Any] | None:
    """Make one; prints what became of it, or with `--output jwt` its token. Gives what is left to be said in words."""
    made = api.call("POST", noun.path, body).checked().data
    if a.output == "jwt":
        _print_token(noun, api, made["id"], "")
        return None
    row: dict[str, Any] = api.call("GET", f"{noun.path}/{made['id']}").checked().data
    if a.output == "json":
        output.as_json(row)
        return None
    output.as_table([row], (ID, NAME))
    return row


def create_identity(noun: Noun, api: Transport, a: Arguments) -> None:
    """Make an identity, with a token unless `--method none`."""
    if a.method == "none" and a.output == "jwt":
        raise CommandError("with --method none there is no token to print", USAGE)
    if _create(noun, api, a, _identity_body(api, a)) and a.method != "none":
        print(f"its token: {a.again} identity token {shlex.quote(a.name)}")


def create_router(noun: Noun, api: Transport, a: Arguments) -> None:
    """Make an edge router."""
    if _create(noun, api, a, _router_body(a)):
        print(f"its token: {a.again} router token {shlex.quote(a.name)}")


def create_ca(noun: Noun, api: Transport, a: Arguments) -> None:
    """Import a CA; what is left is to prove that it is one's own."""
    if row := _create(noun, api, a, _ca_body(a)):
        print(f"not verified yet: sign a certificate with the common name {row['verificationToken']} by this CA, then:")
        print(f"{a.again} ca verify {shlex.quote(a.name)} --cert FILE")


# --- tokens


def token(noun: Noun, api: Transport, a: Arguments) -> None:
    """Print the token of one that waits for its enrollment, of a CA the reusable one; or draw its QR code."""
    key, method = key_of(api, noun, a.name), getattr(a, "method", "")
    if a.qr is None:
        _print_token(noun, api, key, method)
        return
    kind = DRAWN.get(a.qr.suffix.lower())
    if kind is None:
        raise CommandError(f"--qr writes {' or '.join(DRAWN)}, not '{a.qr.name}'", USAGE)
    files.write(new_file(a.qr), _token_as(noun, api, key, method, kind))
    print(f"written: {a.qr}")


def _print_token(noun: Noun, api: Transport, key: str, method: str) -> None:
    print(_token_as(noun, api, key, method, "application/jwt").decode().strip())


def _token_as(noun: Noun, api: Transport, key: str, method: str, kind: str) -> bytes:
    path = f"{noun.path}/{key}" + ("/jwt" if noun.name == "ca" else "")
    return api.call("GET", path, query={"method": method} if method else None, accept=kind).checked().content


def get_or_token(noun: Noun, api: Transport, a: Arguments) -> None:
    """Show one, all of it, or with `--output jwt` its token alone."""
    if a.output == "jwt":
        _print_token(noun, api, key_of(api, noun, a.name), "")
    else:
        get(noun, api, a)


def list_or_tokens(noun: Noun, api: Transport, a: Arguments) -> None:
    """List what the filter lets through, or with `--output jwt` the tokens of those that wait, one a line."""
    if a.output != "jwt":
        listing(noun, api, a)
        return
    keys = [row["id"] for row in pages(api, noun.seen_at, a.filter, a.limit) if row["enrollmentState"] == "pending"]
    for jwt in many.token_lines(noun, api, keys):
        print(jwt)


def _take_token(parser: argparse.ArgumentParser) -> None:
    take_name(parser)
    parser.add_argument(
        "--qr", type=Path, default=None, metavar="FILE", help="draw it into FILE.svg or FILE.png instead"
    )


def _take_identity_token(parser: argparse.ArgumentParser) -> None:
    _take_token(parser)
    parser.add_argument("--method", choices=("ott", "ottca", "updb"), default="", help="when it has several")


# --- certificate authorities


def verify(noun: Noun, api: Transport, a: Arguments) -> None:
    """Prove control of a CA by a certificate whose common name is its verification token."""
    key = key_of(api, noun, a.name)
    api.call("POST", f"{noun.path}/{key}/verify", read_bytes(a.cert), content_type="text/plain").checked()
    print(f"{a.name} is verified")


def _take_proof(parser: argparse.ArgumentParser) -> None:
    take_name(parser)
    parser.add_argument("--cert", type=Path, required=True, help="certificate with the token as common name, PEM")


def change_ca(noun: Noun, api: Transport, a: Arguments) -> None:
    """Switch on and off what a CA's devices may do."""
    changes = {name: getattr(a, name) == "on" for name in SWITCHES if getattr(a, name)}
    if not changes:
        raise CommandError("say what: --auto, --ottca or --auth", USAGE)
    key = key_of(api, noun, a.name)
    api.call("PATCH", f"{noun.path}/{key}", changes).checked()
    show_row(a, api.call("GET", f"{noun.path}/{key}").checked().data, noun.columns)


def _take_switches(parser: argparse.ArgumentParser) -> None:
    take_name(parser)
    for name, (flag, help_text) in SWITCHES.items():
        parser.add_argument(flag, dest=name, choices=("on", "off"), default="", help=help_text)


def crl(noun: Noun, api: Transport, a: Arguments) -> None:
    """Show a CA's revocation list, put one in force, say where it is fetched from, or forget it."""
    path = f"{OWN}/cas/{key_of(api, noun, a.name)}/crl"
    if a.file:
        api.call("PUT", path, read_bytes(a.file), content_type="application/octet-stream").checked()
    if a.source is not None:
        api.call("PUT", f"{path}-source", {"url": a.source}).checked()
    if a.forget:
        api.call("DELETE", path).checked()
        print(f"the revocation list of {a.name} is forgotten")
        return
    show(a, api.call("GET", path).checked().data)


def _take_crl(parser: argparse.ArgumentParser) -> None:
    take_name(parser)
    parser.add_argument("--file", type=Path, default=None, help="a list to put in force, PEM or DER")
    parser.add_argument(
        "--from",
        dest="source",
        default=None,
        metavar="URL",
        help="where to fetch it from (see the setting crl_fetch); '' for nowhere",
    )
    parser.add_argument("--forget", action="store_true", help="let it be no longer in force")


_BULK = (many.TAG, many.RENEW, many.REISSUE, many.DISABLE, many.ENABLE, many.DELETE, many.TOKENS)
_FOUND = (
    Verb("list", list_or_tokens, LIST.help, take_filter, ALL),
    Verb("get", get_or_token, GET.help, take_name, ALL),
)
_TO_HAND_OUT = "print its enrollment token (JWT), or draw its QR code"
ROWS = (
    Noun(
        "identity",
        f"{MANAGEMENT}/identities",
        (
            ID,
            NAME,
            ("STATE", "enrollmentState"),
            ROLES,
            ("CERTIFICATE UNTIL", "certificateExpiresAt"),
            ("LAST SEEN", "lastSeenAt"),
        ),
        (
            Verb("create", create_identity, "make an identity", _identity_arguments, ALL),
            *_FOUND,
            Verb("token", token, _TO_HAND_OUT, _take_identity_token, ("jwt",)),
            *_BULK,
        ),
        "identities",
        listed=f"{OWN}/identities",
        bulk="identities",
    ),
    Noun(
        "router",
        f"{MANAGEMENT}/edge-routers",
        (ID, NAME, ("STATE", "enrollmentState"), ROLES, ("CERTIFICATE UNTIL", "certificateExpiresAt")),
        (
            Verb("create", create_router, "make an edge router", _router_arguments, ALL),
            *_FOUND,
            Verb("token", token, _TO_HAND_OUT, _take_token, ("jwt",)),
            *_BULK,
        ),
        "edge routers",
        listed=f"{OWN}/routers",
        bulk="edge-routers",
    ),
    Noun(
        "ca",
        f"{MANAGEMENT}/cas",
        (
            ID,
            NAME,
            ("VERIFIED", "isVerified"),
            ("AUTO", "isAutoCaEnrollmentEnabled"),
            ("OTTCA", "isOttCaEnrollmentEnabled"),
            ("CONNECT", "isAuthEnabled"),
            ("FINGERPRINT", "fingerprint"),
        ),
        (
            Verb("create", create_ca, "import a CA", _ca_arguments),
            LIST,
            Verb("get", get_or_token, GET.help, take_name, ALL),
            Verb(
                "token", token, "print its reusable enrollment token (JWT), or draw its QR code", _take_token, ("jwt",)
            ),
            Verb("verify", verify, "prove control of it", _take_proof, ("table",)),
            Verb("change", change_ca, "switch on and off what its devices may do", _take_switches),
            Verb("crl", crl, "its revocation list: show it, put one in force, say where it is fetched from", _take_crl),
            DELETE,
        ),
        "third-party CAs",
    ),
)
