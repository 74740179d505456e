"""The audit log: who changed what, from where, before and after; only ever added to; sent elsewhere in order."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.certificates import CA
from tests.controllers import ROOT, Answer, Api
from tests.events import OWN
from tests.flows import (
    enroll,
    identity_body,
    import_ca,
    pending,
    sql,
    text_time,
    unique,
    wait_until,
    with_password,
)


def audit(api: Api, **equal: str) -> list[Any]:
    """The rows of the log whose properties are these, newest first."""
    condition = " and ".join(f'{name}="{value}"' for name, value in equal.items())
    found = api.on(OWN).get("/audit", filter=condition, limit=200).ok()
    assert isinstance(found, list)
    return found


def newest(api: Api, key: str) -> Any:
    return audit(api, entityId=key)[0]


# --- what is in it


def test_life_of_an_identity(controller, api):
    """Create, change and delete are rows with the columns before and after, and which of them changed."""
    name = unique("box")
    key = api.create("/identities", identity_body(name=name, roleAttributes=["one"]))
    api.patch(f"/identities/{key}", {"roleAttributes": ["two"]}).ok()
    api.delete(f"/identities/{key}").ok()
    deleted, changed, created = audit(api, entityId=key)
    for row, verb, method in ((created, "create", "POST"), (changed, "update", "PATCH"), (deleted, "delete", "DELETE")):
        assert (row["entity"], row["entityName"], row["verb"], row["method"]) == ("identities", name, verb, method)
        assert (row["actorKind"], row["actorName"], row["sourceAddress"]) == ("session", "admin", "127.0.0.1")
    assert created["before"] is None
    assert created["after"]["role_attributes"] == ["one"]
    assert created["path"] == "/edge/management/v1/identities"
    assert changed["path"] == "/edge/management/v1/identities/{id}"
    assert (changed["before"]["role_attributes"], changed["after"]["role_attributes"]) == (["one"], ["two"])
    assert changed["changed"] == ["role_attributes", "updated_at"]
    assert deleted["after"] is None
    assert deleted["before"]["name"] == name
    assert api.on(OWN).get(f"/audit/{deleted['id']}").ok() == deleted


def test_actions_are_in_it(api):
    key = api.create("/identities", identity_body())
    api.post(f"/identities/{key}/disable", {"durationMinutes": 5}).ok()
    row = newest(api, key)
    assert (row["verb"], row["entity"]) == ("disable", "identities")
    assert row["before"]["disabled_at"] is None
    assert row["after"]["disabled_at"] > 0
    api.post(f"/identities/{key}/enable").ok()
    assert newest(api, key)["verb"] == "enable"
    api.delete(f"/identities/{key}/mfa").ok()
    assert newest(api, key)["verb"] == "mfa delete"


def test_creation_by_an_action(api):
    key = api.create("/identities", identity_body())
    body = {"identityId": key, "method": "ott", "expiresAt": text_time(hours=1)}
    made = api.create("/enrollments", body)
    row = newest(api, made)
    assert (row["entity"], row["verb"]) == ("enrollments", "create")
    api.post(f"/enrollments/{made}/refresh", {"expiresAt": text_time(hours=2)}).ok()
    row = newest(api, made)
    assert row["verb"] == "refresh"
    assert (row["before"]["token"], row["after"]["token"]) == ("(secret, another)", "(secret, changed)")


def test_verification_of_a_ca(api):
    ca = import_ca(api, CA.root(unique("root")))
    row = newest(api, ca)
    assert (row["verb"], row["changed"]) == ("verify", ["is_verified", "updated_at"])


def test_what_failed_is_not_in_it(api):
    """Neither a refused request nor one that was rolled back half-way."""
    name = unique("box")
    api.create("/identities", identity_body(name=name))
    assert api.post("/identities", identity_body(name=name)).status == 400
    wrong = identity_body(name=unique("other"), enrollment={"ottca": "nothing"})
    assert api.post("/identities", wrong).status == 404
    assert len(audit(api, entityName=name)) == 1
    assert audit(api, entityName=wrong["name"]) == []


def test_no_secret_is_in_it(controller, api):
    """Passwords, tokens and their hashes are not; that they changed is."""
    key, user, password = with_password(api)
    own = api.detail("/identities", key)["authenticators"]["updb"]["id"]
    api.patch(f"/authenticators/{own}", {"password": "another-secret-1"}).ok()
    row = newest(api, own)
    assert row["after"]["updb_password"] == "(secret, changed)"
    client = controller.api().login(user, "another-secret-1")
    mine = {"username": user, "password": "another-secret-2", "currentPassword": "another-secret-1"}
    client.put(f"/current-identity/authenticators/{own}", mine).ok()
    row = newest(api, own)
    assert (row["actorName"], row["entity"]) == (api.detail("/identities", key)["name"], "authenticators")
    _, found = pending(api, "ott")
    api.delete(f"/enrollments/{found['id']}").ok()
    kept = repr(sql(controller, "SELECT * FROM audit"))
    stored = [
        value for (value,) in sql(controller, "SELECT updb_password FROM authenticator WHERE updb_password != ''")
    ]
    for secret in (password, "another-secret", found["token"], api.http.headers["zt-session"], *stored):
        assert secret not in kept


def test_enrollment_is_no_audit_row_and_reading_neither(api):
    key, found = pending(api, "updb", unique("user"))
    before = len(audit(api, entityId=key))
    enroll(api, "updb", found["token"], {"password": "password"}).ok()
    api.detail("/identities", key)
    assert len(audit(api, entityId=key)) == before


def test_reset_of_the_password_on_the_machine(make_controller):
    """What was done without a login, on the machine itself, is in it as well."""
    server = make_controller()
    command = [
        sys.executable,
        "app.py",
        "admin",
        "reset-password",
        "--data",
        str(server.data),
        "--password",
        "newer-one",
    ]
    subprocess.run(command, cwd=ROOT, env=server.environment(), check=True, capture_output=True, timeout=60)
    api = server.api().login("admin", "newer-one")
    (row,) = audit(api, actorKind="local")
    assert (row["entity"], row["verb"], row["entityName"]) == ("identities", "reset-password", "admin")


# --- append-only


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor_name = 'x'", "DELETE FROM audit"])
def test_rows_cannot_be_changed(controller, api, statement):
    api.create("/identities", identity_body())
    with pytest.raises(Exception, match="only ever added to"):
        sql(controller, statement)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_no_operation_changes_it(api, method):
    key = audit(api, verb="create")[0]["id"]
    for path in ("/audit", f"/audit/{key}"):
        assert api.on(OWN).call(method, path, {}).status == 405


def test_old_rows_go(make_controller):
    server = make_controller("--audit-days", "1")
    api = server.admin()
    key = api.create("/identities", identity_body())
    server.stop()
    sql(
        server,
        "INSERT INTO audit (id, created_at, actor_kind, source_address, method, path, entity, verb, request_id) "
        "VALUES (1, 1, 'session', '', '', '', 'old', 'create', '')",
    )
    server.start()
    wait_until(lambda: sql(server, "SELECT count(*) FROM audit WHERE entity = 'old'") == [(0,)])
    assert newest(server.admin(), key)["verb"] == "create"


# --- export


def test_export_as_json_lines(api):
    """All rows that fit, oldest first, more of them than a page has."""
    mark = unique("exported")
    keys = [api.create("/identities", identity_body(name=f"{mark}-{number:03}")) for number in range(12)]
    answer = api.on(OWN).get("/audit/export", format="jsonl", filter=f'entityName contains "{mark}"')
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="audit.jsonl"'
    rows = [json.loads(line) for line in str(answer.body).splitlines()]
    assert [row["entityId"] for row in rows] == keys
    assert rows[0]["after"]["name"] == f"{mark}-000"


def test_export_as_csv_is_safe_in_a_spreadsheet(api):
    """What a spreadsheet would take for a formula has an apostrophe in front."""
    names = [sign + unique("cmd|calc") + ',"\n' for sign in "=+-@"]
    for name in names:
        api.create("/identities", identity_body(name=name))
    answer = api.on(OWN).get("/audit/export", format="csv", filter='entityName contains "cmd|calc"')
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.body, newline="")))
    assert [row["entityName"] for row in rows] == [f"'{name}" for name in names]
    assert [json.loads(row["after"])["name"] for row in rows] == names
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


def test_export_of_many_rows_in_pieces(make_controller):
    server = make_controller()
    api = server.admin()
    sql(
        server,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO attempt "
        "(id, created_at, kind, method, outcome, code, reason, source_address, duration_us, request_id) "
        "SELECT i, 0, 'login', 'many', 'ok', '', '', '', 0, '' FROM n",
    )
    answer = api.on(OWN).get("/attempts/export", format="jsonl", filter='method="many"')
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert [json.loads(line)["id"] for line in str(answer.body).splitlines()] == [str(n) for n in range(1, 3001)]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({}, "COULD_NOT_VALIDATE"),
        ({"format": "xml"}, "COULD_NOT_VALIDATE"),
        ({"format": "csv", "filter": "nonsense"}, "INVALID_FILTER"),
        ({"format": "csv", "filter": "true sort by id"}, "INVALID_FILTER"),
    ],
)
def test_export_that_cannot_be(api, query, code):
    answer = api.on(OWN).get("/audit/export", **query)
    assert answer.code == code


# --- webhook


class Receiver(ThreadingHTTPServer):
    """Takes deliveries; `status` is what it answers with."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.taken: queue.Queue[tuple[Any, bytes, Any]] = queue.Queue()
        self.tried: queue.Queue[int] = queue.Queue()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?x=1"

    def rows(self) -> list[Any]:
        headers, body, _ = self.taken.get(timeout=20)
        assert headers["Content-Type"] == "application/json"
        rows = json.loads(body)["rows"]
        assert isinstance(rows, list)
        return rows


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.tried.put(self.server.status)
        if self.server.status == 200:
            self.server.taken.put((self.headers, body, self.path))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.shutdown()
    made.server_close()


