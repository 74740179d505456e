"""Clients of a controller: what a device, a script or the console asks for, one function each."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MANAGEMENT = "/edge/management/v1"
CLIENT = "/edge/client/v1"
OWN = "/zitilite/v1"
PASSWORD = "bench-secret"


def context(cert: str = "") -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if cert:
        made.load_cert_chain(cert)
    return made


PLAIN = context()


def connect(port: int, tls: ssl.SSLContext = PLAIN) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection("127.0.0.1", port, context=tls, timeout=60)


def ask(c: http.client.HTTPSConnection, method: str, path: str, body: Any = None, session: str = "") -> Any:
    headers = {"Content-Type": "application/json"} if isinstance(body, dict) else {"Content-Type": "text/plain"}
    if session:
        headers["zt-session"] = session
    raw = json.dumps(body).encode() if isinstance(body, dict) else body
    c.request(method, path, raw, headers if raw is not None or session else {"zt-session": session} if session else {})
    answer = c.getresponse()
    content = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
    return json.loads(content) if content[:1] == b"{" else content


def request(port: int, method: str, path: str, body: Any = None, session: str = "") -> Any:
    c = connect(port)
    try:
        return ask(c, method, path, body, session)
    finally:
        c.close()


def login(port: int) -> str:
    body = {"username": "admin", "password": PASSWORD}
    return str(request(port, "POST", f"{CLIENT}/authenticate?method=password", body)["data"]["token"])


def new_csr() -> tuple[str, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode(), csr.public_bytes(serialization.Encoding.PEM)


# --- operations: each takes (port, session, item) and does one thing


def create_identity(port: int, session: str, item: Any) -> Any:
    body = {"name": item, "type": "Device", "isAdmin": False, "enrollment": {"ott": True}, "roleAttributes": ["bench"]}
    return ask(kept(port), "POST", f"{MANAGEMENT}/identities", body, session)["data"]["id"]


def enroll(port: int, session: str, item: Any) -> Any:
    """As a real SDK: one connection for the trust bundle, another to enroll."""
    token, csr = item
    request(port, "GET", "/.well-known/est/cacerts")
    return request(port, "POST", f"/enroll?method=ott&token={token}", csr)["data"]["cert"]


def login_by_certificate(port: int, session: str, item: Any) -> Any:
    c = connect(port, context(item))
    try:
        return ask(c, "POST", f"{CLIENT}/authenticate?method=cert", {})["data"]["id"]
    finally:
        c.close()


def login_kept(port: int, session: str, item: Any) -> Any:
    """A certificate login on a connection that is there already; `item` is the file of the thread's certificate."""
    return ask(kept(port, item), "POST", f"{CLIENT}/authenticate?method=cert", {})["data"]["id"]


def enroll_by_ca(port: int, session: str, item: Any) -> Any:
    """Join with the certificate of a third-party CA over mutual TLS; `item` is the file."""
    c = connect(port, context(item))
    try:
        return ask(c, "POST", "/enroll?method=ca", b"{}")
    finally:
        c.close()


def login_by_password(port: int, session: str, item: Any) -> Any:
    return login(port)


def read_identity(port: int, session: str, item: Any) -> Any:
    return ask(kept(port), "GET", f"{MANAGEMENT}/identities/{item}", session=session)


def list_identities(port: int, session: str, item: Any) -> Any:
    """A page of 100; `item` are offset and filter."""
    offset, text = item
    target = f"{MANAGEMENT}/identities?limit=100&offset={offset}&filter={quote(text)}"
    return ask(kept(port), "GET", target, session=session)["meta"]["pagination"]["totalCount"]


def bulk_create(port: int, session: str, item: Any) -> Any:
    """Thousands of identities with tokens in one request; `item` is their CSV."""
    c = connect(port)
    try:
        c.request("POST", f"{OWN}/bulk", item, {"Content-Type": "text/csv", "zt-session": session})
        return json.loads(c.getresponse().read())["data"]["ok"]
    finally:
        c.close()


def bulk_export(port: int, session: str, item: Any) -> Any:
    """The tokens of all that a filter finds, as a zip; gives its size in bytes."""
    return len(ask(kept(port), "POST", f"{OWN}/tokens/export", {"filter": item}, session))


def list_by_state(port: int, session: str, item: Any) -> Any:
    """A page of those in one state, with all the others to be looked past."""
    return ask(kept(port), "GET", f"{OWN}/identities?filter=enrollmentState%3D%22{item}%22", session=session)


_kept: dict[tuple[int, int, str], http.client.HTTPSConnection] = {}


def kept(port: int, cert: str = "") -> http.client.HTTPSConnection:
    """This thread's kept connection to a controller, with a client certificate or without."""
    key = threading.get_ident(), port, cert
    if key not in _kept:
        _kept[key] = connect(port, context(cert))
    return _kept[key]


# --- a third-party CA


class ThirdParty:
    """A CA of somebody else, imported and verified, whose devices may join by themselves."""

    def __init__(self, port: int, session: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.cert = self._certificate("bench CA", self.key, is_ca=True)
        body = {
            "name": "bench",
            "certPem": self.pem(self.cert),
            "isAutoCaEnrollmentEnabled": True,
            "isOttCaEnrollmentEnabled": True,
            "isAuthEnabled": True,
            "identityRoles": ["bench"],
        }
        made = request(port, "POST", f"{MANAGEMENT}/cas", body, session)["data"]["id"]
        token = request(port, "GET", f"{MANAGEMENT}/cas/{made}", session=session)["data"]["verificationToken"]
        proof = self.pem(self._certificate(token, ec.generate_private_key(ec.SECP256R1())))
        request(port, "POST", f"{MANAGEMENT}/cas/{made}/verify", proof.encode(), session)

    @staticmethod
    def pem(cert: x509.Certificate) -> str:
        return cert.public_bytes(serialization.Encoding.PEM).decode()

    def device(self, name: str) -> str:
        """Certificate and key of a device as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        kind = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        private = key.private_bytes(serialization.Encoding.PEM, *kind).decode()
        return self.pem(self._certificate(name, key)) + private

    def _certificate(self, name: str, key: ec.EllipticCurvePrivateKey, *, is_ca: bool = False) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
        builder = builder.issuer_name(subject if is_ca else self.cert.subject)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        return builder.sign(self.key, hashes.SHA256())


def drive(
    fn: Callable[..., Any], port: int, session: str, items: list[Any], workers: int
) -> tuple[list[Any], list[float]]:
    """Run `fn` over `items` with so many threads; results and durations in milliseconds."""

    def timed(item: Any) -> tuple[Any, float]:
        began = time.perf_counter()
        result = fn(port, session, item)
        return result, (time.perf_counter() - began) * 1000

    with ThreadPoolExecutor(workers) as pool:
        done = list(pool.map(timed, items))
    return [r for r, _ in done], [d for _, d in done]
