"""The fabric API: the same routers, services and terminators from below, and what a network without links answers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.controllers import MANAGEMENT, Api, Controller
from tests.flows import unique, with_password

FABRIC = "/fabric/v1"
FINGERPRINT = "ab" * 20


@pytest.fixture
def fabric(api: Api) -> Api:
    """A client of the fabric API, logged in as administrator."""
    return api.on(FABRIC)


def router(fabric: Api, **more: Any) -> str:
    body = {"id": unique("router"), "name": unique("router"), "cost": 0, "noTraversal": False, **more}
    return fabric.create("/routers", body)


def service(fabric: Api, **more: Any) -> str:
    return fabric.create("/services", {"name": unique("service"), **more})


def terminator(fabric: Api, **more: Any) -> str:
    body = {"binding": "transport", "address": "tcp:127.0.0.1:7", **more}
    body.setdefault("service", service(fabric))
    body.setdefault("router", router(fabric))
    return fabric.create("/terminators", body)


# --- routers


def test_a_router_has_the_id_it_is_given(fabric):
    key = router(fabric, id=unique("own"), cost=7, tags={"a": "b"})
    found = fabric.detail("/routers", key)
    assert (found["id"], found["cost"], found["tags"]) == (key, 7, {"a": "b"})
    assert (found["connected"], found["fingerprint"], found["listenerAddresses"]) == (False, None, None)
    again = fabric.post("/routers", {"id": key, "name": unique("r"), "cost": 0, "noTraversal": False})
    assert (again.status, again.error["cause"]["field"]) == (400, "id")


def test_put_on_a_router_is_answered(fabric):
    """The request that crashes the real controller."""
    key = router(fabric, cost=9)
    body = {"name": unique("put"), "fingerprint": FINGERPRINT, "cost": 1, "noTraversal": True}
    fabric.put(f"/routers/{key}", body).ok()
    found = fabric.detail("/routers", key)
    assert {k: found[k] for k in body} == body
    assert fabric.put("/routers/nosuch", {**body, "fingerprint": "cd" * 20}).status == 404
    fabric.patch(f"/routers/{key}", {"fingerprint": unique("f")}).ok()


@pytest.mark.parametrize("base", [FABRIC, f"{MANAGEMENT}/edge-routers"])
def test_disabling_a_router_is_answered(api, fabric, base):
    """The request that hangs the real controller while the router is connected."""
    key = api.create("/edge-routers", {"name": unique("er")})
    path = f"/routers/{key}" if base == FABRIC else f"/edge-routers/{key}"
    client = fabric if base == FABRIC else api
    client.patch(path, {"disabled": True}).ok()
    assert fabric.detail("/routers", key)["disabled"] is True
    assert api.get("/edge-routers").status == 200


def test_edge_routers_are_seen_renamed_and_deleted(api, fabric):
    """The tunneler's identity follows its router."""
    key = api.create("/edge-routers", {"name": unique("er"), "isTunnelerEnabled": True})
    name = unique("renamed")
    fabric.patch(f"/routers/{key}", {"name": name}).ok()
    assert api.detail("/edge-routers", key)["name"] == api.detail("/identities", key)["name"] == name
    fabric.delete(f"/routers/{key}").ok()
    for path in ("/edge-routers", "/identities", "/edge-router-policies"):
        assert api.get(f"{path}/{key}").status == 404


def test_a_fabric_router_is_no_edge_router(api, fabric):
    """It is among all routers, and no policy means it."""
    key = router(fabric)
    assert api.get(f"/edge-routers/{key}").status == 404
    assert api.detail("/routers", key)["isVerified"] is True
    policy = {"name": unique("p"), "semantic": "AnyOf", "edgeRouterRoles": ["#all"]}
    made = api.create("/edge-router-policies", policy)
    listed = api.every(f"/edge-router-policies/{made}/edge-routers")
    assert key not in {r["id"] for r in listed}
    refused = api.patch(f"/edge-router-policies/{made}", {"edgeRouterRoles": [f"@{key}"]})
    assert refused.status == 400


# --- services


