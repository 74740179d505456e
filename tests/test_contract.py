"""Every operation of the upstream documents is a row or an action of ours, or is named here with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import operations
from tests import contract
from wire.resource import CLIENT, FABRIC, MANAGEMENT

DOCUMENTS = Path(__file__).resolve().parents[2] / "shared" / "reference" / "openapi"
APIS = {"management.yml": MANAGEMENT, "client.yml": CLIENT, "fabric.yml": FABRIC}
COUNTED = {"management.yml": 199, "client.yml": 59, "fabric.yml": 37}
READ_ONLY = "services cannot be changed through the client API; upstream answers 501, ours 405"
NOT_SERVED = {
    ("PUT", f"{CLIENT}/services/{{}}"): READ_ONLY,
    ("PATCH", f"{CLIENT}/services/{{}}"): READ_ONLY,
    ("DELETE", f"{CLIENT}/services/{{}}"): READ_ONLY,
}

pytestmark = pytest.mark.skipif(not DOCUMENTS.is_dir(), reason="the upstream documents are not beside the checkout")


def documented(name: str) -> Iterator[tuple[str, str]]:
    """Give method and path of every operation; the documents are indented YAML, by two or by four."""
    text = (DOCUMENTS / name).read_text()
    paths = re.split(r"^(?=\S)", text[text.index("\npaths:\n") + 8 :], maxsplit=1, flags=re.MULTILINE)[0]
    indent = paths[: len(paths) - len(paths.lstrip(" "))]
    path = ""
    for line in paths.splitlines():
        if found := re.match(rf"{indent}['\"]?(/[^\s'\"]*)['\"]?:", line):
            path = "" if found[1] == "/" else found[1]
        elif found := re.match(rf"{indent * 2}(get|put|post|patch|delete):", line):
            yield found[1].upper(), APIS[name] + unnamed(path)


def unnamed(path: str) -> str:
    """Give the path without the names of its variables."""
    return re.sub(r"\{\w+\}", "{}", path)


def served() -> set[tuple[str, str]]:
    return {(a.method, base + unnamed(a.path)) for a in operations() for base in a.bases}


@pytest.mark.parametrize("name", APIS)
def test_the_document_is_read_whole(name):
    assert len(set(documented(name))) == COUNTED[name]


@pytest.mark.parametrize("name", APIS)
def test_every_operation_is_served_or_named(name):
    missing = set(documented(name)) - served() - NOT_SERVED.keys()
    assert not missing, sorted(missing)


def test_nothing_served_is_named_as_missing():
    assert not NOT_SERVED.keys() & served()


def test_what_is_named_as_missing_is_documented():
    known = {operation for name in APIS for operation in documented(name)}
    assert not NOT_SERVED.keys() - known


def test_an_answer_that_breaks_its_schema_is_noticed():
    """The check that every answer of every test passes through does find something."""
    path = f"{MANAGEMENT}/identities"
    assert contract.violations("POST", path, 201, {"data": {"id": 1}, "meta": {}})
    assert contract.violations("GET", path, 200, {"data": [{"name": "x"}], "meta": {}})
    assert contract.violations("DELETE", f"{path}/x", 204, None)
    assert not contract.violations("POST", path, 201, {"data": {"id": "x", "_links": {}}, "meta": {}})
