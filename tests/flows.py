"""Steps that many tests take: names, identities, CAs, enrollments, a second look into the database."""

from __future__ import annotations

import itertools
import secrets
import socket
import sqlite3
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests import cluster
from tests.certificates import CA, Issued, csr
from tests.controllers import CLIENT, MANAGEMENT, Answer, Api, Controller

SWITCHES = ("isAutoCaEnrollmentEnabled", "isOttCaEnrollmentEnabled", "isAuthEnabled")
PEM, TEXT, JSON = "application/x-pem-file", "text/plain", "application/json"
_numbers = itertools.count()
_run = secrets.token_hex(3)


def unique(word: str = "t") -> str:
    """A name that no other test uses."""
    return f"{word}-{_run}-{next(_numbers)}"


def text_time(**ahead: float) -> str:
    """RFC 3339 in UTC, so far from now (timedelta's arguments)."""
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def wait_until(condition: Callable[[], Any], seconds: float = 15) -> Any:
    """Ask again and again until the condition gives something true; gives that."""
    deadline = time.monotonic() + seconds
    pause = itertools.chain((0.01,) * 10, itertools.repeat(0.05))
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not true within {seconds} s: {condition}"
        time.sleep(next(pause))
    return found


def sql(controller: Controller, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run one statement on the server's database through a connection of our own."""
    if controller.database:
        return cluster.execute(controller.database, statement.replace("?", "%s"), *values)
    with closing(sqlite3.connect(controller.data / "zitilite.db", timeout=20)) as connection, connection:
        return connection.execute(statement, values).fetchall()


def in_the_past() -> int:
    """A time that is over, as the database keeps it."""
    return int(time.time() * 1000) - 1000


# --- identities


def identity_body(**more: Any) -> dict[str, Any]:
    """A body that creates an identity."""
    return {"name": unique("identity"), "type": "Default", "isAdmin": False, **more}


def pending(api: Api, method: str, value: Any = True, **more: Any) -> tuple[str, dict[str, Any]]:
    """Make an identity with a pending enrollment; gives its id and the enrollment (id, token, jwt, ...)."""
    key = api.create("/identities", identity_body(enrollment={method: value}, **more))
    return key, api.detail("/identities", key)["enrollment"][method]


def with_password(api: Api, **more: Any) -> tuple[str, str, str]:
    """Make an identity that can log in with a password; gives its id, user name and password."""
    key = api.create("/identities", identity_body(**more))
    user, password = unique("user"), secrets.token_hex(9)
    api.create("/authenticators", {"method": "updb", "identityId": key, "username": user, "password": password})
    return key, user, password


def enroll(api: Api, method: str, token: str | None = None, body: Any = None, kind: str | None = None) -> Answer:
    """POST /enroll?method=..&token=.. of the client API; `kind` is the content type."""
    params = {"method": method} | ({"token": token} if token is not None else {})
    headers = {"Content-Type": kind} if kind else {}
    return api.on(CLIENT).post("/enroll", body, params=params, headers=headers)


def enroll_ott(controller: Controller, token: str, folder: Path, **request: Any) -> Issued:
    """Enroll by ott with a new key; gives what was issued, written to `client.crt` and `client.key`."""
    pem, key = csr(**request)
    data = enroll(controller.api(), "ott", token, pem, PEM).ok()
    issued = read_chain(data["cert"], key)
    issued.write(folder)
    return issued


def read_chain(pem: str, key: Any = None) -> Issued:
    """The certificates of a PEM text, leaf first."""
    first, *rest = x509.load_pem_x509_certificates(pem.encode())
    return Issued(first, key, tuple(rest))


def certified(controller: Controller, api: Api, folder: Path, **more: Any) -> tuple[str, Issued, Api]:
    """Make an identity, enroll it by ott; gives its id, certificate, and a client that presents it."""
    key, found = pending(api, "ott", **more)
    issued = enroll_ott(controller, found["token"], folder)
    return key, issued, controller.api((folder / "client.crt", folder / "client.key"))


def client_with(controller: Controller, issued: Issued, folder: Path) -> Api:
    """A client that presents this certificate and the ones above it."""
    return controller.api(issued.write(folder, unique("client")))


def login(client: Api) -> Answer:
    """Log in by the client's certificate and give the answer, without keeping the session."""
    return client.on(CLIENT).post("/authenticate", {}, params={"method": "cert"})


def password_login(client: Api, username: str, password: str) -> Answer:
    """Log in by password and give the answer, without keeping the session."""
    return client.post("/authenticate", {"username": username, "password": password}, params={"method": "password"})


# --- CAs


def ca_body(pem: str, **more: Any) -> dict[str, Any]:
    """A body that imports a CA, everything switched on."""
    return {"name": unique("ca"), "certPem": pem, "identityRoles": [], **dict.fromkeys(SWITCHES, True), **more}


def import_ca(api: Api, root: CA, *, verified: bool = True, **more: Any) -> str:
    """Import a CA and, unless told otherwise, verify it; gives its id."""
    key = api.create("/cas", ca_body(root.pem, **more))
    if verified:
        verify(api, key, root.leaf(api.detail("/cas", key)["verificationToken"]).pem).ok()
    return key


def verify(api: Api, ca: str, content: str | bytes, kind: str = TEXT) -> Answer:
    """POST /cas/{id}/verify."""
    return api.post(f"/cas/{ca}/verify", content, headers={"Content-Type": kind})


def by_name(api: Api, path: str, name: str) -> list[Any]:
    """The entities of a collection that have this name."""
    found = api.get(path, filter=f'name="{name}"').ok()
    assert isinstance(found, list)
    return found


# --- the server's certificate


def served_certificate(api: Api) -> x509.Certificate:
    """The certificate that the server presents, fetched anew."""
    host, _, port = api.url.removeprefix("https://").rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, int(port)), timeout=10) as plain, context.wrap_socket(plain) as tls:
        der = tls.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def public_pem(certificate: x509.Certificate) -> bytes:
    """The public key of a certificate as PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return certificate.public_key().public_bytes(serialization.Encoding.PEM, form)


__all__ = ["CLIENT", "MANAGEMENT"]
