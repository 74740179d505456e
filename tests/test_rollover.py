"""New intermediates and roots, while clients of the old ones go on working."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from cryptography import x509

import pki
from certs import folder
from tests.certificates import CA, csr
from tests.controllers import Controller
from tests.flows import certified, enroll_ott, login, pending, public_pem, served_certificate, sql, wait_until

OWN = "/zitilite/v1"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def roll(server: Controller, what: str) -> None:
    server.admin().on(OWN).post("/certificates/rollover", {"what": what}).ok()
    server._knows_ca = False


def bundle(server: Controller) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(server.ca_pem().encode())


def handshake(server: Controller, trusted: Path) -> None:
    """A client that knows only these CAs and checks the name."""
    context = ssl.create_default_context(cafile=str(trusted))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain:
        context.wrap_socket(plain, server_hostname="127.0.0.1").close()


def openssl_verifies(server: Controller, trusted: Path, tls: str) -> None:
    words = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", str(trusted), tls]
    done = subprocess.run(
        [*words, "-verify_return_error", "-verify_ip", "127.0.0.1"],
        input="",
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert "Verify return code: 0 (ok)" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("steps", [["intermediate"], ["root"], ["intermediate", "root"], ["root", "root"]], ids=str)
def test_old_and_new_clients_work_side_by_side(make_controller, tmp_path, steps):
    """Certificates of before log in, servers verify with the old root alone and with the new one alone."""
    server = make_controller()
    old_root = tmp_path / "old.pem"
    old_root.write_text((server.data / "pki" / "root.cert").read_text())
    (tmp_path / "old").mkdir()
    _, _, before = certified(server, server.admin(), tmp_path / "old")
    key = public_pem(served_certificate(server.admin()))
    _, found = pending(server.admin(), "ott")
    for what in steps:
        roll(server, what)
    assert public_pem(served_certificate(server.admin())) == key
    assert jwt.decode(found["jwt"], key, algorithms=["RS256"], audience="")["jti"] == found["token"]
    (tmp_path / "new").mkdir()
    issued = enroll_ott(server, found["token"], tmp_path / "new")
    issued.certificate.verify_directly_issued_by(issued.above[0])
    after = server.api((tmp_path / "new" / "client.crt", tmp_path / "new" / "client.key"))
    new_root = tmp_path / "new.pem"
    new_root.write_text((server.data / "pki" / "root.cert").read_text())
    for restart in (False, True):
        if restart:
            server.restart()
        assert login(server.api(before.http.cert)).status == 200
        assert login(server.api(after.http.cert)).status == 200
        for trusted in (old_root, new_root):
            handshake(server, trusted)
            if shutil.which("openssl"):
                openssl_verifies(server, trusted, "-tls1_2")
                openssl_verifies(server, trusted, "-tls1_3")
    roots = {c for c in bundle(server) if c.subject == c.issuer}
    assert {x509.load_pem_x509_certificate(p.read_bytes()) for p in (old_root, new_root)} <= roots
    assert len(roots) == 1 + steps.count("root")


def test_the_list_shows_what_was_replaced(make_controller):
    server = make_controller()
    own = server.admin().on(OWN)
    (before,) = own.get("/certificates", filter='kind = "intermediate"').ok()
    roll(server, "root")
    rows = own.get("/certificates", filter="isSystem = true", limit=50).ok()
    shown = sorted((row["kind"], row["isCurrent"]) for row in rows)
    assert shown == [
        ("cross", True),
        ("intermediate", False),
        ("intermediate", True),
        ("root", False),
        ("root", True),
        ("server", False),
        ("server", True),
    ]
    assert own.detail("/certificates", before["id"])["isCurrent"] is False


def test_keys_of_a_rollover_are_private_and_the_old_root_key_is_gone(make_controller):
    server = make_controller()
    old = (server.data / "pki" / "root.key").read_bytes()
    roll(server, "root")
    files = list((server.data / "pki").iterdir())
    assert not [f for f in files if f.name.startswith("next")]
    for file in files:
        if file.suffix == ".key":
            assert file.stat().st_mode & 0o777 == 0o600
            assert file.read_bytes() != old


def test_it_renews_a_client_from_the_old_issuer_to_the_new_one(make_controller, tmp_path):
    """An extension goes over to the new issuer and hands out the bundle with both roots."""
    server = make_controller()
    _, _, client = certified(server, server.admin(), tmp_path)
    roll(server, "root")
    client = server.api(client.http.cert).login_by_certificate()
    (mine,) = client.get("/current-identity/authenticators").ok()
    answer = client.post(f"/current-identity/authenticators/{mine['id']}/extend", {"clientCertCsr": csr("x")[0]}).ok()
    assert set(x509.load_pem_x509_certificates(answer["ca"].encode())) == set(bundle(server))
    leaf = x509.load_pem_x509_certificates(answer["clientCert"].encode())
    leaf[0].verify_directly_issued_by(leaf[1])
    leaf[1].verify_directly_issued_by(leaf[2])


def test_without_the_roots_key_it_says_what_to_do(make_controller):
    server = make_controller()
    (server.data / "pki" / "root.key").unlink()
    for what in ("root", "intermediate"):
        answer = server.admin().on(OWN).post("/certificates/rollover", {"what": what})
        assert (answer.status, answer.code) == (409, "ROLLOVER_FAILED")
        assert "root.key is missing" in answer.error["cause"]["message"]
    server.restart()


def test_an_own_ca_is_the_operators_business(make_controller, tmp_path):
    root = CA.root("Own Root")
    signer = root.intermediate("Own Intermediate")
    chain, key = tmp_path / "signer.pem", tmp_path / "signer.key"
    chain.write_text(signer.pem + root.pem)
    key.write_text(signer.key_pem)
    server = make_controller("--signing-cert", str(chain), "--signing-key", str(key))
    answer = server.admin().on(OWN).post("/certificates/rollover", {"what": "intermediate"})
    assert (answer.status, answer.code) == (409, "ROLLOVER_FAILED")
    assert "signing_cert" in answer.error["cause"]["message"]


# --- by itself, and after a crash


def authority(folder: Path, at: datetime, **options) -> pki.Authority:
    return pki.Authority.open(folder, pki.PkiOptions(addresses=("127.0.0.1",), **options), clock=lambda: at)


def test_it_is_due_with_a_third_of_the_life_left(tmp_path):
    """Ten years: at six nothing is due, at seven the root is, and with it the intermediate."""
    made = authority(tmp_path, NOW)
    assert made.rollover_due(NOW + timedelta(days=365 * 6)) is None
    later = NOW + timedelta(days=365 * 7)
    assert made.rollover_due(later) == "root"
    old = made.server_cert
    again = authority(tmp_path, later)
    again.rollover("root", ["127.0.0.1"], now=later)
    assert again.rollover_due(later) is None
    assert again.issued(old)
    assert len(again.bundle) == 4
    # An intermediate that was made late ends with its root, so that both are due together.
    assert made.rollover_due(later) == "root"


def test_over_is_over(tmp_path):
    """When the old root has ended, nothing of it is sent or trusted any more."""
    authority(tmp_path, NOW)
    later = NOW + timedelta(days=365 * 7)
    authority(tmp_path, later).rollover("root", ["127.0.0.1"], now=later)
    assert [c.is_self_signed for c in authority(tmp_path, later).server_chain] == [False, False, False]
    end = NOW + timedelta(days=365 * 10 + 1)
    last = authority(tmp_path, end)
    assert len(last.bundle) == 2
    assert last.server_chain[-1].is_self_signed


def test_renewal_notices_the_end_of_the_old_root(tmp_path):
    """The running server's chain changes without a new leaf."""
    authority(tmp_path, NOW)
    later = NOW + timedelta(days=365 * 10 - 100)
    moment = [later]
    made = pki.Authority.open(tmp_path, pki.PkiOptions(addresses=("127.0.0.1",)), clock=lambda: moment[0])
    made.rollover("root", ["127.0.0.1"], now=later)
    leaf = made.server_cert
    moment[0] = NOW + timedelta(days=365 * 10 + 1)
    assert made.renew_server_if_needed(["127.0.0.1"], now=moment[0]) is True
    assert made.server_cert == leaf
    assert made.server_chain[-1].is_self_signed
    assert made.renew_server_if_needed(["127.0.0.1"], now=moment[0]) is False


