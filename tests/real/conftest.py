"""Fixtures for the tests with real clients."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.controllers import Api, Controller
from tests.real.clients import Curl, GoClient, OpenSsl, Preparation, build_go_client


@pytest.fixture(scope="session")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> GoClient:
    return build_go_client(tmp_path_factory.mktemp("goclient"))


@pytest.fixture(scope="session")
def service(controller: Controller) -> str:
    """Give the name of a service that every identity may dial: the wheel hangs without one."""
    api, name = controller.admin(), f"service-{secrets.token_hex(4)}"
    identifier = api.create("/services", {"name": name, "encryptionRequired": True})
    policy = {"name": name, "type": "Dial", "semantic": "AnyOf", "identityRoles": ["#all"]}
    api.create("/service-policies", {**policy, "serviceRoles": [f"@{identifier}"]})
    return name


@pytest.fixture
def prepare(api: Api, tmp_path: Path) -> Preparation:
    return Preparation(api, tmp_path)


@pytest.fixture
def openssl(tmp_path: Path) -> OpenSsl:
    return OpenSsl(tmp_path)


@pytest.fixture
def curl(controller: Controller) -> Curl:
    return Curl(controller.url, controller.ca_file())
