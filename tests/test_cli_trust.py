"""Addresses, certificates, revocation, API tokens and checks on the command line."""

from __future__ import annotations

import re

import pytest
import requests
from cryptography.hazmat.primitives import hashes

from tests.certificates import CA, Issued
from tests.cli import Cli
from tests.controllers import CLIENT, Api, Controller
from tests.events import OWN
from tests.flows import certified, import_ca, login, unique, wait_until
from tests.test_crls import crl


def sha256(issued: Issued) -> str:
    return ":".join(re.findall("..", issued.certificate.fingerprint(hashes.SHA256()).hex()))


def reaches(server: Controller, host: str) -> bool:
    """Whether a client that checks names gets an answer by this name."""
    try:
        return Api(f"https://{host}:{server.port}", server.ca_file()).get("/version").status == 200
    except requests.ConnectionError:
        return False


def test_an_address_while_it_runs(make_controller, tmp_path):
    """From the machine itself: the running controller serves and announces what was added on its data folder."""
    server = make_controller()
    cli = Cli(tmp_path, "--data", str(server.data), database=server.database)
    added = cli.json("address", "add", "localhost")
    assert added["address"] == f"localhost:{server.port}"
    wait_until(lambda: reaches(server, "localhost"))
    checked = cli.json("address", "check", "localhost")
    assert (checked["answers"], checked["servesOurKey"], checked["problem"]) == (True, True, "")
    cli.run("address", "change", "localhost", "--issuer")
    old = f"127.0.0.1:{server.port}"
    cli.run("address", "change", old, "--announced", "off")
    shown = {line.split()[0]: line.split()[1:4] for line in cli.run("address", "list").splitlines()}
    assert shown[f"localhost:{server.port}"] == ["yes", "yes", "yes"]
    assert shown[old] == ["no", "no", "yes"]
    assert "make another address the issuer first" in cli.run("address", "delete", "localhost", code=1)
    cli.run("address", "delete", old)
    cli.run("address", "add", "localhost:4433")
    assert "stands for several" in cli.run("address", "delete", "localhost", code=2)


def test_who_uses_an_address(anywhere, controller, api, tmp_path):
    key, _, _ = certified(controller, api, tmp_path)
    users = anywhere.json("address", "users", f"127.0.0.1:{controller.port}")
    assert {"kind": "identity", "id": key, "name": api.detail("/identities", key)["name"]} in users


def test_a_stolen_box_is_out(anywhere, controller, api, tmp_path):
    """By its name, its file or its serial number; and back again."""
    key, issued, client = certified(controller, api, tmp_path)
    name = api.detail("/identities", key)["name"]
    login(client).ok()
    assert "stolen" in anywhere.run("blocked", "add", "--of", name, "--reason", "stolen")
    assert login(client).status == 401
    assert f'"{name}"' in anywhere.run("certificate", "list", 'state = "blocked"', "-o", "json")
    anywhere.run("blocked", "delete", f"{issued.certificate.serial_number:X}")
    login(client).ok()
    (tmp_path / "box.pem").write_text(issued.pem)
    anywhere.run("blocked", "add", "box.pem", "--reason", name)
    assert "has no certificate that works" in anywhere.run("blocked", "add", "--of", name, code=3)
    for way in (issued.fingerprint, f"{issued.certificate.serial_number:x}".upper(), sha256(issued)):
        anywhere.run("blocked", "delete", anywhere.json("blocked", "list", f'reason = "{name}"')[0]["id"])
        login(client).ok()
        anywhere.run("blocked", "add", *(("--fingerprint",) if len(way) > 40 else ()), way, "--reason", name)
        assert login(client).status == 401
    assert "is known here" in anywhere.run("blocked", "add", "00:11:22", code=3)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["blocked", "add"], "say which"),
        (["blocked", "add", "box.pem"], "neither a file nor"),
        (["address", "change", "127.0.0.1"], "--issuer or --announced"),
        (["certificate", "rollover", "leaf"], "invalid choice"),
        (["api-token", "create", "x", "--scope", "all"], "invalid choice"),
    ],
)
def test_what_is_meant_must_be_said(cli, words, why):
    assert why in cli.run(*words, code=2)


def test_certificates_in_one_list(make_controller, tmp_path):
    """The list by its ends, and a new intermediate with the old one beside it."""
    server = make_controller()
    cli = Cli(tmp_path, "--data", str(server.data), database=server.database)
    rows = [line.split() for line in cli.run("certificate", "list").splitlines()[1:]]
    assert rows[0][0] == "server"
    assert {row[0] for row in rows} == {"server", "intermediate", "root"}
    held = cli.json("certificate", "rollover", "intermediate", "--key", "P-384")
    assert [row["isCurrent"] for row in held if row["kind"] == "intermediate"] == [True, False]
    assert cli.run("certificate", "list", 'kind = "intermediate"').count("intermediate-ca-") == 2


def test_a_revocation_list_of_a_ca(anywhere, controller, api, tmp_path):
    root, name = CA.root(unique("root")), unique("plant")
    import_ca(api, root, name=name)
    (tmp_path / "plant.crl").write_bytes(crl(root, root.leaf("revoked")))
    assert anywhere.json("ca", "crl", name, "--file", "plant.crl")["revokedCount"] == 1
    assert "http://pki.example.com/a.crl" in anywhere.run("ca", "crl", name, "--from", "http://pki.example.com/a.crl")
    assert "is forgotten" in anywhere.run("ca", "crl", name, "--forget")


def test_a_token_for_a_script(anywhere, controller, api, tmp_path):
    """Made here, used elsewhere, ended here: it is shown once, and what it may not do has a code of its own."""
    name = unique("ci")
    shown = anywhere.run("api-token", "create", name, "--scope", "enroll", "--expires", "2d").splitlines()
    assert shown[0].startswith("zl_")
    assert name in anywhere.run("api-token", "list")
    assert shown[0] not in anywhere.run("api-token", "get", name, "-o", "json")
    script = Cli(
        tmp_path, ZITILITE_URL=controller.url, ZITILITE_TOKEN=shown[0], ZITILITE_TRUST=str(controller.ca_file())
    )
    made = unique("box")
    assert script.run("identity", "create", made, "-o", "jwt").count(".") == 2
    assert "needs the permission identity.delete" in script.run("identity", "delete", made, code=4)
    anywhere.run("api-token", "delete", name)
    script.run("identity", "list", code=4)


def test_a_token_for_somebody_else(cli, controller, api):
    name = unique("machine")
    cli.run("identity", "create", name, "--admin", "--method", "none")
    made = cli.json("api-token", "create", unique("ci"), "--scope", "read", "--for", name)
    client = controller.api().on(CLIENT)
    client.http.headers["Authorization"] = f"Bearer {made['token']}"
    assert client.get("/current-identity").ok()["name"] == name


def test_doctor_from_elsewhere(elsewhere, api):
    found = {check["id"]: check["state"] for check in api.on(OWN).get("/checks").ok()}
    worst = max(("ok", "warn", "fail").index(state) for state in found.values())
    told = elsewhere.run_code("doctor", code=worst)
    assert "Own certificate: root" in told
    assert told.count("\n") >= len(found)