def test_a_running_one_takes_over_what_another_process_rolled(tmp_path):
    """The command line works on the data folder of a server that runs."""
    running = authority(tmp_path, NOW)
    old = running.server_cert
    authority(tmp_path, NOW).rollover("root", ["127.0.0.1"], now=NOW)
    assert running.renew_server_if_needed(["127.0.0.1"], now=NOW) is True
    assert running.server_cert != old
    assert running.issued(old)
    assert len(running.bundle) == 4
    assert running.renew_server_if_needed(["127.0.0.1"], now=NOW) is False


@pytest.mark.parametrize("step", range(1, 12))
def test_a_crash_leaves_the_old_pair_or_the_new_one(tmp_path, monkeypatch, step):
    """After any number of steps of a rollover the folder opens, and what was issued before is still good."""
    made = authority(tmp_path, NOW)
    old = made.server_cert
    left = [step]

    def cut_off(real):
        def maybe(*arguments):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return real(*arguments)

        return maybe

    with monkeypatch.context() as patch:
        patch.setattr(folder, "_save", cut_off(folder._save))
        patch.setattr(Path, "replace", cut_off(Path.replace))
        with pytest.raises(KeyboardInterrupt):
            made.rollover("root", ["127.0.0.1"], now=NOW)
    again = authority(tmp_path, NOW)
    assert again.issued(old)
    assert again.issued(again.server_cert)
    assert again.server_cert.public_key_print == old.public_key_print
    assert pki.folder_problems(tmp_path) == []
    assert not list(tmp_path.glob("next*"))


