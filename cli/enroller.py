"""A full enrollment client: from a JWT to the identity file that the SDKs read.

The token is checked before anything is sent: its signature must be by the key of the certificate that its
issuer's address serves, as every Ziti client does. The CA certificates come from that same address and must
validate that certificate. Source: seeds; ../shared CLIENTS.md; POST /enroll of the client API.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import files
import pki
import tokens
from cli import keys
from cli.transport import CLIENT, TIMEOUT_SECONDS, UNREACHABLE, USAGE, CommandError, Remote

METHODS = ("ott", "ottca", "ca", "updb")


@dataclass(frozen=True)
class Token:
    """An enrollment token, checked: `url` is its issuer, `jti` the one-time token, `ca` whom to trust (PEM)."""

    url: str
    method: str
    jti: str
    subject: str
    ca: str


@dataclass(frozen=True)
class Device:
    """What the person at the device brings: files of its certificate, a password, a wished name."""

    cert: Path | None = None
    key: Path | None = None
    password: str = ""
    name: str = ""


def fetch_bundle(host: str, port: int) -> tuple[pki.Cert, list[pki.Cert]]:
    """The certificate that an address serves, and the CA certificates that it hands out.

    Nothing is trusted yet: the caller compares keys or fingerprints. Raises CommandError.
    """
    blind = ssl.create_default_context()
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=blind)
    try:
        connection.connect()
        served = connection.sock.getpeercert(binary_form=True)
        connection.request("GET", f"{CLIENT}/.well-known/est/cacerts", headers={"Accept": "application/pkcs7-mime"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200 or not served:
            raise CommandError(f"{host}:{port} hands out no CA certificates (status {answer.status})", UNREACHABLE)
        return pki.load_cert(ssl.DER_cert_to_PEM_cert(served)), pki.load_pkcs7(base64.b64decode(content))
    except (OSError, ValueError, http.client.HTTPException) as e:
        raise CommandError(f"{host}:{port} cannot be reached: {e}", UNREACHABLE) from None
    except pki.PkiError as e:
        raise CommandError(f"{host}:{port} does not answer as a controller: {e}", UNREACHABLE) from None
    finally:
        connection.close()


def read_token(text: str) -> Token:
    """Check a JWT against its issuer. Raises CommandError with what is wrong."""
    try:
        _, claims = tokens.peek(text)
    except tokens.BadToken as e:
        raise CommandError(f"this is no enrollment token: {e}", USAGE) from None
    url, method = str(claims.get("iss", "")).rstrip("/"), str(claims.get("em"))
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise CommandError(f"the token names no controller (iss is '{url}')", USAGE)
    if method not in METHODS:
        raise CommandError(f"this command cannot enroll by '{method}', only by {', '.join(METHODS)}", USAGE)
    served, bundle = fetch_bundle(parts.hostname, parts.port or 443)
    try:
        tokens.verify_enrollment(text, tokens.certificate_key(served, None))
    except tokens.BadToken as e:
        if e.kind == "expired":
            raise CommandError("the token has expired: ask for a new one") from None
        raise CommandError(
            f"the token was not signed by {parts.hostname}:{parts.port or 443}, which serves the certificate "
            f"{served.subject}: it is from another controller, or something stands between"
        ) from None
    return Token(url, method, str(claims["jti"]), str(claims["sub"]), "".join(c.pem for c in bundle))


def enroll(token: Token, device: Device) -> dict[str, Any] | None:
    """Spend the token; gives the identity document, None for updb, which has no file. Raises CommandError."""
    match token.method:
        case "ott":
            key, request = keys.new_request(token.subject)
            answer = _post(token, request.encode(), "application/x-pem-file")
            return identity(token, key, str(answer["cert"]))
        case "updb":
            if not device.password:
                raise CommandError("this token needs a password: --password, or type it when asked", USAGE)
            _post(token, {"password": device.password})
            return None
        case _:
            if device.cert is None or device.key is None:
                raise CommandError(f"a token of method {token.method} needs --cert and --key of the device", USAGE)
            body: Any = {"name": device.name} if device.name and token.method == "ca" else {}
            _post(token, body, certificate=(device.cert, device.key))
            return identity(token, device.key.read_text(), device.cert.read_text())


def _post(
    token: Token, body: Any, content_type: str = "application/json", certificate: tuple[Path, Path] | None = None
) -> Any:
    with _ca_file(token.ca) as ca:
        remote = Remote(token.url, ca=ca, certificate=certificate)
        # A CA's token is no one-time token: what is presented is the certificate.
        query = {"method": token.method, **({} if token.method == "ca" else {"token": token.jti})}
        answer = remote.call("POST", f"{CLIENT}/enroll", body, query=query, content_type=content_type)
    return answer.checked().data


@contextlib.contextmanager
def _ca_file(pem: str) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem)
        file.flush()
        yield Path(file.name)


def identity(token: Token, key: str, cert: str) -> dict[str, Any]:
    """The identity document, in the form that the Go SDK writes and all read."""
    return {
        "ztAPI": f"{token.url}{CLIENT}",
        "ztAPIs": None,
        "configTypes": None,
        "id": {"key": f"pem:{key}", "cert": f"pem:{cert}", "ca": f"pem:{token.ca}"},
        "enableHa": False,
    }


def save(document: dict[str, Any], path: Path) -> None:
    """Write the identity file, readable by its owner only."""
    files.write(path, json.dumps(document, indent=2).encode())
