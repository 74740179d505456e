"""The stored members of every policy equal a plain evaluation of its roles, after any sequence of changes."""

from __future__ import annotations

import json
import tempfile
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from werkzeug.datastructures import Headers, MultiDict

import config
import store
from api import fabric_table, rows, schemas
from api.entities import TABLE
from domain import integrity, roles
from domain.context import Context, Controller
from migrations import MIGRATIONS
from models import AuthPolicy, Identity, PolicyMember, PolicyRole, PostureCheck, Router, Service
from wire.resource import MANAGEMENT

ATTRIBUTES = ("a", "b", "c", "all")
# side -> its collection
COLLECTIONS = {"identity": "identities", "service": "services", "router": "edge-routers", "posture": "posture-checks"}
# collection of policies -> JSON name of each list and its side
POLICIES = {
    "service-policies": {"identityRoles": "identity", "serviceRoles": "service", "postureCheckRoles": "posture"},
    "edge-router-policies": {"identityRoles": "identity", "edgeRouterRoles": "router"},
    "service-edge-router-policies": {"serviceRoles": "service", "edgeRouterRoles": "router"},
}
COLUMNS = {name: (model, lists) for model, lists in roles.LISTS.items() for name in [roles.kind_of(model)]}
attribute_lists = st.lists(st.sampled_from(ATTRIBUTES), max_size=3)
semantics = st.sampled_from(["AllOf", "AnyOf"])


