"""`dry-run`: would this certificate or token enroll, as whom, and if not, why not. Nothing is written."""

from __future__ import annotations

import argparse
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli import output
from cli.transport import OWN, USAGE, CommandError, Transport
from cli.values import read_bytes, read_text, token_text

METHODS = ("ca", "ottca", "ott", "updb", "erott", "token")


def add_commands(commands: Any, options: Callable[[tuple[str, ...]], argparse.ArgumentParser]) -> None:
    """Give the parser this command."""
    text = "would this enroll, as whom, through which CA, and if not, why not; nothing is written"
    parser = commands.add_parser("dry-run", help=text, description=text, parents=[options(("table", "json"))])
    parser.add_argument("--jwt", default="", help="the enrollment token: the JWT, or a file with it")
    parser.add_argument("--cert", type=Path, default=None, help="the device's certificate, and those above it")
    parser.add_argument("--csr", type=Path, default=None, help="the certificate request, to be judged as well")
    parser.add_argument("--name", default="", help="the name that the device would ask for")
    parser.add_argument("--method", choices=METHODS, default="", help="default: that of the token, else ca")
    parser.set_defaults(act=run)


def run(api: Transport, a: argparse.Namespace) -> int:
    """Ask. Exit code 1 when it would be refused."""
    if not (a.jwt or a.cert):
        raise CommandError("say what: --jwt, --cert or both", USAGE)
    body = {"name": a.name, "method": a.method, "jwt": token_text(a.jwt)[0] if a.jwt else ""}
    if a.cert:
        content = read_bytes(a.cert)
        body["certificates"] = (content if b"-----BEGIN " in content else b64encode(content)).decode(errors="replace")
    if a.csr:
        body["clientCsr"] = read_text(a.csr)
    told = api.call("POST", f"{OWN}/enroll/dry-run", {k: v for k, v in body.items() if v}).checked().data
    if a.output == "json":
        output.as_json(told)
    else:
        print("\n".join(_lines(told)))
    return 0 if told["accepted"] else 1


def _lines(told: dict[str, Any]) -> list[str]:
    found = [f"{'yes' if told['accepted'] else 'no'}: {told['reason']}"]
    if told["error"]:
        found.append(f"the device would be told: {told['error']['status']} {told['error']['code']}")
    if told["identity"]:
        found.append(f"attributes: {output.cell(told['identity']['roleAttributes'])}")
    if told["canConnect"]:
        could = "could" if told["canConnect"]["allowed"] else "could not"
        found.append(f"it {could} connect afterwards: {told['canConnect']['reason']}")
    found += [f"CA {ca['name']}: {ca['reason']}" for ca in told["cas"]]
    return found + [f"note: {note}" for note in told["notes"]]
