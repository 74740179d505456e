"""No list that the console or a command asks for reads a large table from end to end, or sorts it, without need.

The statements are taken from SQLite itself while the real application answers; then SQLite is asked how it does them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

import app
import config
import store

MANAGEMENT, OWN = "/edge/management/v1", "/zitilite/v1"
# What may have a hundred thousand rows, or ten times as many.
LARGE = (
    "identity",
    "identity_attribute",
    "authenticator",
    "enrollment",
    "api_session",
    "session_certificate",
    "attempt",
    "audit",
    "spent_token",
    "certificate_fact",
)
LISTS = [
    (MANAGEMENT, "identities", ""),
    (MANAGEMENT, "identities", "limit=100&offset=50000"),
    (MANAGEMENT, "identities", 'filter=name = "box"'),
    (MANAGEMENT, "identities", 'filter=anyOf(roleAttributes) = "grp-07"'),
    (MANAGEMENT, "identities", 'filter=externalId = "x"'),
    (MANAGEMENT, "identities", "filter=sort by name"),
    (MANAGEMENT, "identities", "filter=sort by name desc"),
    (MANAGEMENT, "identities", "filter=sort by createdAt"),
    (MANAGEMENT, "identities", "filter=true sort by createdAt desc"),
    (MANAGEMENT, "identities", "filter=createdAt < datetime(2026-01-01T00:00:00Z) sort by createdAt desc"),
    (OWN, "identities", "filter=sort by certificateExpiresAt"),
    (OWN, "identities", "filter=sort by tokenExpiresAt"),
    (OWN, "identities", "filter=sort by lastSeenAt desc"),
    (OWN, "identities", "filter=certificateExpiresAt < datetime(2026-01-01T00:00:00Z) sort by certificateExpiresAt"),
    (MANAGEMENT, "identities/ID/enrollments", ""),
    (MANAGEMENT, "identities/ID/authenticators", ""),
    (MANAGEMENT, "enrollments", ""),
    (MANAGEMENT, "enrollments", "filter=sort by createdAt desc"),
    (MANAGEMENT, "enrollments", 'filter=identity = "ID"'),
    (MANAGEMENT, "authenticators", ""),
    (MANAGEMENT, "authenticators", "filter=sort by createdAt desc"),
    (MANAGEMENT, "authenticators", 'filter=identity = "ID"'),
    (MANAGEMENT, "api-sessions", ""),
    (MANAGEMENT, "api-sessions", "filter=sort by lastActivityAt desc"),
    (MANAGEMENT, "api-sessions", 'filter=identity = "ID"'),
    (MANAGEMENT, "services", ""),
    (OWN, "attempts", ""),
    (OWN, "attempts", "filter=sort by createdAt desc"),
    (OWN, "attempts", 'filter=identityId = "ID" sort by createdAt desc'),
    (OWN, "audit", ""),
    (OWN, "audit", "filter=sort by createdAt desc"),
    (OWN, "audit", 'filter=entityId = "ID" sort by createdAt desc'),
    (OWN, "certificates", "filter=sort by notAfter"),
    (OWN, "certificates", 'filter=ownerId = "ID"'),
]
# Nothing but a look at every row can answer these; it must be the narrowest there is: an index, not the table.
WHOLE = [
    (MANAGEMENT, "identities", 'filter=name contains "x"'),
    (MANAGEMENT, "identities", 'filter=name icontains "x"'),
    (OWN, "identities", 'filter=enrollmentState = "pending"'),
]


class Asked:
    """The application on a database of its own, and the statements that it runs."""

    def __init__(self, folder: Path) -> None:
        settings = config.load({"data": folder, "admin_password": "secret-enough", "advertise": "127.0.0.1:1280"})
        app.init(settings)
        self._context = app.local(settings)
        self.client = Client(self._context.__enter__())
        self.session = ""
        login = json.dumps({"username": "admin", "password": "secret-enough"})
        self.session = json.loads(self._open("POST", f"{MANAGEMENT}/authenticate?method=password", login).data)["data"][
            "token"
        ]
        body = {"name": "box", "type": "Device", "isAdmin": False, "enrollment": {"ott": True}, "roleAttributes": ["a"]}
        answer = self._open("POST", f"{MANAGEMENT}/identities", json.dumps(body))
        self.identity = json.loads(answer.data)["data"]["id"]

    def close(self) -> None:
        self._context.__exit__(None, None, None)

    def _open(self, method: str, path: str, body: str | None = None):
        headers = {"zt-session": self.session} if self.session else {}
        return self.client.open(path, method=method, data=body, content_type="application/json", headers=headers)

    def statements(self, base: str, path: str, query: str) -> list[str]:
        """What the database is asked for one list."""
        seen: list[str] = []
        connection = store.database.connection()
        connection.set_trace_callback(seen.append)
        try:
            target = f"{base}/{path}".replace("ID", self.identity)
            answer = self._open("GET", f"{target}?{query.replace('ID', self.identity)}")
        finally:
            connection.set_trace_callback(None)
        assert answer.status_code == 200, answer.data
        return [s for s in seen if s.startswith("SELECT")]


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> Iterator[Asked]:
    found = Asked(tmp_path_factory.mktemp("plans") / "data")
    yield found
    found.close()


def plan(statement: str) -> list[str]:
    rows = store.database.execute_sql(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    return [row[3] for row in rows]


def names(statement: str) -> dict[str, str]:
    """The tables by the short names that the statement gives them."""
    return {alias: table for table, alias in re.findall(r'"(\w+)" AS "(\w+)"', statement)}


def scans(statement: str) -> list[str]:
    """The steps that go through a whole large table or sort it, each with its table."""
    if "WHERE (0 = 1)" in statement:
        return []  # an empty set of ids
    known = names(statement)
    found = []
    steps = plan(statement)
    for step in steps:
        scanned = re.match(r"SCAN (\w+)", step)
        if scanned and known.get(scanned[1], scanned[1]) in LARGE:
            found.append(f"{step} [{known.get(scanned[1], scanned[1])}]")
        if step == "USE TEMP B-TREE FOR ORDER BY" and not is_of_few(steps):
            found.append(step)
    return found


def is_of_few(steps: list[str]) -> bool:
    """Whether what is sorted belongs to an owner or a handful of them."""
    return any(re.search(r"SEARCH .*\(\w+=\?", step) for step in steps)


def is_paged(statement: str) -> bool:
    """A count, or a page in the order of an index: it is read from its beginning and stops when it has enough."""
    return "LIMIT" in statement


@pytest.mark.parametrize(("base", "path", "query"), LISTS, ids=[f"{p}?{q}" for _, p, q in LISTS])
def test_lists_use_an_index(asked, base, path, query):
    for statement in asked.statements(base, path, query):
        for step in scans(statement):
            is_picky = re.search(r" WHERE (?!1\b|\(\(\"t1\"\.\"expires_at\" \+ 0\))", statement)
            by_number = statement.endswith(' ORDER BY "t1"."id" DESC LIMIT 10 OFFSET 0')
            is_stepwise = is_paged(statement) and ("INDEX" in step or by_number)
            is_fine = is_stepwise and not is_picky
            assert is_fine, f"{step}\n  of {statement}"


@pytest.mark.parametrize(("base", "path", "query"), WHOLE, ids=[f"{p}?{q}" for _, p, q in WHOLE])
def test_what_must_look_at_all_looks_at_an_index(asked, base, path, query):
    for statement in asked.statements(base, path, query):
        for step in scans(statement):
            assert "INDEX" in step, f"{step}\n  of {statement}"


def test_a_look_at_a_whole_table_is_noticed(asked):
    """The test itself: it must not be blind."""
    assert scans('SELECT * FROM "identity" AS "t1" WHERE ("t1"."ca" = 1)')
    assert scans('SELECT * FROM "identity" AS "t1" ORDER BY "t1"."ca"')
    assert not scans('SELECT * FROM "identity" AS "t1" WHERE ("t1"."id" = 1)')