def test_a_fabric_service_is_no_edge_service(api, fabric):
    key = service(fabric, terminatorStrategy="random", maxIdleTimeMillis=5)
    found = fabric.detail("/services", key)
    assert (found["terminatorStrategy"], found["maxIdleTimeMillis"]) == ("random", 5)
    assert "encryptionRequired" not in found
    assert api.get(f"/services/{key}").status == 404
    assert api.get("/services", filter=f'id="{key}"').ok() == []
    assert api.patch(f"/services/{key}", {"name": "x"}).status == 404


def test_an_edge_service_is_seen_patched_and_deleted(api, fabric):
    key = api.create("/services", {"name": unique("s"), "encryptionRequired": True, "roleAttributes": ["q"]})
    name = unique("renamed")
    fabric.patch(f"/services/{key}", {"name": name}).ok()
    assert api.detail("/services", key)["name"] == name
    assert api.detail("/services", key)["roleAttributes"] == ["q"]
    fabric.delete(f"/services/{key}").ok()
    assert api.get(f"/services/{key}").status == 404


# --- terminators


def test_a_terminator_in_both_apis(api, fabric):
    """They name the instance differently; the secret is never shown."""
    secret = {"instanceId": "i1", "instanceSecret": "AAEC", "hostId": "h1"}
    key = terminator(fabric, cost=10, precedence="required", **secret)
    below, above = fabric.detail("/terminators", key), api.detail("/terminators", key)
    assert (below["instanceId"], below["hostId"], below["cost"]) == ("i1", "h1", 10)
    assert (above["identity"], above["precedence"]) == ("i1", "required")
    assert "AAEC" not in str(below) + str(above)
    assert below["router"]["entity"] == "routers"
    assert above["router"]["entity"] == "transit-routers"


def test_terminators_of_a_service_and_of_a_router(api, fabric):
    key = terminator(fabric)
    found = fabric.detail("/terminators", key)
    for path in (f"/services/{found['serviceId']}/terminators", f"/routers/{found['routerId']}/terminators"):
        assert [t["id"] for t in fabric.get(path).ok()] == [key]
    assert [t["id"] for t in api.get(f"/services/{found['serviceId']}/terminators").ok()] == [key]
    by_name = f'service.name="{found["service"]["name"]}" and router.name="{found["router"]["name"]}"'
    assert [t["id"] for t in api.get("/terminators", filter=by_name).ok()] == [key]


@pytest.mark.parametrize("path", ["services", "routers"])
def test_terminators_go_with_their_service_or_router(fabric, path):
    key = terminator(fabric)
    found = fabric.detail("/terminators", key)
    fabric.delete(f"/{path}/{found['serviceId' if path == 'services' else 'routerId']}").ok()
    assert fabric.get(f"/terminators/{key}").status == 404


def test_put_and_patch_of_a_terminator(api):
    """A put without cost sets it back; the instance, which no put can name, stays."""
    fabric = api.on(FABRIC)
    key = terminator(fabric, instanceId="i2")
    shown = api.detail("/terminators", key)
    api.patch(f"/terminators/{key}", {"cost": 5, "precedence": "failed"}).ok()
    assert api.detail("/terminators", key)["cost"] == 5
    body = {"service": shown["serviceId"], "router": shown["routerId"], "binding": "b", "address": "tcp:x:1"}
    api.put(f"/terminators/{key}", body).ok()
    after = api.detail("/terminators", key)
    assert (after["cost"], after["precedence"], after["binding"], after["identity"]) == (0, "default", "b", "i2")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"service": "nosuch"}, 404),
        ({"router": "nosuch"}, 404),
        ({"cost": -1}, 400),
        ({"cost": 65536}, 400),
        ({"precedence": "x"}, 400),
        ({"address": None}, 400),
    ],
)
@pytest.mark.parametrize("base", [FABRIC, MANAGEMENT])
def test_bad_terminators(api, base, change, status):
    fabric = api.on(FABRIC)
    body = {"service": service(fabric), "router": router(fabric), "binding": "transport", "address": "tcp:x:1"}
    assert api.on(base).post("/terminators", {**body, **change}).status == status


# --- links, circuits, cluster, inspections


@pytest.mark.parametrize("path", ["/links", "/circuits"])
def test_there_are_no_links_and_no_circuits(fabric, path):
    answer = fabric.get(path, filter='id = "x"', limit=5)
    assert answer.ok() == []
    assert answer.body["meta"] == {"pagination": {"limit": 5, "offset": 0, "totalCount": 0}}
    assert fabric.get(path, filter="nosuch = 1").code == "INVALID_FILTER"
    assert fabric.get(f"{path}/x").status == 404


