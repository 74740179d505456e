"""Commands for the device's side, which need no data folder: `enroll` and `trust`."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path
from typing import Any

import config
import files
from cli import enroller
from cli.transport import USAGE, CommandError
from cli.values import token_text


def add_commands(commands: Any) -> None:
    """Give the parser these commands."""
    enroll = commands.add_parser("enroll", help="spend a token: ott, ottca, ca, updb; writes the identity file")
    enroll.add_argument("jwt", metavar="token", help="the JWT, a file with it, or - for standard input")
    enroll.add_argument("--out", type=Path, default=None, help="identity file (default: the token file's name, .json)")
    enroll.add_argument("--force", action="store_true", help="write over an identity file that is there")
    enroll.add_argument("--cert", type=Path, default=None, help="ottca, ca: the device's certificate and chain, PEM")
    enroll.add_argument("--key", type=Path, default=None, help="ottca, ca: its key, PEM")
    enroll.add_argument("--name", default="", help="ca: the wished name")
    enroll.add_argument("--password", default="", help="updb: the password (default: asked for)")
    enroll.set_defaults(offline=run_enroll)
    trust = commands.add_parser("trust", help="fetch a controller's CA certificates and show their fingerprints")
    trust.add_argument("address", help="HOST[:PORT]")
    trust.add_argument("--out", type=Path, default=Path("ca.pem"), help="where to write them (default: ca.pem)")
    trust.set_defaults(offline=run_trust)


def run_enroll(settings: config.Settings, a: argparse.Namespace) -> None:
    """Enroll this device."""
    text, stem = token_text(a.jwt)
    token = enroller.read_token(text)
    out: Path = a.out or Path(f"{stem or token.subject}.json")
    if token.method != "updb" and out.exists() and not a.force:
        raise CommandError(f"{out} is there already: name another with --out, or use --force", USAGE)
    password = a.password
    if token.method == "updb" and not password and sys.stdin.isatty():
        password = getpass.getpass("password: ")
    document = enroller.enroll(token, enroller.Device(a.cert, a.key, password, a.name))
    if document is None:
        print(f"enrolled with {token.url}: log in with the user name and this password")
        return
    enroller.save(document, out)
    print(f"enrolled with {token.url} by {token.method}: {out}")


def run_trust(settings: config.Settings, a: argparse.Namespace) -> None:
    """Fetch the CA certificates; the fingerprints are for a comparison by eye."""
    try:
        address = config.address(a.address)
    except ValueError as e:
        raise CommandError(str(e), USAGE) from None
    served, bundle = enroller.fetch_bundle(address.host, address.port)
    files.write(a.out, "".join(c.pem for c in bundle).encode())
    print(f"{address} serves {served.subject}, which is valid until {served.not_after:%Y-%m-%d}")
    for cert in bundle:
        if cert.is_self_signed:
            print(f"root {cert.subject}\nSHA-256 {cert.sha256}")
    print(f"written to {a.out}: compare the fingerprint with what the controller printed at its start")
