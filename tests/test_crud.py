"""Every row of the table: made, read, found, changed, deleted, and refused to whoever may not."""

from __future__ import annotations

import re

import pytest

from tests.examples import EXAMPLES, NAMED, NAMELESS, ON_MANAGEMENT, Body, change, example
from tests.flows import pending, unique, with_password
from wire.resource import Entity


@pytest.fixture
def item(api, entity: Entity) -> tuple[str, Body]:
    """A new item: its path with the id, and the body that made it."""
    body = example(api, entity)
    return f"/{entity.path}/{api.create(f'/{entity.path}', body)}", body


TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
every = pytest.mark.parametrize("entity", NAMED, ids=lambda entity: entity.path)


def test_every_row_that_is_created_has_an_example():
    """A new row of the table needs a line here, so that it is tried at all."""
    created = [entity for entity in ON_MANAGEMENT if "c" in entity.verbs]
    named = {entity.path for entity in created if any(field.name == "name" for field in entity.fields)}
    assert named == EXAMPLES.keys(), "give these collections an example in tests/examples.py"
    assert {entity.path for entity in created} - named <= NAMELESS


@every
def test_created_item_reads_as_it_was_written(api, item):
    """What a create sets is what a read shows."""
    path, body = item
    shown = api.get(path).ok()
    for name, value in body.items():
        if name in shown and name != "type":
            assert shown[name] == value or (not value and shown[name] is None), name
    assert shown["_links"]["self"]["href"].endswith("/" + path.rpartition("/")[2])
    assert shown["createdAt"] == shown["updatedAt"]
    assert shown["tags"] == {}


MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


@every
def test_every_filterable_name_finds_the_item(api, entity, item):
    """Each name that the list announces as filterable can be used, and the item's own value finds it."""
    path, _ = item
    key = path.rpartition("/")[2]
    shown = api.get(path).ok()
    names = api.get(f"/{entity.path}").body["meta"]["filterableFields"]
    assert {"id", "name"} <= set(names)
    for name in names:
        value = shown.get(name)
        if isinstance(value, str) and "\n" not in value:
            shown_as = f"datetime({value})" if TIME.fullmatch(value) else f'"{value}"'
            found = api.get(f"/{entity.path}", filter=f'id="{key}" and {name}={shown_as}').ok()
            assert [one["id"] for one in found] == [key], name
        elif isinstance(value, bool):
            for wanted in (True, False):
                found = api.get(f"/{entity.path}", filter=f'id="{key}" and {name}={str(wanted).lower()}').ok()
                assert len(found) == (wanted is value), name
        elif isinstance(value, int):
            found = api.get(f"/{entity.path}", filter=f'id="{key}" and {name}={value}').ok()
            assert [one["id"] for one in found] == [key], name


@every
def test_list_by_name_and_paging(api, entity, item):
    """The list finds by name, counts, and pages."""
    _, body = item
    answer = api.get(f"/{entity.path}", filter=f'name="{body["name"]}"', limit=1, offset=0)
    assert [one["name"] for one in answer.ok()] == [body["name"]]
    assert answer.body["meta"]["pagination"] == {"limit": 1, "offset": 0, "totalCount": 1}
    past = api.get(f"/{entity.path}", filter=f'name="{body["name"]}"', offset=1)
    assert past.ok() == []
    assert past.body["meta"]["pagination"]["totalCount"] == 1


@every
def test_patch_changes_only_what_it_names(api, entity, item):
    """A patch leaves the rest as it was."""
    path, _ = item
    before = api.get(path).ok()
    wanted = change(entity) | {"tags": {"seen": "yes"}}
    api.patch(path, wanted).ok()
    after = api.get(path).ok()
    for name, value in wanted.items():
        assert after[name] == value, name
    moving = {"updatedAt", *wanted, *(f"{name}Display" for name in wanted), "disabled", "_links"}
    assert {k: v for k, v in after.items() if k not in moving} == {k: v for k, v in before.items() if k not in moving}
    assert after["updatedAt"] >= before["updatedAt"]


@every
def test_put_replaces(api, entity, item):
    """A put sets what it names and puts the rest back to its default."""
    path, body = item
    api.patch(path, change(entity, {"tags": {"seen": "yes"}})).ok()
    whole = body | EXAMPLES[entity.path][1] | {"name": unique(entity.path)}
    api.put(path, whole).ok()
    shown = api.get(path).ok()
    assert shown["name"] == whole["name"]
    assert shown["tags"] == {}
    for name, value in EXAMPLES[entity.path][1].items():
        assert shown[name] == value, name