class Policies(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        if not store.database.is_closed():
            store.database.close()
        store.open_database(Path(self.folder.name) / "test.db", MIGRATIONS)
        AuthPolicy.create(id="default", name="Default", primary={}, secondary={}, created_at=0, updated_at=0)
        self.number = 0
        self.entities: dict[str, list[str]] = {side: [] for side in COLLECTIONS}
        self.policies: list[tuple[str, str]] = []
        self.hidden: list[tuple[str, str]] = []

    def teardown(self) -> None:
        store.close()
        self.folder.cleanup()

    def call(self, verb: Any, method: str, entity: Any, body: Any = None, **ids: str) -> Any:
        """Run a row's verb as the engine does: body checked, then the function."""
        ctx = Context(
            ctrl=CONTROLLER,
            base=MANAGEMENT,
            method=method,
            path="",
            query=MultiDict(),
            headers=Headers(),
            remote="",
            peer=(),
            identity=Identity(name="root", is_admin=True),
        )
        if body is not None:
            ctx.raw = json.dumps(body).encode()
            kind = {"POST": "c", "PATCH": "p"}[method]
            ctx.body = schemas.entity_checker(entity, kind).check(ctx.raw)
        return verb(ctx, entity=entity, **ids)

    def create(self, entity: Any, body: dict[str, Any]) -> str:
        self.number += 1
        key = self.call(rows.create, "POST", entity, {"name": f"n{self.number}", **body}).data["id"]
        assert isinstance(key, str)
        return key

    @rule(side=st.sampled_from(sorted(COLLECTIONS)), attributes=attribute_lists, flag=st.booleans())
    def add_entity(self, side: str, attributes: list[str], flag: bool) -> None:
        more: dict[str, dict[str, Any]] = {
            "identity": {"type": "Default", "isAdmin": False},
            "service": {"encryptionRequired": True},
            "router": {"isTunnelerEnabled": flag},
            "posture": {"typeId": "MFA"},
        }
        key = self.create(TABLE[COLLECTIONS[side]], {"roleAttributes": attributes, **more[side]})
        self.entities[side].append(key)

    @rule(is_router=st.booleans())
    def add_to_the_fabric_only(self, is_router: bool) -> None:
        self.number += 1
        name = "routers" if is_router else "services"
        body = {"id": f"own{self.number}", "cost": 0, "noTraversal": False} if is_router else {}
        self.hidden.append((name, self.create(fabric_table.TABLE[name], body)))

    @precondition(lambda self: any(self.entities.values()))
    @rule(data=st.data(), attributes=attribute_lists)
    def change_attributes(self, data: Any, attributes: list[str]) -> None:
        side, key = self.some_entity(data)
        body: dict[str, Any] = {"roleAttributes": attributes}
        if side == "posture":
            body["typeId"] = "MFA"
        self.call(rows.patch, "PATCH", TABLE[COLLECTIONS[side]], body, id=key)

    @precondition(lambda self: any(self.entities.values()))
    @rule(data=st.data())
    def delete_entity(self, data: Any) -> None:
        side, key = self.some_entity(data)
        self.entities[side].remove(key)
        self.call(rows.delete, "DELETE", TABLE[COLLECTIONS[side]], id=key)

    def some_entity(self, data: Any) -> tuple[str, str]:
        found: tuple[str, str] = data.draw(st.sampled_from([(s, k) for s, keys in self.entities.items() for k in keys]))
        return found

    @rule(data=st.data(), collection=st.sampled_from(sorted(POLICIES)), semantic=semantics)
    def add_policy(self, data: Any, collection: str, semantic: str) -> None:
        lists = {name: data.draw(self.some_roles(side)) for name, side in POLICIES[collection].items()}
        kind = {"type": "Dial"} if collection == "service-policies" else {}
        key = self.create(TABLE[collection], {"semantic": semantic, **kind, **lists})
        self.policies.append((collection, key))

    @precondition(lambda self: self.policies)
    @rule(data=st.data(), semantic=semantics)
    def change_policy(self, data: Any, semantic: str) -> None:
        collection, key = data.draw(st.sampled_from(self.policies))
        name, side = data.draw(st.sampled_from(sorted(POLICIES[collection].items())))
        body = data.draw(st.sampled_from([{name: data.draw(self.some_roles(side))}, {"semantic": semantic}]))
        self.call(rows.patch, "PATCH", TABLE[collection], body, id=key)

    @precondition(lambda self: self.policies)
    @rule(data=st.data())
    def delete_policy(self, data: Any) -> None:
        found = data.draw(st.sampled_from(self.policies))
        self.policies.remove(found)
        self.call(rows.delete, "DELETE", TABLE[found[0]], id=found[1])

    def some_roles(self, side: str) -> Any:
        one = st.sampled_from([*(f"#{a}" for a in ATTRIBUTES[:3]), "#", *(f"@{key}" for key in self.entities[side])])
        return st.lists(one, max_size=4) | st.just(["#all"])

    @invariant()
    def members_equal_a_plain_evaluation(self) -> None:
        stored = {(m.policy, m.side, m.entity) for m in PolicyMember.select()}
        assert stored == set(self.evaluated())

    def evaluated(self) -> Any:
        everybody = {
            "identity": {i.id: i.role_attributes for i in Identity.select()},
            "service": {s.id: s.role_attributes for s in Service.select() if not s.is_fabric_only},
            "router": {r.id: r.role_attributes for r in Router.select() if r.kind == "edge"},
            "posture": {c.id: c.role_attributes for c in PostureCheck.select()},
        }
        for model, lists in COLUMNS.values():
            for policy in model.select():
                for side, column, _ in lists:
                    for key, attributes in everybody[side].items():
                        if meant(key, attributes, getattr(policy, column), policy.semantic):
                            yield policy.id, side, key

    @invariant()
    def the_index_of_roles_equals_the_lists(self) -> None:
        listed = {
            (policy.id, side, role)
            for model, lists in COLUMNS.values()
            for policy in model.select()
            for side, column, _ in lists
            for role in getattr(policy, column)
        }
        assert {(r.policy, r.side, r.role) for r in PolicyRole.select()} == listed

    @invariant()
    def the_integrity_check_finds_nothing(self) -> None:
        assert integrity.examine(fix=False) == []


def meant(key: str, attributes: list[str], listed: list[str], semantic: str) -> bool:
    """Say whether an entity is meant by a policy's list, straight from the rules."""
    if "#all" in listed or f"@{key}" in listed:
        return True
    wanted = {role[1:] for role in listed if role.startswith("#")}
    if semantic == "AllOf":
        return bool(wanted) and wanted <= set(attributes)
    return bool(wanted & set(attributes))


def _controller() -> Controller:
    """Give a controller that has its settings and nothing else: no rule of these rows needs more."""
    nothing: Any = None
    required = [f for f in fields(Controller) if f.default is MISSING and f.default_factory is MISSING and f.init]
    values = {f.name: nothing for f in required}
    return Controller(**{**values, "settings": config.load({}), "addresses": (config.Address("127.0.0.1", 1),)})


CONTROLLER = _controller()
TestPolicies = Policies.TestCase
TestPolicies.settings = settings(max_examples=30, stateful_step_count=25)
