"""What a non-admin sees is exactly what its policies allow: a matrix of policies, each listed over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest

from tests.controllers import CLIENT, Api, Controller
from tests.flows import unique, with_password

PEOPLE = {"nobody": [], "a": ["a"], "ab": ["a", "b"]}
SERVICES = {"plain": [], "x": ["x"], "xy": ["x", "y"], "z": ["z"]}
ME, OTHER = "@me", "@other"
IDENTITY_ROLES: tuple[list[str], ...] = (
    [],
    ["#all"],
    ["#a"],
    ["#a", "#b"],
    ["#c"],
    [ME],
    [OTHER],
    ["#c", ME],
    ["#a", OTHER],
)
SERVICE_ROLES: tuple[list[str], ...] = (
    [],
    ["#all"],
    ["#x"],
    ["#x", "#y"],
    ["#x", "#z"],
    ["@plain"],
    ["#nosuch"],
    ["#y", "@z"],
)
SEMANTICS = ("AnyOf", "AllOf")
CASES = [
    *((person, roles, ["#x"], semantic) for person, roles, semantic in product(PEOPLE, IDENTITY_ROLES, SEMANTICS)),
    *(("ab", ["#a"], roles, semantic) for roles, semantic in product(SERVICE_ROLES, SEMANTICS)),
]


@dataclass(frozen=True)
class Network:
    """A server of its own with a few services and people, so that #all is known."""

    admin: Api
    clients: dict[str, Api]
    ids: dict[str, str]

    def resolve(self, roles: list[str], person: str) -> list[str]:
        names = {ME: person, OTHER: "other"}
        return [f"@{self.ids[names.get(r, r[1:])]}" if r[0] == "@" else r for r in roles]

    def listed(self, person: str) -> dict[str, list[str]]:
        data = self.clients[person].every("/services")
        return {s["name"]: s["permissions"] for s in data}

    def policy(self, body: dict[str, Any]) -> str:
        return self.admin.create("/service-policies", {"name": unique("policy"), **body})


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    server = Controller(tmp_path_factory.mktemp("policies")).start()
    admin = server.admin()
    ids, clients = {}, {}
    for person, attributes in {**PEOPLE, "other": ["q"]}.items():
        ids[person], user, password = with_password(admin, roleAttributes=attributes)
        clients[person] = server.api().on(CLIENT).login(user, password)
    for service, attributes in SERVICES.items():
        body = {"name": service, "encryptionRequired": True, "roleAttributes": attributes}
        ids[service] = admin.create("/services", body)
    yield Network(admin, clients, ids)
    server.stop()


def meant(name: str, attributes: list[str], roles: list[str], semantic: str) -> bool:
    """Say whether roles mean somebody, straight from the documentation."""
    if "#all" in roles or f"@{name}" in roles:
        return True
    wanted = [r[1:] for r in roles if r[0] == "#"]
    if semantic == "AllOf":
        return bool(wanted) and all(w in attributes for w in wanted)
    return any(w in attributes for w in wanted)


@pytest.mark.parametrize(("person", "identity_roles", "service_roles", "semantic"), CASES)
def test_services_listed_are_those_allowed(network, person, identity_roles, service_roles, semantic):
    granted = meant("me", PEOPLE[person], identity_roles, semantic)
    expected = {s for s, held in SERVICES.items() if granted and meant(s, held, service_roles, semantic)}
    policy = network.policy(
        {
            "type": "Dial",
            "semantic": semantic,
            "identityRoles": network.resolve(identity_roles, person),
            "serviceRoles": network.resolve(service_roles, person),
        }
    )
    try:
        assert network.listed(person) == {name: ["Dial"] for name in expected}
        for name, key in network.ids.items():
            if name in SERVICES:
                assert network.clients[person].get(f"/services/{key}").status == (200 if name in expected else 404)
        listed = network.admin.get(f"/service-policies/{policy}/services", limit=500).ok()
        assert {s["name"] for s in listed} == {s for s in SERVICES if meant(s, SERVICES[s], service_roles, semantic)}
    finally:
        network.admin.delete(f"/service-policies/{policy}").ok()


def test_the_matrix_is_wide():
    """At least fifty cases."""
    assert len(CASES) >= 50


def test_dial_and_bind_add_up(network):
    """Two policies of different types give both permissions, and each goes with its policy."""
    common = {"semantic": "AnyOf", "identityRoles": ["#a"], "serviceRoles": ["#z"]}
    dial, bind = network.policy({"type": "Dial", **common}), network.policy({"type": "Bind", **common})
    assert {k: sorted(v) for k, v in network.listed("a").items()} == {"z": ["Bind", "Dial"]}
    network.admin.delete(f"/service-policies/{dial}").ok()
    assert network.listed("a") == {"z": ["Bind"]}
    network.admin.delete(f"/service-policies/{bind}").ok()
    assert network.listed("a") == {}


