"""/metrics in the Prometheus text format, where it is switched on, and /health-checks."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.controllers import Api, Controller
from tests.flows import unique

METHODS = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory):
    """A server that serves /metrics."""
    server = Controller(tmp_path_factory.mktemp("metrics"), "--metrics", "on").start()
    yield server
    server.stop()


def root(server: Controller) -> Api:
    """A client without a session on paths outside the APIs."""
    client = server.api()
    client.base = ""
    return client


def samples(server: Controller) -> dict[tuple[str, ...], float]:
    """Every sample by name and label values."""
    answer = root(server).get("/metrics")
    assert answer.status == 200
    return {
        (s.name, *(v for k, v in sorted(s.labels.items()) if k != "source_id")): s.value
        for family in text_string_to_metric_families(answer.body)
        for s in family.samples
    }


def test_requests_are_counted(measured):
    """By operation, not by path: an id makes no new series."""
    api = measured.admin()
    before = samples(measured)
    api.get("/services/one")
    api.get("/services/two")
    after = samples(measured)
    key = ("ziti_http_requests_total", "GET", "/edge/management/v1/services/{id}", "404")
    assert after[key] - before.get(key, 0) == 2
    assert not any("one" in label for name in after for label in name[1:])
    timed = ("ziti_http_request_seconds_count", "GET", "/edge/management/v1/services/{id}")
    assert after[timed] - before.get(timed, 0) == 2


def test_unknown_paths_make_one_series(measured):
    for _ in range(3):
        root(measured).get(f"/{unique('nosuch')}")
    unknown = [name for name in samples(measured) if name[0] == "ziti_http_requests_total" and "unknown" in name]
    assert len(unknown) == 1


def test_entities_are_counted(measured):
    api = measured.admin()
    before = samples(measured)["ziti_entities", "services"]
    api.create("/services", {"name": unique("s"), "encryptionRequired": True})
    assert samples(measured)["ziti_entities", "services"] == before + 1


def test_every_sample_of_ours_names_the_controller(measured):
    text = root(measured).get("/metrics").body
    ours = [line for line in text.splitlines() if line.startswith("ziti_")]
    assert ours
    assert all('source_id="controller"' in line for line in ours)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "/metrics/x", "/metricsx"])
def test_any_path_method_and_accept(measured, method, path):
    answer = root(measured).call(method, path, headers={"Accept": "application/xml"})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_metrics_are_off_unless_asked_for(controller):
    assert root(controller).get("/metrics").status == 404


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", ["", "/v1", "/controller", "foo"])
def test_health(controller, method, path):
    """No session, any method, any path with the prefix."""
    answer = root(controller).call(method, f"/health-checks{path}")
    assert answer.status == 200
    if method != "HEAD":
        assert answer.body["data"]["healthy"] is True
        assert "raft" not in answer.body


def test_health_of_the_raft(controller):
    body = root(controller).get("/health-checks/v1/controller/raft").body
    assert body["raft"] == {"isLeader": False, "isRaftEnabled": False}


def test_short_health(controller):
    (check,) = root(controller).get("/health-checks", type="short").body["data"]["checks"]
    assert check.keys() == {"healthy", "id"}
