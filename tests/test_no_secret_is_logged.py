"""A whole run at level debug: no secret of it stands in the log, on the standard output, in the audit or attempt log.

tests/test_secrets.py names what must not be logged; here all that went over the wire is looked for, whatever it was.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import sqlite3
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.certificates import CA, csr
from tests.controllers import CLIENT, MANAGEMENT, Api, Controller
from tests.flows import (
    PEM,
    certified,
    client_with,
    enroll,
    identity_body,
    import_ca,
    login,
    password_login,
    pending,
    text_time,
    unique,
    with_password,
)
from tests.harvest import Harvest, harvesting
from tests.test_mfa import MFA, User
from tests.test_oidc import EXCHANGE, TYPE, Rp
from wire.resource import OWN

PASSPHRASE = "a passphrase for backups"
WEBHOOK = "the key of the webhook's HMAC"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[tuple[Controller, Harvest, str]]:
    """A controller after everything that has to do with secrets happened, what they are, and all that it wrote."""
    folder = tmp_path_factory.mktemp("run")
    flags = ("--log-level", "debug", "--audit-webhook", "https://127.0.0.1:9/hook", "--audit-webhook-secret", WEBHOOK)
    server = Controller(folder / "controller", *flags).start()
    with harvesting() as harvest:
        harvest.add("the administrator's password", server.admin_password)
        harvest.add("the webhook's key", WEBHOOK)
        api = server.admin()
        enrollments(server, api, folder)
        logins(server, api, folder)
        second_factor(server, api)
        oidc(server, api, folder)
        ours(server, api)
        api.delete("/current-api-session").ok()
        other = server.admin()
    # Reading the log of attempts has what waits written.
    assert len(other.on(OWN).get("/attempts", limit=500).ok()) > 30
    server.stop()
    for file in (server.data / "pki").glob("*.key"):
        harvest.add(file.name, [line for line in file.read_text().splitlines() if "-----" not in line])
    yield server, harvest, server.stderr()
    server.stop()


def enrollments(server: Controller, api: Api, folder) -> None:
    """Every method: refused, passed, repeated; tokens renewed, shown as JWT and as a picture."""
    root = CA.root(unique("root"))
    ca = import_ca(api, root)
    api.get(f"/cas/{ca}/jwt").ok()
    for method, value in (("ott", True), ("ottca", ca), ("updb", unique("user"))):
        _, found = pending(api, method, value)
        client = client_with(server, root.leaf(unique("d")), folder)
        password = secrets.token_hex(9)
        body = {"ott": csr()[0], "ottca": "", "updb": {"password": password}}[method]
        enroll(client, method, found["token"], "garbage", PEM)
        for _ in range(2):
            enroll(client, method, found["token"], body, None if method == "updb" else PEM)
        client.on(CLIENT).post(f"/enroll/{method}", {"token": found["token"], "clientCsr": "x", "password": password})
        api.post(f"/enrollments/{found['id']}/refresh", {"expiresAt": text_time(hours=1)})
    _, found = pending(api, "ott")
    for kind in ("application/jwt", "image/svg+xml", "image/png"):
        api.http.get(f"{server.url}{MANAGEMENT}/enrollments/{found['id']}", headers={"Accept": kind}, timeout=20)
    api.post(f"/enrollments/{found['id']}/refresh", {"expiresAt": text_time(hours=1)}).ok()
    enroll(api, "ott", found["token"], csr()[0], PEM)
    enroll(client_with(server, root.leaf(unique("auto")), folder), "ca", None, {}).ok()
    key = api.create("/edge-routers", {"name": unique("router")})
    token = api.detail("/edge-routers", key)["enrollmentToken"]
    enroll(api, "erott", token, {"certCsr": csr(key)[0], "serverCertCsr": "x"})
    enroll(api, "erott", token, {"certCsr": csr(key)[0], "serverCertCsr": csr(key)[0]}).ok()
    enroll(api, secrets.token_hex(18), secrets.token_hex(18), csr()[0], PEM)


def logins(server: Controller, api: Api, folder) -> None:
    """Passwords right, wrong, changed and in the wrong place; certificates; sessions that do not exist."""
    _, _, client = certified(server, api, folder)
    assert login(client).status == 200
    _, user, password = with_password(api)
    person = server.api().login(user, password)
    for name, word in ((user, secrets.token_hex(9)), (secrets.token_hex(9), password), (user, "x" * 200)):
        password_login(server.api(), name, word)
    mine = person.get("/current-identity/authenticators").ok()[0]["id"]
    change = {"currentPassword": password, "password": secrets.token_hex(9), "username": user}
    person.put(f"/current-identity/authenticators/{mine}", {**change, "currentPassword": secrets.token_hex(9)})
    person.put(f"/current-identity/authenticators/{mine}", change).ok()
    stale = server.api()
    stale.http.headers["zt-session"] = secrets.token_hex(18)
    assert stale.get("/identities").status == 401
    del stale.http.headers["zt-session"]
    stale.http.headers["Authorization"] = f"Bearer {secrets.token_hex(18)}"
    assert stale.get("/identities").status == 401
    assert stale.post("/authenticate", {}, params={"method": "ext-jwt"}).status == 401
    bad = '{"username": "x", "password": "' + secrets.token_hex(9)
    api.post("/authenticate", bad, params={"method": "password"}, headers={"Content-Type": "application/json"})


def second_factor(server: Controller, api: Api) -> None:
    user = User(server, api)
    user.enroll()
    session = user.login()
    session.post("/authenticate/mfa", {"code": user.wrong()})
    session.post("/authenticate/mfa", {"code": user.codes[0]}).ok()
    session.call("GET", f"{MFA}/recovery-codes", {"code": user.totp.now()})
    session.post(f"{MFA}/recovery-codes", {"code": user.totp.now()}).ok()
    session.delete(MFA, {"code": user.totp.now()})


def oidc(server: Controller, api: Api, folder) -> None:
    """Logins by password and certificate, every grant, and each of them gone wrong."""
    _, name, password = with_password(api)
    rp = Rp(server)
    rp.authorize()
    rp.login(username=name, password=secrets.token_hex(9))
    found = rp.tokens(rp.login(username=name, password=password))
    rp.get(f"{CLIENT}/current-identity", found["access_token"])
    newer = rp.refresh(found["refresh_token"]).json()
    rp.refresh(found["refresh_token"] + "x")
    rp.token(grant_type="authorization_code", code=secrets.token_hex(16), code_verifier=rp.verifier)
    rp.token(
        grant_type=EXCHANGE,
        subject_token=newer["refresh_token"],
        subject_token_type=f"{TYPE}refresh_token",
        requested_token_type=f"{TYPE}access_token",
    )
    rp.http("POST", rp.server["revocation_endpoint"], data={"token": newer["refresh_token"], "client_id": "openziti"})
    rp.refresh(newer["refresh_token"])
    certified(server, api, folder)
    by_certificate = Rp(server, (folder / "client.crt", folder / "client.key"))
    by_certificate.authorize()
    by_certificate.tokens(by_certificate.login("cert"))


def ours(server: Controller, api: Api) -> None:
    """API tokens, share links, bulk, dry runs, decoding, backups."""
    own = api.on(OWN)
    token = own.post("/api-tokens", {"name": unique("token"), "scope": "admin"}).ok(201)["token"]
    script = server.api()
    script.http.headers["Authorization"] = f"Bearer {token}"
    script.get("/identities").ok()
    script.http.headers["Authorization"] = f"Bearer {token}x"
    assert script.get("/identities").status == 401
    _, found = pending(api, "ott")
    share = own.post("/shares", {"enrollmentId": found["id"]}).ok(201)["url"].rpartition("#")[2]
    server.api().on(OWN).post("/shares/open", {"secret": share}).ok()
    server.api().on(OWN).post("/shares/open", {"secret": share[::-1]})
    rows = [{"name": unique("bulk"), "enrollment": {"ott": True}} for _ in range(3)]
    own.post("/bulk", {"action": "create", "rows": rows})
    own.post("/decode", {"text": found["jwt"]})
    key = unique("again")
    for _ in range(2):
        headers = {"Idempotency-Key": key}
        api.post("/identities", identity_body(enrollment={"ott": True}), headers=headers)
    backup = own.create("/backups", {"passphrase": PASSPHRASE})
    own.post(f"/backups/{backup}/check", {"passphrase": secrets.token_hex(9)}).ok()
    own.post("/first-run", {"code": secrets.token_hex(18), "username": "somebody", "password": secrets.token_hex(9)})


def rows_of(server: Controller, table: str) -> str:
    """All text of a table."""
    numbers = {"id", "created_at", "duration_us"}
    with closing(sqlite3.connect(server.data / "zitilite.db")) as connection:
        found = connection.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in found.description]
        lines = [[str(v) for n, v in zip(names, row, strict=True) if n not in numbers] for row in found]
    assert len(lines) > 20
    return "\n".join("\t".join(line) for line in lines)


def test_the_run_has_all_kinds_of_secrets(run):
    """Otherwise the other tests would find nothing because there was nothing to find."""
    _, harvest, _ = run
    assert len(harvest.found) > 120
    seen = " ".join(harvest.found.values())
    for what in ("password", "refresh_token", "recoveryCodes", "jwt", "zt-session", "passphrase", "code_verifier"):
        assert what in seen, f"no {what} was seen"
    assert any(value.startswith("zl_") for value in harvest.found)
    assert any(where.endswith(".key") for where in harvest.found.values())


def test_log_of_the_run(run):
    _, harvest, log = run
    assert "POST /edge/client/v1/enroll 200" in log
    assert '"debug"' in log
    assert harvest.in_text(log) == []
    assert "PRIVATE KEY" not in log
    assert "scrypt:" not in log


def test_standard_output_of_the_run(run):
    server, harvest, _ = run
    lines = []
    with contextlib.suppress(queue.Empty):
        while True:
            lines.append(server._lines.get_nowait())
    assert any(line.startswith("root CA") for line in lines)
    assert harvest.in_text("".join(lines)) == []


@pytest.mark.parametrize("table", ["audit", "attempt"])
def test_logs_in_the_database(run, table):
    server, harvest, _ = run
    assert harvest.in_text(rows_of(server, table)) == []


def test_passwords_and_api_tokens_are_nowhere_in_the_database(run):
    """What is only ever compared is kept as a hash."""
    server, harvest, _ = run
    content = b"".join(file.read_bytes() for file in server.data.glob("zitilite.db*"))
    hidden = {v: w for v, w in harvest.found.items() if v.startswith("zl_") or w.endswith(("assword", "passphrase"))}
    assert len(hidden) > 10
    found = [where for value, where in hidden.items() if value.encode() in content]
    assert found == []
    assert b64encode(WEBHOOK.encode()) not in content
    assert WEBHOOK.encode() not in content