def test_changes_of_everybody_show_at_once(network):
    """Attributes of identity and service, the policy's lists and its semantic: each changes the list."""
    admin, client = network.admin, network.clients["nobody"]
    me, service = network.ids["nobody"], network.ids["z"]
    policy = network.policy({"type": "Dial", "semantic": "AllOf", "identityRoles": ["#p"], "serviceRoles": ["#s"]})

    def seen() -> set[str]:
        return {s["name"] for s in client.get("/services").ok()}

    assert seen() == set()
    admin.patch(f"/identities/{me}", {"roleAttributes": ["p"]}).ok()
    assert seen() == set()
    admin.patch(f"/services/{service}", {"roleAttributes": ["s", "z"]}).ok()
    assert seen() == {"z"}
    admin.patch(f"/service-policies/{policy}", {"serviceRoles": ["#s", "#t"]}).ok()
    assert seen() == set()
    admin.patch(f"/service-policies/{policy}", {"semantic": "AnyOf"}).ok()
    assert seen() == {"z"}
    admin.patch(f"/identities/{me}", {"roleAttributes": []}).ok()
    assert seen() == set()
    admin.patch(f"/services/{service}", {"roleAttributes": ["z"]}).ok()
    admin.delete(f"/service-policies/{policy}").ok()


def test_deleting_a_service_takes_its_name_out_of_policies(network):
    """`@id` vanishes; an emptied list reads null."""
    service = network.admin.create("/services", {"name": unique("service"), "encryptionRequired": True})
    policy = network.policy({"type": "Dial", "semantic": "AnyOf", "serviceRoles": [f"@{service}"]})
    network.admin.delete(f"/services/{service}").ok()
    assert network.admin.detail("/service-policies", policy)["serviceRoles"] is None
    network.admin.delete(f"/service-policies/{policy}").ok()


def test_configs_of_a_service_are_those_asked_for(network):
    """A client gets configs of the types it names; an override for one identity wins for it alone."""
    admin = network.admin
    kind = admin.create("/config-types", {"name": unique("type"), "schema": {"type": "object"}})
    bodies = ({"name": unique("c"), "configTypeId": kind, "data": {"n": n}} for n in (1, 2))
    own, other = (admin.create("/configs", body) for body in bodies)
    name = admin.detail("/config-types", kind)["name"]
    service = network.ids["plain"]
    admin.patch(f"/services/{service}", {"configs": [own]}).ok()
    policy = network.policy(
        {"type": "Dial", "semantic": "AnyOf", "identityRoles": ["#a"], "serviceRoles": [f"@{service}"]}
    )
    override = [{"serviceId": service, "configId": other}]
    admin.post(f"/identities/{network.ids['ab']}/service-configs", override).ok()
    path = f"/services/{service}"
    assert network.clients["a"].get(path).ok()["config"] == {}
    assert network.clients["a"].get(path, configTypes=name).ok()["config"] == {name: {"n": 1}}
    assert network.clients["ab"].get(path, configTypes="all").ok()["config"] == {name: {"n": 2}}
    admin.delete(f"/service-policies/{policy}").ok()
    admin.patch(path, {"configs": []}).ok()


def test_policy_advice_says_why(network):
    """Who may dial and bind what; without routers in common nobody gets anywhere."""
    policy = network.policy({"type": "Bind", "semantic": "AnyOf", "identityRoles": ["#a"], "serviceRoles": ["#z"]})
    path = f"/identities/{network.ids['a']}/policy-advice/{network.ids['z']}"
    advice = network.admin.get(path).ok()
    assert advice["isBindAllowed"]
    assert "isDialAllowed" not in advice
    assert advice["commonRouters"] is None
    network.admin.delete(f"/service-policies/{policy}").ok()
    assert "isBindAllowed" not in network.admin.get(path).ok()


@pytest.mark.parametrize(
    ("roles", "reason"),
    [
        (["x"], "role entries must prefixed with #"),
        (["@nosuch"], "no services found with the given ids"),
        (["#all", "#x"], "if using #all, it should be the only role specified"),
    ],
)
def test_bad_roles(network, roles, reason):
    """Nothing is stored for a policy that names what there is not."""
    name = unique("policy")
    answer = network.admin.post(
        "/service-policies", {"name": name, "type": "Dial", "semantic": "AnyOf", "serviceRoles": roles}
    )
    assert answer.status == 400
    assert answer.error["cause"]["reason"].startswith(reason)
    assert network.admin.get("/service-policies", filter=f'name="{name}"').ok() == []