def state(api: Api) -> Any:
    return api.on(OWN).get("/audit/webhook").ok()


def flags(receiver: Receiver) -> tuple[str, ...]:
    return "--audit-webhook", receiver.url, "--audit-webhook-private-addresses", "on", "--audit-webhook-secret", "hush"


def test_webhook_gets_each_row_signed(make_controller, receiver):
    server = make_controller(*flags(receiver))
    api = server.admin()
    key = api.create("/identities", identity_body())
    headers, body, path = receiver.taken.get(timeout=20)
    assert path == "/hook?x=1"
    assert headers["X-Zitilite-Signature"] == "sha256=" + hmac.new(b"hush", body, hashlib.sha256).hexdigest()
    (row,) = json.loads(body)["rows"]
    assert row == {k: v for k, v in newest(api, key).items() if k != "changed"}
    told = wait_until(lambda: found if (found := state(api))["waiting"] == 0 else None)
    assert (told["enabled"], told["signed"], told["failures"], told["problem"]) == (True, True, 0, None)
    assert told["lastDeliveredId"] == row["id"]
    assert "hush" not in str(told)


def test_webhook_that_fails_is_tried_again_in_order(make_controller, receiver):
    """Nothing is left out, nothing comes out of order, and requests do not wait for it."""
    receiver.status = 500
    server = make_controller(*flags(receiver))
    api = server.admin()
    keys = [api.create("/identities", identity_body()) for _ in range(3)]
    for _ in range(2):
        assert receiver.tried.get(timeout=20) == 500
    told = wait_until(lambda: found if (found := state(api))["failures"] >= 2 else None)
    assert told["problem"] == "the answer has status 500"
    assert told["nextTryAt"]
    assert told["waiting"] == 3
    receiver.status = 200
    api.on(OWN).post("/audit/webhook/retry").ok()
    found: list[Any] = []
    while len(found) < 3:
        found += receiver.rows()
    assert [row["entityId"] for row in found] == keys
    assert wait_until(lambda: state(api)["failures"] == 0)