def test_verbs_of_links_and_circuits(fabric):
    assert fabric.patch("/links/x", {"staticCost": 1}).status == 404
    assert fabric.delete("/links/x").status == 200
    assert fabric.delete("/circuits/x").status == 404
    assert fabric.delete("/circuits/x", {"immediate": True}).status == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "list-members", None),
        ("POST", "add-member", {"address": "tls:x:1", "isVoter": True}),
        ("POST", "remove-member", {"id": "x"}),
        ("POST", "transfer-leadership", {}),
    ],
)
def test_there_is_no_cluster(fabric, method, path, body):
    answer = fabric.call(method, f"/cluster/{path}", body)
    assert (answer.status, answer.code) == (400, "SERVER_NOT_RUNNING_IN_HA_MODE")


def inspect(fabric: Api, *wanted: str, regex: str = ".*") -> Any:
    answer = fabric.post("/inspections", {"appRegex": regex, "requestedValues": list(wanted)})
    assert answer.status == 200
    return answer.body


def test_inspections(fabric, controller):
    found = inspect(fabric, "config", "stackdump", "nosuch", "connected-routers", "metrics:prometheus", "metrics")
    assert found["success"] is True
    assert [v["name"] for v in found["values"]] == [
        "config",
        "stackdump",
        "connected-routers",
        "metrics:prometheus",
        "metrics",
    ]
    assert inspect(fabric, "config", regex="^zz$") == {"errors": None, "success": True, "values": None}
    assert inspect(fabric, "config", regex="(")["success"] is False


def test_inspections_tell_no_secrets(fabric, controller):
    """Neither passwords nor where files lie."""
    text = str(inspect(fabric, "config"))
    assert controller.admin_password not in text
    assert str(controller.data) not in text
    assert "session_minutes" in text


# --- who may


@pytest.fixture(scope="module")
def people(controller: Controller) -> dict[str, Api]:
    """Clients of the fabric API that hold one permission each."""
    admin = controller.admin()
    found = {}
    for permission in ("", "ops", "ops.read", "admin_readonly", "router", "service", "terminator"):
        _, user, password = with_password(admin, permissions=[permission] if permission else [])
        found[permission] = controller.api().login(user, password).on(FABRIC)
    return found


@pytest.mark.parametrize(
    ("method", "path", "body", "allowed"),
    [
        ("GET", "/routers", None, set()),
        ("GET", "/services", None, set()),
        ("GET", "/terminators", None, set()),
        ("DELETE", "/routers/x", None, set()),
        ("GET", "/links", None, {"ops", "ops.read", "admin_readonly"}),
        ("GET", "/circuits", None, {"ops", "ops.read", "admin_readonly"}),
        ("DELETE", "/circuits/x", None, {"ops"}),
        ("PATCH", "/links/x", {"down": True}, {"ops"}),
        ("POST", "/inspections", {"appRegex": "x", "requestedValues": []}, {"ops", "ops.read"}),
        ("GET", "/database/data-integrity-results", None, set()),
        ("POST", "/database", None, set()),
        ("GET", "/cluster/list-members", None, set()),
    ],
)
def test_permissions(people, method, path, body, allowed):
    """Links, circuits and inspections open to operators; everything else needs an administrator."""
    assert {p for p, client in people.items() if client.call(method, path, body).status != 401} == allowed


@pytest.mark.parametrize("path", ["", "/nosuch", "/version", "/specs", "/swagger.json", "/raft/list-members"])
def test_unknown_paths(controller, path):
    """They are unknown also without a session."""
    answer = controller.api().get(f"{FABRIC}{path}")
    assert (answer.status, answer.code) == (404, "NOT_FOUND")


def test_docs_are_public(controller):
    answer = controller.api().get(f"{FABRIC}/docs")
    assert answer.status == 200
    assert "/inspections" in answer.body


def test_version_lists_the_fabric(api):
    versions = api.get("/version").ok()["apiVersions"]
    assert versions["fabric"]["v1"] == {"apiBaseUrls": [api.url], "path": FABRIC}
    assert versions["health-checks"]["v1"]["path"] == "/health-checks/v1"
