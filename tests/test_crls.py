"""Revocation lists: those of CAs, uploaded or fetched, and our own."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.certificates import CA, Issued
from tests.flows import ca_body, certified, client_with, enroll, import_ca, login, pending, unique, wait_until

OWN = "/zitilite/v1"
DER, PEM = "application/pkix-crl", "application/x-pem-file"


@pytest.fixture
def own(api):
    return api.on(OWN)


def crl(root: CA, *revoked: Issued, age: timedelta = timedelta(), number: int = 1, days: float = 7, **more) -> bytes:
    """A revocation list as DER; more: `signer`, another key; `extension`, a critical one."""
    now = datetime.now(UTC).replace(microsecond=0) - age
    builder = x509.CertificateRevocationListBuilder(root.certificate.subject, now, now + timedelta(days=days))
    builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    if "extension" in more:
        builder = builder.add_extension(more["extension"], critical=True)
    for one in revoked:
        entry = x509.RevokedCertificateBuilder(one.certificate.serial_number, now)
        builder = builder.add_revoked_certificate(entry.build())
    made = builder.sign(more.get("signer", root.key), hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


def put(own, ca: str, data: bytes, kind: str = DER):
    return own.put(f"/cas/{ca}/crl", data, headers={"Content-Type": kind})


@pytest.fixture
def device(controller, api, tmp_path):
    """A CA, its id, a certificate of it that enrolled by itself, and a client that presents it."""
    root = CA.root(unique("root"))
    ca = import_ca(api, root)
    leaf = root.leaf(unique("device"))
    client = client_with(controller, leaf, tmp_path)
    enroll(client, "ca").ok()
    return root, ca, leaf, client


def test_a_revoked_certificate_is_out_from_the_next_request_on(controller, api, own, device, tmp_path):
    """Its session ends with the upload, it opens no other, and the list of certificates says so; others go on."""
    root, ca, leaf, client = device
    other = client_with(controller, root.leaf(unique("device")), tmp_path)
    enroll(other, "ca").ok()
    for one in (client, other):
        one.login_by_certificate()
    shown = put(own, ca, crl(root, leaf)).ok()
    assert (shown["revokedCount"], shown["number"], shown["isStale"]) == (1, "1", False)
    assert client.get("/current-identity").status == 401
    assert login(client).code == "INVALID_AUTH"
    assert other.get("/current-identity").status == 200
    rows = own.get("/certificates", filter=f'fingerprint = "{leaf.fingerprint}"').ok()
    assert [row["state"] for row in rows] == ["revoked"]
    put(own, ca, crl(root, number=2)).ok()
    assert login(client).status == 200


@pytest.mark.parametrize("method", ["ca", "ottca"])
def test_a_revoked_certificate_does_not_enroll(controller, api, own, tmp_path, method):
    root = CA.root(unique("root"))
    ca = import_ca(api, root)
    leaf = root.leaf(unique("device"))
    put(own, ca, crl(root, leaf)).ok()
    token = pending(api, "ottca", ca)[1]["token"] if method == "ottca" else None
    answer = enroll(client_with(controller, leaf, tmp_path), method, token)
    assert answer.status == 400
    if method == "ottca":
        assert "was revoked by CA" in answer.error["cause"]["message"]


def test_a_revoked_intermediate_takes_its_certificates_along(controller, api, own, tmp_path):
    root = CA.root(unique("root"))
    ca = import_ca(api, root)
    inter = root.intermediate()
    client = client_with(controller, inter.leaf(unique("device")), tmp_path)
    enroll(client, "ca").ok()
    client.login_by_certificate()
    put(own, ca, crl(root, inter)).ok()
    assert client.get("/current-identity").status == 401
    assert login(client).code == "INVALID_AUTH"


def test_pem_and_der_and_the_same_again(own, device):
    root, ca, leaf, _ = device
    data = crl(root, leaf)
    text = x509.load_der_x509_crl(data).public_bytes(serialization.Encoding.PEM)
    for kind, content in ((DER, data), (PEM, text), ("text/plain", b"Certificate list\r\n" + text)):
        assert put(own, ca, content, kind).ok()["revokedCount"] == 1
    assert own.get(f"/cas/{ca}/crl").ok()["source"] == "upload"
    own.delete(f"/cas/{ca}/crl").ok()
    assert own.get(f"/cas/{ca}/crl").status == 404


def test_an_old_list_stays_in_force_when_nothing_newer_comes(controller, api, own, device):
    """Tolerant of a CA that cannot be reached, and it says so."""
    root, ca, leaf, client = device
    shown = put(own, ca, crl(root, leaf, age=timedelta(days=30))).ok()
    assert shown["isStale"] is True
    assert login(client).code == "INVALID_AUTH"


def refused() -> dict[str, tuple[str, bytes]]:
    root = CA.root("Refused Root")
    stranger = CA.root("Stranger")
    indirect = x509.IssuingDistributionPoint(
        full_name=None,
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=True,
        only_contains_attribute_certs=False,
    )
    return {
        "another CA's": ("not by this CA", crl(stranger)),
        "another key": ("not signed by that key", crl(root, signer=stranger.key)),
        "delta": ("extension 2.5.29.27", crl(root, extension=x509.DeltaCRLIndicator(1))),
        "indirect": ("extension 2.5.29.28", crl(root, extension=indirect)),
        "future": ("from the future", crl(root, age=timedelta(days=-1))),
        "words": ("one revocation list is expected", b"words"),
        "certificate": ("one revocation list is expected", root.pem.encode()),
        "cut": ("damaged", crl(root)[:-20]),
        "": ("one revocation list is expected", b""),
        "root": ("", root.pem.encode()),
    }


REFUSED = refused()
REFUSED_ROOT = REFUSED.pop("root")[1].decode()


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_changes_nothing(api, own, case):
    ca = api.create("/cas", ca_body(REFUSED_ROOT))
    try:
        reason, data = REFUSED[case]
        answer = put(own, ca, data)
        assert (answer.status, answer.code) == (400, "CRL_REFUSED")
        assert reason in answer.error["cause"]["message"]
        assert own.get(f"/cas/{ca}/crl").status == 404
    finally:
        api.delete(f"/cas/{ca}").ok()


def test_an_older_list_does_not_bring_revoked_certificates_back(own, device):
    root, ca, leaf, client = device
    put(own, ca, crl(root, leaf, number=5)).ok()
    answer = put(own, ca, crl(root, number=4, age=timedelta(hours=1)))
    assert (answer.status, answer.code) == (400, "CRL_REFUSED")
    assert "older than the one in force" in answer.error["cause"]["message"]
    assert login(client).code == "INVALID_AUTH"


def test_many_entries(own, device):
    """A list of 20 000 entries is in force at once, and a login still takes one look-up."""
    root, ca, leaf, client = device
    now = datetime.now(UTC).replace(microsecond=0)
    builder = x509.CertificateRevocationListBuilder(root.certificate.subject, now, now + timedelta(days=1))
    for serial in (*range(1, 20_000), leaf.certificate.serial_number):
        builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, now).build())
    data = builder.sign(root.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    assert put(own, ca, data).ok()["revokedCount"] == 20_000
    assert login(client).code == "INVALID_AUTH"


def test_it_goes_with_the_ca_and_is_for_administrators(controller, api, own, device, tmp_path):
    root, ca, leaf, _ = device
    put(own, ca, crl(root, leaf)).ok()
    _, _, client = certified(controller, api, tmp_path)
    client.login_by_certificate()
    assert put(client.on(OWN), ca, crl(root)).status == 401
    api.delete(f"/cas/{ca}").ok()
    assert own.get(f"/cas/{ca}/crl").status == 404


# --- fetching


@contextmanager
def serving(content: dict[str, bytes]) -> Iterator[str]:
    """A web server on 127.0.0.1; gives its URL. What is not in `content` is 404."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = content.get(self.path)
            self.send_response(200 if found is not None else 404)
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_a_list_is_fetched_from_where_the_certificates_say(make_controller, tmp_path):
    """By the distribution point of what enrolled, or by a URL that is set; offline the old one stays."""
    server = make_controller("--crl-fetch", "private")
    api = server.admin()
    own = api.on(OWN)
    root = CA.root(unique("root"))
    content: dict[str, bytes] = {}
    with serving(content) as url:
        points = x509.CRLDistributionPoints(
            [x509.DistributionPoint([x509.UniformResourceIdentifier(f"{url}/ca.crl")], None, None, None)]
        )
        leaf = root.leaf(unique("device"), extensions=(points,))
        content["/ca.crl"] = crl(root, leaf)
        ca = import_ca(api, root)
        client = client_with(server, leaf, tmp_path)
        enroll(client, "ca").ok()
        own.put(f"/cas/{ca}/crl-source", {"url": ""}).ok()
        shown = wait_until(lambda: (a := own.get(f"/cas/{ca}/crl")).status == 200 and a.data["thisUpdate"] and a.data)
        assert (shown["source"], shown["revokedCount"], shown["problem"]) == ("fetch", 1, None)
        assert login(client).code == "INVALID_AUTH"
        own.put(f"/cas/{ca}/crl-source", {"url": f"{url}/gone.crl"}).ok()
        shown = wait_until(lambda: (d := own.get(f"/cas/{ca}/crl").ok())["problem"] and d)
        assert "404" in shown["problem"]
        assert shown["revokedCount"] == 1
        assert login(client).code == "INVALID_AUTH"
    for wrong in ("file:///etc/passwd", "words", "ftp://x/y"):
        assert own.put(f"/cas/{ca}/crl-source", {"url": wrong}).status == 400


