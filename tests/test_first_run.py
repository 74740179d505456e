"""The first run: a printed code lets one person choose the administrator's name and password, once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.controllers import Api, Controller
from tests.flows import in_the_past, sql
from wire.resource import OWN

CHOSEN = {"username": "grace", "password": "a long pass phrase"}


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Controller]:
    """A controller at its first start, with a password of its own making."""
    server = Controller(tmp_path / "fresh")
    server.admin_password = ""
    yield server.start()
    server.stop()


@pytest.fixture
def code(fresh: Controller) -> str:
    link = fresh.first_run_link()
    assert link.startswith(f"{fresh.url}/console/first-run#")
    return link.rpartition("#")[2]


def own(server: Controller) -> Api:
    return server.api().on(OWN)


def is_open(server: Controller) -> bool:
    return bool(own(server).get("/first-run").ok()["open"])


def test_the_code_gives_name_password_and_a_session_once(fresh: Controller, code: str):
    assert is_open(fresh)
    answer = own(fresh).post("/first-run", {"code": code, **CHOSEN})
    data = answer.ok()
    assert data["identity"]["name"] == "grace"
    assert answer.headers["zt-session"] == data["token"]
    admin = fresh.api().login(**CHOSEN)
    assert admin.get("/current-identity").ok()["isDefaultAdmin"] is True
    assert not is_open(fresh)
    again = own(fresh).post("/first-run", {"code": code, "username": "mallory", "password": "another phrase"})
    assert (again.status, again.code) == (404, "NOT_FOUND")
    assert "reset-password" in again.error["cause"]["message"]
    rows = admin.on(OWN).get("/audit", filter='verb = "first-run"').ok()
    assert [r["entityName"] for r in rows] == ["grace"]
    assert CHOSEN["password"] not in json.dumps(rows)


def test_the_code_is_stored_as_a_hash_and_is_not_in_the_log(fresh: Controller, code: str):
    [(value,)] = sql(fresh, "SELECT value FROM meta WHERE key = 'first_run'")
    assert hashlib.sha256(code.encode()).hexdigest() in value
    assert code not in value
    own(fresh).post("/first-run", {"code": code, **CHOSEN}).ok()
    assert code not in fresh.stderr()
    assert CHOSEN["password"] not in fresh.stderr()


def test_of_many_at_once_one_wins(fresh: Controller, code: str):
    bodies = [{"code": code, "username": f"user-{n}", "password": "a long pass phrase"} for n in range(6)]
    clients = [own(fresh) for _ in bodies]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda c, body: c.post("/first-run", body).status, clients, bodies))
    assert sorted(answers) == [200, 404, 404, 404, 404, 404]


def test_ten_wrong_codes_end_it(fresh: Controller, code: str):
    for left in range(9, -1, -1):
        answer = own(fresh).post("/first-run", {"code": "wrong", **CHOSEN})
        assert (answer.status, answer.code) == (401, "INVALID_AUTH")
        assert (f"{left} more" in answer.error["cause"]["message"]) == (left > 0)
    assert not is_open(fresh)
    assert own(fresh).post("/first-run", {"code": code, **CHOSEN}).status == 404
    assert sql(fresh, "SELECT count(*) FROM audit WHERE verb = 'refuse first-run'") == [(10,)]


def test_it_ends_after_a_day(fresh: Controller, code: str):
    offer = json.dumps([hashlib.sha256(code.encode()).hexdigest(), in_the_past(), 0])
    sql(fresh, "UPDATE meta SET value = ? WHERE key = 'first_run'", offer)
    assert not is_open(fresh)
    assert own(fresh).post("/first-run", {"code": code, **CHOSEN}).status == 404


def test_it_survives_a_restart_and_ends_with_a_login(fresh: Controller, code: str):
    fresh.restart()
    assert is_open(fresh)
    sql(fresh, "UPDATE identity SET last_seen_at = 1 WHERE is_default_admin")
    assert not is_open(fresh)
    assert own(fresh).post("/first-run", {"code": code, **CHOSEN}).status == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [({"username": "abc"}, "username"), ({"password": "1234"}, "password"), ({"password": "x" * 101}, "password")],
)
def test_what_no_login_would_take_is_refused_and_spends_nothing(fresh: Controller, code: str, change, field):
    answer = own(fresh).post("/first-run", {"code": code, **CHOSEN, **change})
    assert answer.status == 400
    assert answer.error["cause"]["field"].endswith(field)
    assert is_open(fresh)


def test_with_a_given_password_there_is_no_first_run(controller: Controller):
    assert not is_open(controller)
    assert own(controller).post("/first-run", {"code": "", **CHOSEN}).status == 404