def test_webhook_goes_on_after_a_restart(make_controller, receiver):
    """What was not taken when the server went down is sent by the next one, what was taken is not."""
    server = make_controller(*flags(receiver))
    api = server.admin()
    first = api.create("/identities", identity_body())
    assert receiver.rows()[0]["entityId"] == first
    wait_until(lambda: state(api)["waiting"] == 0)
    receiver.status = 503
    second = api.create("/identities", identity_body())
    wait_until(lambda: state(api)["failures"])
    server.kill()
    receiver.status = 200
    server.start()
    assert [row["entityId"] for row in receiver.rows()] == [second]


def test_webhook_does_not_reach_into_the_network(make_controller, receiver):
    """Without its setting no private address is connected to, and the state says so."""
    server = make_controller("--audit-webhook", receiver.url.replace("http:", "https:"))
    api = server.admin()
    api.create("/identities", identity_body())
    told = wait_until(lambda: found if (found := state(api))["failures"] else None)
    assert "audit_webhook_private_addresses" in told["problem"]
    assert receiver.tried.empty()


def test_without_a_webhook_there_is_none(api):
    assert state(api)["enabled"] is False


# --- creating once


def create_once(api: Api, key: str, body: Any, path: str = "/identities") -> Answer:
    return api.post(path, body, headers={"Idempotency-Key": key})


