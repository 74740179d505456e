"""The identity files that `zitilite enroll` writes are read by the stock SDKs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.controllers import ROOT
from tests.real.clients import GoClient, OpenSsl, Preparation, assert_complete, real_load

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


def enroll(jwt: Path, out: Path, *more: str | Path) -> None:
    command = [sys.executable, ROOT / "app.py", "enroll", jwt, "--out", out, *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_go_sdk_logs_in_with_it(prepare: Preparation, go_client: GoClient, service: str):
    identifier, jwt = prepare.jwt({"ott": True})
    out = prepare.folder / "identity.json"
    enroll(jwt, out)
    session, names = go_client.services(out)
    assert session["identity"] == identifier
    assert service in names


@pytest.mark.usefixtures("service")
def test_the_c_sdk_logs_in_with_it(prepare: Preparation):
    identifier, jwt = prepare.jwt({"ott": True})
    out = prepare.folder / "identity.json"
    enroll(jwt, out)
    assert_complete(real_load(out))
    assert [one["method"] for one in prepare.authenticators(identifier)] == ["cert"]


def test_a_device_with_a_certificate_of_its_own(
    prepare: Preparation, go_client: GoClient, openssl: OpenSsl, service: str
):
    root = openssl.root()
    identifier, jwt = prepare.jwt({"ottca": prepare.ca(openssl, root)})
    leaf = openssl.leaf(root, "device")
    out = prepare.folder / "identity.json"
    enroll(jwt, out, "--cert", leaf.cert, "--key", leaf.key)
    session, names = go_client.services(out)
    assert session["identity"] == identifier
    assert service in names