@every
def test_name_is_unique(api, entity, item):
    """A second item of the same name is refused, on create and on rename, and nothing changes."""
    path, body = item
    answer = api.post(f"/{entity.path}", example(api, entity) | {"name": body["name"]})
    assert (answer.status, answer.code) == (400, "COULD_NOT_VALIDATE")
    assert answer.error["cause"]["field"] == "name"
    other = example(api, entity)
    second = f"/{entity.path}/{api.create(f'/{entity.path}', other)}"
    api.patch(second, change(entity, {"name": body["name"]}))
    assert api.get(second).ok()["name"] == other["name"]
    assert api.get(path).ok()["name"] == body["name"]


@every
@pytest.mark.parametrize("name", ["", None, 5, ["a"], {}])
def test_bad_name(api, entity, name):
    """A name is a text that is not empty."""
    answer = api.post(f"/{entity.path}", example(api, entity) | {"name": name})
    assert answer.status == 400
    assert answer.code in ("COULD_NOT_VALIDATE", "COULD_NOT_PARSE_BODY")


@every
def test_required_fields(api, entity):
    """Each required property that is missing is named."""
    body = example(api, entity)
    required = [field.name for field in entity.fields if "c" in field.required]
    assert required
    for name in required:
        answer = api.post(f"/{entity.path}", {key: value for key, value in body.items() if key != name})
        assert (answer.status, answer.code) == (400, "COULD_NOT_VALIDATE")
        assert answer.error["cause"]["field"] == name


@every
def test_given_id_is_ignored(api, entity):
    """Nobody chooses ids, and unknown properties do no harm."""
    body = example(api, entity) | {"id": "mine", "isSystem": True, "unknown": {"a": [1]}}
    key = api.create(f"/{entity.path}", body)
    assert key != "mine"
    assert not api.detail(f"/{entity.path}", key).get("isSystem")


@every
def test_delete(api, entity, item):
    """A deleted item is gone for every verb."""
    path, body = item
    api.delete(path).ok()
    changed = api.patch(path, change(entity, {"tags": {}}))
    for answer in (api.get(path), api.put(path, body), changed, api.delete(path)):
        assert (answer.status, answer.code) == (404, "NOT_FOUND")


@every
def test_refused_without_rights(controller, api, entity, item):
    """Without a session, and to a non-admin, everything is 401, and nothing happens."""
    path, body = item
    before = api.get(path).ok()
    _, user, password = with_password(api)
    for client in (controller.api(), controller.api().login(user, password)):
        fresh = example(api, entity)
        answers = [
            client.get(f"/{entity.path}"),
            client.get(path),
            client.post(f"/{entity.path}", fresh),
            client.put(path, body | EXAMPLES[entity.path][1]),
            client.patch(path, change(entity, {"tags": {"a": "b"}})),
            client.delete(path),
        ]
        assert {(a.status, a.code) for a in answers} == {(401, "UNAUTHORIZED")}
        assert api.get(f"/{entity.path}", filter=f'name="{fresh["name"]}"').ok() == []
    assert api.get(path).ok() == before


@every
def test_associations_answer(api, entity, item):
    """Each list below an item can be read, and is empty for an unknown one."""
    path, _ = item
    for association in entity.associations:
        assert isinstance(api.get(f"{path}/{association.path}").ok(), list)
        assert api.get(f"/{entity.path}/unknown/{association.path}").ok() == []


@pytest.mark.parametrize("entity", ON_MANAGEMENT, ids=lambda e: e.path)
def test_every_collection_lists_and_refuses_the_unknown(controller, api, entity):
    """Every collection can be listed, answers 404 for what it has not, and 401 without a session."""
    pending(api, "ott")
    answer = api.get(f"/{entity.path}", limit=1)
    assert len(answer.ok()) <= 1
    assert answer.body["meta"]["filterableFields"]
    if "g" in entity.verbs:
        missing = api.get(f"/{entity.path}/unknown")
        assert (missing.status, missing.code) == (404, "NOT_FOUND")
    assert controller.api().get(f"/{entity.path}").code == "UNAUTHORIZED"
    verbs = {"c": ("POST", ""), "u": ("PUT", "/unknown"), "p": ("PATCH", "/unknown"), "d": ("DELETE", "/unknown")}
    for verb, (method, tail) in verbs.items():
        if verb not in entity.verbs:
            refused = api.call(method, f"/{entity.path}{tail}", {})
            assert refused.status in (400, 404, 405, 602), f"{method}: {refused}"
