"""`api-token`: keys for scripts, made, listed and ended."""

from __future__ import annotations

import argparse

from cli import output
from cli.nouns import DELETE, GET, ID, LIST, NAME, Arguments, Noun, Verb, found_by
from cli.transport import MANAGEMENT, OWN, Transport
from cli.values import moment

SCOPES = ("read", "enroll", "admin")


def create(noun: Noun, api: Transport, a: Arguments) -> None:
    """Make a token; this is the only time that it is shown."""
    body = {"name": a.name, "scope": a.scope, **({"expiresAt": a.expires} if a.expires else {})}
    if a.owner:
        body["identityId"] = found_by(api, f"{MANAGEMENT}/identities", a.owner)
    made = api.call("POST", noun.path, body).checked().data
    if a.output == "json":
        output.as_json(made)
    else:
        print(f"{made['token']}\nit is shown only now, and works until {made['expiresAt']}")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="what it is for")
    parser.add_argument("--scope", choices=SCOPES, required=True, help="what it may do; see docs/guide/api-tokens.md")
    parser.add_argument("--expires", type=moment, default=None, metavar="30d|TIME", help="its end (default: 90d)")
    parser.add_argument("--for", dest="owner", default="", metavar="NAME", help="the identity that acts by it")


ROWS = (
    Noun(
        "api-token",
        f"{OWN}/api-tokens",
        (
            ID,
            NAME,
            ("SCOPE", "scope"),
            ("STATE", "state"),
            ("UNTIL", "expiresAt"),
            ("LAST USED", "lastUsedAt"),
            ("BEGINS WITH", "prefix"),
        ),
        (Verb("create", create, "make one; it is shown once", _arguments), LIST, GET, DELETE),
        "keys for scripts",
    ),
)
