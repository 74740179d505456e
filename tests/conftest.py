"""Fixtures for all tests: the real server as a child process, a client for it, Hypothesis profiles."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import cluster
from tests.controllers import MANAGEMENT, Api, Controller

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