def test_an_intermediate_rolls_over_by_itself(make_controller):
    """A server that starts late in the life of its CA replaces it at once."""
    server = make_controller()
    server.stop()
    folder = server.data / "pki"
    for name in ("intermediate", "server"):
        (folder / f"{name}.cert").unlink()
    (folder / "intermediate.key").unlink()
    early = datetime.now(UTC) - timedelta(days=365 * 9)
    root = (folder / "root.cert").read_bytes()
    for name in ("root.cert", "root.key"):
        (folder / name).unlink()
    server_key = (folder / "server.key").read_bytes()
    pki.Authority.open(folder, pki.PkiOptions(addresses=("127.0.0.1",)), clock=lambda: early)
    assert (folder / "server.key").read_bytes() == server_key
    made = (folder / "root.cert").read_bytes()
    assert made != root
    server.start()
    wait_until(lambda: (folder / "root.cert").read_bytes() != made)
    roots = wait_until(
        lambda: sql(server, "SELECT is_current FROM own_certificate WHERE kind = 'root' AND is_current = 0")
    )
    assert roots
    assert login is not None


def test_another_kind_of_key(make_controller):
    server = make_controller()
    api = server.admin().on(OWN)
    api.post("/certificates/rollover", {"what": "root", "key": "P-384"}).ok()
    server._knows_ca = False
    assert sorted(key_sizes(server)) == [256, 256, 384, 384]
    api.patch("/settings/ca_key", {"value": "RSA-3072"}).ok()
    server._knows_ca = False
    api = server.admin().on(OWN)
    api.post("/certificates/rollover", {"what": "intermediate"}).ok()
    server._knows_ca = False
    assert max(key_sizes(server)) == 3072


def key_sizes(server: Controller) -> list[int]:
    """Of the CAs that clients are told to trust."""
    return [getattr(c.public_key(), "key_size", 0) for c in bundle(server)]


def test_starting_over_forgets_the_old_ones_while_nobody_has_a_certificate(make_controller, tmp_path):
    server = make_controller()
    before = bundle(server)
    old_root = tmp_path / "old.pem"
    old_root.write_text((server.data / "pki" / "root.cert").read_text())
    body = {"what": "root", "key": "P-384", "startOver": True}
    answer = server.admin().on(OWN).post("/certificates/rollover", body).ok()
    assert sorted(c["kind"] for c in answer) == ["intermediate", "root", "server"]
    server._knows_ca = False
    assert not {c.serial_number for c in before} & {c.serial_number for c in bundle(server)}
    handshake(server, server.ca_file())
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, old_root)
    listed = server.admin().on(OWN).get("/certificates").ok()
    assert all(c["isCurrent"] for c in listed)
    server.restart()
    handshake(server, server.ca_file())
    certified(server, server.admin(), tmp_path)
    refused = server.admin().on(OWN).post("/certificates/rollover", body)
    assert (refused.status, "has a certificate" in str(refused.error)) == (400, True)
    wrong = server.admin().on(OWN).post("/certificates/rollover", {**body, "what": "intermediate"})
    assert wrong.status == 400
