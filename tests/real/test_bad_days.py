"""Clients that enrolled before something went wrong, or was renewed, and are expected to work on."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Any

import pytest

from domain.care import archive
from migrations import MIGRATIONS
from tests.controllers import Api, Controller
from tests.flows import unique
from tests.real.clients import ClientError, Preparation, real_enroll, real_load

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]
OWN = "/zitilite/v1"
PASSPHRASE = "correct horse battery"


def add_service(api: Api) -> None:
    """The wheel waits for ever without a service."""
    identifier = api.create("/services", {"name": unique("service"), "encryptionRequired": True})
    policy = {"name": unique("policy"), "type": "Dial", "semantic": "AnyOf", "identityRoles": ["#all"]}
    api.create("/service-policies", {**policy, "serviceRoles": [f"@{identifier}"]})


def assert_complete(log: str) -> None:
    assert re.search(r"service event [1-9][0-9]* added", log)
    assert "DELETE[/current-api-session]" in log


def enrolled(server: Controller, folder: Path) -> dict[str, Any]:
    """A real client's identity."""
    _, jwt = Preparation(server.admin(), folder).jwt({"ott": True})
    return real_enroll(jwt)


def loads(identity: dict[str, Any], folder: Path) -> None:
    """Log in with a real client, and get services."""
    file = folder / f"{secrets.token_hex(4)}.json"
    file.write_text(json.dumps(identity))
    assert_complete(real_load(file))


def test_a_client_authenticates_after_a_restore_on_another_machine(make_controller, tmp_path):
    """Other folder, other port, one more address: only the URL in the identity file is changed, as a person would."""
    server = make_controller()
    add_service(server.admin())
    identity = enrolled(server, tmp_path)
    loads(identity, tmp_path)
    key = server.admin().on(OWN).create("/backups", {"passphrase": PASSPHRASE})
    server.stop()
    new = Controller(tmp_path / "elsewhere")
    archive.restore(server.data / "backups" / f"{key}.age", PASSPHRASE, new.data, len(MIGRATIONS))
    new.admin_password = server.admin_password
    new.advertise = ["localhost", "127.0.0.1"]
    new.start()
    try:
        assert new.port != server.port
        moved = json.loads(json.dumps(identity).replace(f"127.0.0.1:{server.port}", f"localhost:{new.port}"))
        assert moved != identity
        loads(moved, tmp_path)
        loads(enrolled(new, tmp_path), tmp_path)
    finally:
        new.stop()


def test_a_client_works_on_by_the_old_address(make_controller, tmp_path):
    """A new issuer, announced and in new tokens; who enrolled by the old address notices nothing."""
    server = make_controller()
    add_service(server.admin())
    old = enrolled(server, tmp_path)
    server.admin().on(OWN).create("/addresses", {"address": "localhost", "isIssuer": True})
    new = enrolled(server, tmp_path)
    assert f"localhost:{server.port}" in json.dumps(new)
    loads(new, tmp_path)
    loads(old, tmp_path)


def test_a_blocked_client_is_out(make_controller, tmp_path):
    server = make_controller()
    add_service(server.admin())
    identity = enrolled(server, tmp_path)
    loads(identity, tmp_path)
    own = server.admin().on(OWN)
    (row,) = own.get("/certificates", filter='kind = "identity"').ok()
    own.create("/blocked-certificates", {"serial": row["serial"]})
    with pytest.raises((ClientError, AssertionError)):
        loads(identity, tmp_path)


@pytest.mark.parametrize("what", ["intermediate", "root"])
def test_clients_of_before_and_after_a_rollover(make_controller, tmp_path, what):
    """Who enrolled before trusts the old root only, and its certificate is of the old issuer."""
    server = make_controller()
    add_service(server.admin())
    before = enrolled(server, tmp_path)
    loads(before, tmp_path)
    server.admin().on(OWN).post("/certificates/rollover", {"what": what}).ok()
    server._knows_ca = False
    loads(before, tmp_path)
    after = enrolled(server, tmp_path)
    assert after["id"]["ca"] != before["id"]["ca"]
    loads(after, tmp_path)
    server.restart()
    loads(before, tmp_path)
    loads(after, tmp_path)


def test_the_go_sdk_before_and_after_a_rollover(make_controller, tmp_path, go_client):
    """The same with the SDK that most tunnelers are made of."""
    server = make_controller()
    add_service(server.admin())
    files = []
    for what in ("intermediate", "root", ""):
        _, jwt = Preparation(server.admin(), tmp_path).jwt({"ott": True})
        files.append(tmp_path / f"before-{what}.json")
        go_client.enroll(jwt, files[-1])
        if what:
            server.admin().on(OWN).post("/certificates/rollover", {"what": what}).ok()
            server._knows_ca = False
    for file in files:
        assert len(go_client.services(file)[1]) == 1
