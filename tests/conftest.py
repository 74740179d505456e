"""Fixtures for all tests: the real server as a child process, a client for it, Hypothesis profiles."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import cluster
from tests.cli import Cli
from tests.controllers import MANAGEMENT, Api, Controller
from tests.events import OWN
from tests.flows import unique

settings.register_profile("ci", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On PostgreSQL leave out what is about SQLite."""
    for item in items if cluster.wanted() else ():
        reason = cluster.only_sqlite(item.nodeid)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """One server for all tests of a session; tests make what they need under names of their own."""
    server = Controller(tmp_path_factory.mktemp("controller")).start()
    yield server
    server.stop()


@pytest.fixture
def make_controller(tmp_path: Path) -> Iterator[Callable[..., Controller]]:
    """Give a factory of own servers: `make_controller("--threads", "2")`; all are ended afterwards."""
    made: list[Controller] = []

    def make(*flags: str, admin_password: str | None = None) -> Controller:
        made.append(Controller(tmp_path / f"controller{len(made)}", *flags, admin_password=admin_password))
        return made[-1].start()

    yield make
    for server in made:
        server.stop()


@pytest.fixture(scope="session")
def administrator(controller: Controller) -> Api:
    """Log in once for all tests: a password takes its time on purpose."""
    return controller.admin()


@pytest.fixture
def api(administrator: Api) -> Api:
    """Give a client of the session's server, logged in as its administrator."""
    return administrator.on(MANAGEMENT)


@pytest.fixture
def cli(controller: Controller, tmp_path: Path) -> Cli:
    """Give the command line on the data folder of the session's server, which needs no login."""
    return Cli(tmp_path, "--data", str(controller.data), database=controller.database)


@pytest.fixture
def elsewhere(controller: Controller, api: Api, tmp_path: Path) -> Cli:
    """Give the command line of another machine: it has an address, a token and the CA certificates."""
    token = api.on(OWN).post("/api-tokens", {"name": unique("cli"), "scope": "admin"}).data["token"]
    trusted = str(controller.ca_file())
    return Cli(tmp_path, ZITILITE_URL=controller.url, ZITILITE_TOKEN=token, ZITILITE_TRUST=trusted)


@pytest.fixture(params=["here", "elsewhere"])
def anywhere(request: pytest.FixtureRequest) -> Cli:
    """Give the command line both ways."""
    found: Cli = request.getfixturevalue("cli" if request.param == "here" else "elsewhere")
    return found
