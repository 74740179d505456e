"""Every operation of the management API opens to exactly the permission that it declares."""

from __future__ import annotations

import re

import pytest

from api.entities import PERMISSIONS
from app import operations
from tests.controllers import Api, Controller
from tests.flows import with_password
from wire.resource import MANAGEMENT, Action

HELD = [p for p in PERMISSIONS.schema["items"]["enum"] if p.endswith((".read", ".update"))] + ["admin_readonly", ""]
ENTITIES = sorted({p for p in PERMISSIONS.schema["items"]["enum"] if "." not in p} - {"admin_readonly"})
OPERATIONS = [
    a
    for a in operations()
    if MANAGEMENT in a.bases and a.permission not in {"public", "session", "partial"} and a.body is None
]


@pytest.fixture(scope="module")
def people(controller: Controller) -> dict[str, Api]:
    """A client for each permission (reading, updating, or a whole entity), and one without any."""
    admin, found = controller.admin(), {}
    for permission in {*HELD, *ENTITIES}:
        _, user, password = with_password(admin, permissions=[permission] if permission else [])
        found[permission] = controller.api().login(user, password)
    return found


def opens(permission: str, action: Action) -> bool:
    """Say whether a permission opens an action, straight from the documentation."""
    entity, _, verb = action.permission.partition(".")
    if permission == "admin_readonly":
        return verb == "read" and action.method == "GET"
    return permission in {entity, action.permission} and action.permission != "admin"


@pytest.mark.parametrize("action", OPERATIONS, ids=lambda a: f"{a.method} {a.path}")
def test_who_may(people, action):
    """Permission comes before existence: with it an unknown id is unknown, without it everything is refused."""
    path = re.sub(r"\{\w+\}", "nosuch", action.path)
    entity = action.permission.partition(".")[0]
    tried = [p for p in people if p in {"", "admin_readonly", "service", "ops.read"} or p.partition(".")[0] == entity]
    allowed = {p for p in tried if people[p].call(action.method, path).status != 401}
    assert allowed == {p for p in tried if opens(p, action)}


def test_every_declared_permission_can_be_given():
    """What an operation asks for is in the list of permissions, or needs an administrator."""
    known = {*PERMISSIONS.schema["items"]["enum"], "public", "session", "partial", "admin"}
    asked = {a.permission for a in operations()}
    assert asked - known <= {"controller.read"}, asked - known