def test_same_key_creates_once(api):
    body, key = identity_body(), unique("key")
    first, again = create_once(api, key, body), create_once(api, key, body)
    assert (again.status, again.body) == (201, first.body)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(audit(api, entityName=body["name"])) == 1


def test_same_key_with_another_body_is_refused(api):
    key = unique("key")
    create_once(api, key, identity_body()).ok(201)
    answer = create_once(api, key, identity_body())
    assert (answer.status, answer.code) == (409, "IDEMPOTENCY_KEY_REUSED")


def test_key_belongs_to_caller_and_collection(controller, api):
    key, body = unique("key"), {"name": unique("both")}
    create_once(api, key, {**body, "type": "Default", "isAdmin": False}).ok(201)
    create_once(api, key, {**body, "isTunnelerEnabled": False}, "/edge-routers").ok(201)
    _, user, password = with_password(api, isAdmin=True)
    other = controller.api().login(user, password)
    assert create_once(other, key, {**body, "type": "Default", "isAdmin": False}).status == 400


def test_failure_is_not_kept(api):
    """A create that failed may be asked for again with the same key, and then it counts."""
    body, key = identity_body(), unique("key")
    taken = api.create("/identities", body)
    assert create_once(api, key, body).status == 400
    api.delete(f"/identities/{taken}").ok()
    assert create_once(api, key, body).status == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_keys_that_are_none(api, key):
    answer = create_once(api, key, identity_body())
    assert (answer.status, answer.code) == (400, "COULD_NOT_VALIDATE")
    assert answer.error["cause"]["field"] == "Idempotency-Key"


def test_password_is_created_once(api):
    """Also where an action makes the row: the second answer costs no password hash and makes no row."""
    identity = api.create("/identities", identity_body())
    body = {"method": "updb", "identityId": identity, "username": unique("user"), "password": "password"}
    key = unique("key")
    first = create_once(api, key, body, "/authenticators").ok(201)
    assert create_once(api, key, body, "/authenticators").ok(201) == first


def test_many_at_once_create_one(api):
    body, key = identity_body(), unique("key")
    answers: queue.Queue[Answer] = queue.Queue()
    clients = [api.on(api.base) for _ in range(8)]
    threads = [threading.Thread(target=lambda c=c: answers.put(create_once(c, key, body))) for c in clients]
    for thread in threads:
        thread.start()
    found = [answers.get(timeout=30) for _ in threads]
    assert {answer.status for answer in found} == {201}
    assert len({answer.data["id"] for answer in found}) == 1


def test_key_is_forgotten_after_a_day(make_controller):
    server = make_controller()
    api = server.admin()
    body = identity_body()
    create_once(api, "key", body).ok(201)
    sql(server, "UPDATE idempotent_answer SET expires_at = 1")
    assert create_once(api, "key", body).code == "COULD_NOT_VALIDATE"
    server.restart()
    wait_until(lambda: sql(server, "SELECT count(*) FROM idempotent_answer") == [(0,)])