def test_private_addresses_are_not_asked_unless_allowed(make_controller, tmp_path):
    server = make_controller("--crl-fetch", "on")
    api = server.admin()
    own = api.on(OWN)
    root = CA.root(unique("root"))
    ca = import_ca(api, root)
    with serving({"/ca.crl": crl(root)}) as url:
        own.put(f"/cas/{ca}/crl-source", {"url": f"{url}/ca.crl"}).ok()
        shown = wait_until(lambda: (d := own.get(f"/cas/{ca}/crl").ok())["problem"] and d)
    assert "private address" in shown["problem"]
    assert shown["thisUpdate"] is None


# --- our own


def ours(controller, accept: str = DER) -> bytes:
    answer = requests.get(
        f"{controller.url}{OWN}/crl", headers={"Accept": accept}, verify=str(controller.ca_file()), timeout=10
    )
    assert answer.status_code == 200
    return answer.content


def test_our_own_list_is_public_and_says_what_is_blocked(make_controller, tmp_path):
    server = make_controller()
    own = server.admin().on(OWN)
    _, issued, _ = certified(server, server.admin(), tmp_path)
    first = x509.load_der_x509_crl(ours(server))
    assert len(first) == 0
    key = own.create("/blocked-certificates", {"fingerprint": issued.fingerprint})
    second = x509.load_der_x509_crl(ours(server))
    assert second.get_revoked_certificate_by_serial_number(issued.certificate.serial_number) is not None
    issuer = issued.above[0]
    key_of_issuer = issuer.public_key()
    assert isinstance(key_of_issuer, ec.EllipticCurvePublicKey)
    assert second.is_signature_valid(key_of_issuer)
    assert second.issuer == issuer.subject
    assert second.next_update_utc is not None
    assert second.next_update_utc - second.last_update_utc == timedelta(days=7)
    numbers = [one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for one in (first, second)]
    assert numbers[0] < numbers[1]
    assert ours(server) == ours(server)
    kept = ours(server)
    server.restart()
    assert ours(server) == kept
    server.admin().on(OWN).delete(f"/blocked-certificates/{key}").ok()
    third = x509.load_der_x509_crl(ours(server))
    assert len(third) == 0
    assert third.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number > numbers[1]


def test_after_a_rollover_each_issuer_has_its_list(make_controller, tmp_path):
    """openssl takes the PEM form as it is, and refuses what is blocked."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on this machine")
    server = make_controller()
    own = server.admin().on(OWN)
    leaves = []
    for name in ("old", "new", "fine"):
        (tmp_path / name).mkdir()
        leaves.append(certified(server, server.admin(), tmp_path / name)[1])
        if name == "old":
            own.post("/certificates/rollover", {"what": "root"}).ok()
            server._knows_ca = False
    for leaf in leaves[:2]:
        own.create("/blocked-certificates", {"fingerprint": leaf.fingerprint})
    (tmp_path / "crl.pem").write_bytes(ours(server, PEM))
    words = ["openssl", "verify", "-crl_check", "-CRLfile", str(tmp_path / "crl.pem")]
    results = []
    for name in ("old", "new", "fine"):
        chain = tmp_path / name / "client.crt"
        done = subprocess.run(
            [*words, "-CAfile", str(server.ca_file()), "-untrusted", str(chain), str(chain)],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        results.append(done.stdout + done.stderr)
    assert "certificate revoked" in results[0]
    assert "certificate revoked" in results[1]
    assert results[2].strip().endswith("OK")
