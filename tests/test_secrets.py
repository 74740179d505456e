"""Nothing that opens a door stands in the log."""

from __future__ import annotations

import secrets

import requests

from tests.certificates import CA, csr
from tests.controllers import CLIENT
from tests.flows import (
    PEM,
    certified,
    client_with,
    enroll,
    import_ca,
    login,
    password_login,
    pending,
    text_time,
    unique,
    with_password,
)


def test_log_holds_no_secret(make_controller, tmp_path):  # noqa: PLR0915 - one long story
    """A whole round of enrollments, logins and failures at level debug leaves no token, password or key in the log."""
    server = make_controller("--log-level", "debug")
    hidden: dict[str, str] = {"the administrator's password": server.admin_password}

    def hide(what: str, value: object) -> str:
        hidden[f"{what} {len(hidden)}"] = str(value)
        return str(value)

    api = server.admin()
    hide("session", api.http.headers["zt-session"])

    # Enrollments that succeed, are refused, and are tried again.
    _, issued, client = certified(server, api, tmp_path)
    hide("private key", issued.key_pem.splitlines()[1])
    hide("session", login(client).ok()["token"])
    root = CA.root(unique("root"))
    ca = import_ca(api, root)
    hide("CA token", api.get(f"/cas/{ca}/jwt").ok())
    user = unique("user")
    for method, value in (("ott", True), ("ottca", ca), ("updb", user)):
        _, found = pending(api, method, value)
        hide("token", found["token"])
        hide("JWT", found["jwt"])
        third = client_with(server, root.leaf(unique("d")), tmp_path)
        password = hide("password", secrets.token_hex(9))
        bodies = {"ott": csr()[0], "ottca": "", "updb": {"password": password}}
        enroll(third, method, found["token"], "garbage", PEM)
        for _ in range(2):
            enroll(third, method, found["token"], bodies[method], None if method == "updb" else PEM)
        third.on(CLIENT).post(f"/enroll/{method}", {"token": found["token"], "clientCsr": "x", "password": password})
        api.post(f"/enrollments/{found['id']}/refresh", {"expiresAt": text_time(hours=1)})
    key = api.create("/edge-routers", {"name": unique("router")})
    shown = api.detail("/edge-routers", key)
    token = hide("router token", shown["enrollmentToken"])
    hide("router JWT", shown["enrollmentJwt"])
    enroll(api, "erott", token, {"certCsr": csr(key)[0], "serverCertCsr": "x"})
    enroll(api, "erott", token, {"certCsr": csr(key)[0], "serverCertCsr": csr(key)[0]}).ok()

    # Logins that succeed and fail, changes of passwords, requests that are wrong in many ways.
    _, user, password = with_password(api)
    hide("password", password)
    person = server.api().login(user, password)
    hide("session", person.http.headers["zt-session"])
    password_login(server.api(), user, hide("wrong password", secrets.token_hex(9)))
    password_login(server.api(), hide("password typed as name", secrets.token_hex(9)), password)
    mine = person.get("/current-identity/authenticators").ok()[0]["id"]
    change = {"currentPassword": password, "password": hide("new password", secrets.token_hex(9)), "username": user}
    person.put(f"/current-identity/authenticators/{mine}", {**change, "currentPassword": hide("wrong", "x" * 17)})
    person.put(f"/current-identity/authenticators/{mine}", change).ok()
    stale = server.api()
    stale.http.headers["zt-session"] = hide("stale session", secrets.token_hex(18))
    assert stale.get("/identities").status == 401
    stale.http.headers["Authorization"] = f"Bearer {hide('bearer token', secrets.token_hex(18))}"
    del stale.http.headers["zt-session"]
    assert stale.get("/identities").status == 401
    bad_json = '{"username": "x", "password": "' + hide("password in bad JSON", secrets.token_hex(9))
    headers = {"Content-Type": "application/json"}
    api.post("/authenticate", bad_json, params={"method": "password"}, headers=headers)
    refused = {"method": "updb", "identityId": "x", "password": hide("password", secrets.token_hex(9))}
    api.post("/authenticators", refused)
    secret_path = hide("token in a path", secrets.token_hex(18))
    api.on(CLIENT).post("/enroll", "", params={"token": secret_path, "method": "ott"})
    requests.get(f"{server.url}/version", params={"token": secret_path}, verify=str(api.ca_file), timeout=10)

    server.stop()
    log = server.stderr()
    assert "POST /edge/client/v1/enroll 200" in log, "the log at level debug should have the requests"
    assert "refused" in log
    for file in (server.data / "pki").glob("*.key"):
        hide(file.name, file.read_text().splitlines()[1])
    found_in_log = [what for what, value in hidden.items() if value in log]
    assert not found_in_log
    assert "PRIVATE KEY" not in log
    assert "scrypt:" not in log


def test_database_holds_no_password(make_controller):
    """Passwords are kept as salted hashes only."""
    server = make_controller()
    api = server.admin()
    _, _, password = with_password(api)
    server.stop()
    content = b"".join(file.read_bytes() for file in server.data.glob("zitilite.db*"))
    assert password.encode() not in content
    assert server.admin_password.encode() not in content
    assert content.count(b"scrypt:") >= 2
