"""The log of attempts: each one is a row with its reason, whatever came of it, and no secret in it."""

from __future__ import annotations

import hashlib
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.certificates import CA, csr, key_pem
from tests.controllers import CLIENT, Api, Controller
from tests.events import OWN, Listener, listening
from tests.flows import (
    PEM,
    certified,
    client_with,
    enroll,
    enroll_ott,
    identity_body,
    import_ca,
    in_the_past,
    login,
    password_login,
    pending,
    sql,
    text_time,
    unique,
    verify,
    wait_until,
    with_password,
)


def attempts(api: Api, **equal: str) -> list[Any]:
    """The attempts whose properties are these, newest first."""
    condition = " and ".join(f'{name}="{value}"' for name, value in equal.items())
    found = api.on(OWN).get("/attempts", filter=condition, limit=100).ok()
    assert isinstance(found, list)
    return found


def last(api: Api, **equal: str) -> Any:
    found = attempts(api, **equal)
    assert found, f"no attempt with {equal}"
    return found[0]


def name_of(api: Api, key: str) -> str:
    return str(api.detail("/identities", key)["name"])


# --- enrollment


def test_enrollment_by_token(controller, api, tmp_path):
    """An enrollment says who, how, from where, with which certificate and how long it took."""
    key, found = pending(api, "ott")
    issued = enroll_ott(controller, found["token"], tmp_path)
    row = last(api, identityId=key)
    assert (row["kind"], row["method"], row["outcome"], row["code"]) == ("enroll", "ott", "ok", "")
    assert (row["identityName"], row["sourceAddress"]) == (name_of(api, key), "127.0.0.1")
    assert (row["enrollmentId"], row["fingerprint"]) == (found["id"], issued.fingerprint)
    assert row["serial"] == f"{issued.certificate.serial_number:x}"
    assert row["subject"] == "CN=test"
    assert row["issuer"] == issued.certificate.issuer.rfc4514_string()
    assert row["tokenPrint"] == hashlib.sha256(found["token"].encode()).hexdigest()[:12]
    assert row["reason"] == f"'{row['identityName']}' enrolled by ott"
    assert 0 < row["durationMicros"] < 20_000_000
    assert api.on(OWN).get(f"/attempts/{row['id']}").ok() == row


def test_used_token_says_by_whom_and_from_where(controller, api, tmp_path):
    key, found = pending(api, "ott")
    enroll_ott(controller, found["token"], tmp_path)
    answer = enroll(controller.api(), "ott", found["token"], csr()[0], PEM)
    assert (answer.status, answer.code) == (400, "INVALID_ENROLLMENT_TOKEN")
    assert "cause" not in answer.error
    row = last(api, identityId=key)
    assert (row["outcome"], row["code"], row["requestId"]) == ("refused", answer.code, answer.error["requestId"])
    assert f"was used by '{row['identityName']}' at 20" in row["reason"]
    assert "from 127.0.0.1 (ott)" in row["reason"]


def test_replaced_and_revoked_tokens_are_told_apart(controller, api):
    key, found = pending(api, "ott")
    api.post(f"/enrollments/{found['id']}/refresh", {"expiresAt": text_time(hours=1)}).ok()
    enroll(controller.api(), "ott", found["token"], csr()[0], PEM)
    assert "was replaced by a newer one" in last(api, identityId=key)["reason"]
    newer = api.detail("/enrollments", found["id"])["token"]
    api.delete(f"/enrollments/{found['id']}").ok()
    enroll(controller.api(), "ott", newer, csr()[0], PEM)
    assert "was revoked at" in last(api, identityId=key)["reason"]


def test_expired_token_says_since_when_and_what_to_do(controller, api):
    key, found = pending(api, "ott")
    sql(controller, "UPDATE enrollment SET expires_at = ? WHERE id = ?", in_the_past(), found["id"])
    assert enroll(controller.api(), "ott", found["token"], csr()[0], PEM).code == "ENROLLMENT_EXPIRED"
    reason = last(api, identityId=key, code="ENROLLMENT_EXPIRED")["reason"]
    assert "expired at 20" in reason
    assert f"/enrollments/{found['id']}/refresh" in reason


@pytest.mark.parametrize("method", ["ottca", "updb", "erott"])
def test_wrong_method_names_both(controller, api, method):
    key, found = pending(api, "ott")
    assert enroll(controller.api(), method, found["token"], {"password": "password"}).code == "INVALID_ENROLL_METHOD"
    reason = last(api, identityId=key)["reason"]
    assert reason.endswith(f"is for enrollment by ott, but the client tried {method}")


def test_no_token_and_no_secret_is_in_the_log(controller, api):
    """Neither tokens, good or bad, nor passwords are in any row, whatever the complaint repeats."""
    _, found = pending(api, "updb", unique("user"))
    wrong = f"not-a-uuid-{unique()}"
    client = controller.api()
    enroll(client, "ott", wrong, {"clientCsr": csr()[0]})
    client.on(CLIENT).post("/enroll/updb", {"password": "hush-hush-1"}, params={"token": wrong})
    enroll(client, "updb", found["token"], {"password": "x"})
    enroll(client, "updb", found["token"], {"password": "hush-hush-2"}).ok()
    assert password_login(client, "nobody-here", "hush-hush-3").code == "INVALID_AUTH"
    api.on(OWN).get("/attempts").ok()
    kept = repr(sql(controller, "SELECT * FROM attempt")) + repr(sql(controller, "SELECT * FROM spent_token"))
    for secret in (wrong, found["token"], "hush-hush"):
        assert secret not in kept


def test_ca_switched_off_is_said_with_its_name(controller, api, tmp_path):
    """The sentence that the official controller never gives: which CA, and which switch."""
    root, name = CA.root(unique("root")), unique("box")
    ca = import_ca(api, root, isAutoCaEnrollmentEnabled=False)
    issued = root.leaf(name)
    assert enroll(client_with(controller, issued, tmp_path), "ca").code == "CERT_FAILED_VALIDATION"
    row = last(api, fingerprint=issued.fingerprint)
    assert (row["caId"], row["caName"]) == (ca, api.detail("/cas", ca)["name"])
    assert row["reason"] == (
        f"certificate CN={name} chains to CA '{row['caName']}', but that has automatic enrollment switched off"
    )


def test_automatic_enrollment_and_the_same_certificate_again(controller, api, tmp_path):
    root = CA.root(unique("root"))
    import_ca(api, root)
    issued = root.leaf(unique("box"))
    client = client_with(controller, issued, tmp_path)
    enroll(client, "ca").ok()
    row = last(api, fingerprint=issued.fingerprint)
    assert (row["method"], row["outcome"]) == ("ca", "ok")
    assert enroll(client, "ca").code == "CERT_IN_USE"
    again = last(api, fingerprint=issued.fingerprint)
    assert f"is enrolled already, as '{row['identityName']}'" in again["reason"]


def test_router_enrollment_and_renewal(controller, api, tmp_path):
    key = api.create("/edge-routers", {"name": unique("router"), "isTunnelerEnabled": False})
    token = api.detail("/edge-routers", key)["enrollmentToken"]
    (client_csr, client_key), (server_csr, _) = csr(key), csr(key, sans=("localhost",))
    data = enroll(api, "erott", token, {"certCsr": client_csr, "serverCertCsr": server_csr}).ok()
    row = last(api, routerId=key)
    assert (row["kind"], row["method"], row["outcome"]) == ("enroll", "erott", "ok")
    file = tmp_path / "router.pem"
    file.write_text(data["cert"])
    key_file = tmp_path / "router.key"
    key_file.write_text(key_pem(client_key))
    router = controller.api((file, key_file)).on(CLIENT)
    body = {"certCsr": client_csr, "serverCertCsr": server_csr}
    router.post("/enroll/extend/router", body).ok()
    assert last(api, routerId=key)["kind"] == "extend"
    assert router.post("/enroll/extend/router", body).status == 401
    row = last(api, fingerprint=row["fingerprint"], outcome="refused")
    assert "is no router's present one" in row["reason"]


# --- verification, renewal, logins


def test_verification_of_a_ca(api):
    root = CA.root(unique("root"))
    ca = import_ca(api, root, verified=False)
    name = api.detail("/cas", ca)["name"]
    verify(api, ca, root.leaf("wrong").pem)
    row = last(api, caId=ca)
    assert (row["kind"], row["outcome"], row["code"]) == ("verify", "refused", "INVALID_COMMON_NAME")
    assert (row["caName"], row["subject"]) == (name, "CN=wrong")
    verify(api, ca, root.leaf(api.detail("/cas", ca)["verificationToken"]).pem).ok()
    assert last(api, caId=ca)["outcome"] == "ok"


def test_extension_of_a_certificate(controller, api, tmp_path):
    key, _, client = certified(controller, api, tmp_path)
    session = client.login_by_certificate()
    own = api.detail("/identities", key)["authenticators"]["cert"]["id"]
    path = f"/current-identity/authenticators/{own}"
    assert session.post(f"{path}/extend-verify", {"clientCert": "x"}).code == "CAN_NOT_UPDATE_AUTHENTICATOR"
    assert last(api, identityId=key, kind="extend")["reason"] == "no new certificate is waiting to be verified"
    new = session.post(f"{path}/extend", {"clientCertCsr": csr()[0]}).ok()["clientCert"]
    assert "which it must still verify" in last(api, identityId=key, kind="extend")["reason"]
    session.post(f"{path}/extend-verify", {"clientCert": new}).ok()
    row = last(api, identityId=key, kind="extend")
    assert (row["method"], row["outcome"]) == ("extend-verify", "ok")


def test_logins_by_password(controller, api):
    key, user, password = with_password(api)
    client = controller.api()
    password_login(client, user, password).ok()
    row = last(api, identityId=key)
    assert (row["kind"], row["method"], row["outcome"]) == ("login", "password", "ok")
    answer = password_login(client, user, "wrong-password")
    assert (answer.code, "cause" in answer.error) == ("INVALID_AUTH", False)
    assert last(api, identityId=key)["reason"] == f"wrong password for '{name_of(api, key)}'"
    api.post(f"/identities/{key}/disable", {"durationMinutes": 10}).ok()
    assert password_login(client, user, password).code == "INVALID_AUTH"
    assert "is disabled or locked out until 20" in last(api, identityId=key)["reason"]


def test_logins_by_certificate(controller, api, tmp_path):
    """Who cannot connect learns nothing; the log says which switch, which CA, whose certificate."""
    root = CA.root(unique("root"))
    ca = import_ca(api, root)
    issued = root.leaf(unique("box"))
    client = client_with(controller, issued, tmp_path)
    assert login(client).code == "INVALID_AUTH"
    assert "nobody has enrolled with it: enroll first" in last(api, fingerprint=issued.fingerprint)["reason"]
    enroll(client, "ca").ok()
    login(client).ok()
    row = last(api, fingerprint=issued.fingerprint)
    assert (row["method"], row["outcome"], row["caId"]) == ("cert", "ok", ca)
    api.patch(f"/cas/{ca}", {"isAuthEnabled": False}).ok()
    assert login(client).code == "INVALID_AUTH"
    reason = last(api, fingerprint=issued.fingerprint)["reason"]
    assert reason.endswith("but that has connections (isAuthEnabled) switched off")
    api.delete(f"/cas/{ca}").ok()
    assert login(client).code == "INVALID_AUTH"
    assert "through a CA that was deleted since" in last(api, fingerprint=issued.fingerprint)["reason"]


# --- the list


def test_list_is_filtered_paged_and_newest_first(controller, api):
    key, user, password = with_password(api)
    for word in (password, "wrong-one", "wrong-two"):
        password_login(controller.api(), user, word)
    found = api.on(OWN).get("/attempts", filter=f'identityId="{key}"', limit=2)
    assert [row["outcome"] for row in found.ok()] == ["refused", "refused"]
    assert found.body["meta"]["pagination"] == {"limit": 2, "offset": 0, "totalCount": 3}
    assert {"reason", "sourceAddress", "fingerprint", "createdAt"} <= set(found.body["meta"]["filterableFields"])
    ids = [int(row["id"]) for row in attempts(api, identityId=key)]
    assert ids == sorted(ids, reverse=True)
    sorted_up = api.on(OWN).get("/attempts", filter=f'identityId="{key}" sort by createdAt asc').ok()
    assert [int(row["id"]) for row in sorted_up] == ids[::-1]
    newer = api.on(OWN).get("/attempts", filter=f'identityId="{key}" and id > {ids[-1]}').ok()
    assert len(newer) == 2


@pytest.mark.parametrize("permissions", [[], ["identity"], ["enrollment.read"]])
def test_others_see_nothing(controller, api, permissions):
    _, user, password = with_password(api, permissions=permissions)
    client = controller.api().login(user, password).on(OWN)
    for path in ("/attempts", "/events", "/attempts/stream", "/audit"):
        assert client.get(path).status == 401


def test_readers_of_operations_may_look(controller, api):
    _, user, password = with_password(api, permissions=["ops.read"])
    assert controller.api().login(user, password).on(OWN).get("/attempts").status == 200


def test_oldest_rows_go(make_controller):
    """The log is bounded by count and by age."""
    server = make_controller("--attempt-rows", "5", "--attempt-days", "1")
    api = server.admin()
    for _ in range(8):
        password_login(server.api(), "nobody-here", "password")
    assert len(attempts(api, kind="login")) == 9
    old = sql(server, "SELECT max(id) FROM attempt")[0][0] - 2 * 86_400_000_000
    sql(server, "UPDATE attempt SET id = id - 172800000000 WHERE id = (SELECT max(id) FROM attempt)")
    server.restart()
    api = server.admin()
    rows = wait_until(lambda: found if len(found := attempts(api)) <= 6 else None)
    assert all(int(row["id"]) > old for row in rows)


def test_refusals_survive_a_stop(make_controller):
    """What waits to be written when the server is asked to end is written."""
    server = make_controller()
    password_login(server.api(), "nobody-here", "password")
    server.stop()
    assert sql(server, "SELECT count(*) FROM attempt WHERE outcome = 'refused'") == [(1,)]


# --- the stream


def test_stream_shows_attempts_as_they_happen(controller, api, tmp_path):
    key, found = pending(api, "ott")
    with listening(api, topics="attempts") as listener:
        enroll_ott(controller, found["token"], tmp_path)
        seen = listener.next(lambda event: event.data["identityId"] == key)
        assert seen.topic == "attempts"
        assert seen.data == last(api, identityId=key)
        enroll(controller.api(), "ott", found["token"], csr()[0], PEM)
        refused = listener.next(lambda event: event.data["identityId"] == key)
        assert refused.data["outcome"] == "refused"
        assert int(refused.id) > int(seen.id)
    with listening(api, "/attempts/stream", last=seen.id) as listener:
        again = listener.next(lambda event: event.data["identityId"] == key)
        assert again == refused


def test_stream_of_changes(controller, api, tmp_path):
    """An enrollment and whatever an administrator changes are news about an entity."""
    with listening(api, topics="changes") as listener:
        key, found = pending(api, "ott")
        made = listener.next(lambda event: event.data["id"] == key)
        assert (made.data["entity"], made.data["verb"], made.data["by"]) == ("identities", "create", "admin")
        enroll_ott(controller, found["token"], tmp_path)
        assert listener.next(lambda event: event.data["id"] == key).data["verb"] == "enroll"
        api.delete(f"/identities/{key}").ok()
        assert listener.next(lambda event: event.data["id"] == key).data["verb"] == "delete"


def test_unknown_topic_is_refused(api):
    answer = api.on(OWN).get("/events", topics="attempts,weather")
    assert (answer.status, answer.code) == (400, "COULD_NOT_VALIDATE")


def test_stream_ends_with_its_session(controller, api):
    _, user, password = with_password(api, isAdmin=True)
    other = controller.api().login(user, password)
    with listening(other) as listener:
        other.delete("/current-api-session").ok()
        assert listener.ended.wait(20)


def test_stream_ends_when_the_server_stops(make_controller):
    """The stream is closed in an orderly way, and stopping does not wait for it."""
    server = make_controller()
    with listening(server.admin()) as listener:
        assert server.stop() == 0
        assert listener.ended.wait(5)
    assert "they are killed" not in server.stderr()


def opened(server: Controller, api: Api) -> Listener | None:
    """Open a stream on a connection of its own, which any process may get; None where there is no place."""
    client = server.api()
    client.http.headers["zt-session"] = api.http.headers["zt-session"]
    answer = client.http.get(f"{server.url}{OWN}/events", stream=True, timeout=20)
    if answer.status_code == 200:
        return Listener(answer)
    assert answer.json()["error"]["code"] == "RATE_LIMITED"
    return None


def test_streams_take_no_workers_and_are_bounded(make_controller):
    """More streams than worker threads leave the server as it was; beyond the bound they are refused."""
    server = make_controller("--threads", "2")
    api = server.admin()
    with ExitStack() as stack, ThreadPoolExecutor(8) as pool:
        listeners = [one for one in pool.map(lambda _: opened(server, api), range(40)) if one]
        for listener in listeners:
            stack.callback(listener.close)
        assert len(listeners) == 32
        key = api.create("/identities", identity_body())
        for listener in listeners:
            assert listener.next(lambda event: event.topic == "changes").data["id"] == key


def test_who_goes_away_leaves_a_place(make_controller):
    server = make_controller("--workers", "1")
    api = server.admin()
    with ExitStack() as stack:
        listeners = [stack.enter_context(listening(api)) for _ in range(32)]
        assert opened(server, api) is None
        listeners[0].close()
        stack.callback(wait_until(lambda: opened(server, api)).close)
        assert opened(server, api) is None


def flood(server: Controller, rows: int, size: int) -> None:
    """Write so many long attempts into the log, faster than any client could make them."""
    sql(
        server,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
        "INSERT INTO attempt (id, created_at, kind, method, outcome, code, reason, source_address, duration_us, "
        "request_id) SELECT (SELECT max(id) FROM attempt) + i, 0, 'login', 'flood', 'refused', '', "
        "hex(zeroblob(?)), '', 0, '' FROM n",
        rows,
        size // 2,
    )


def test_slow_listener_holds_nobody_up_and_misses_nothing(make_controller):
    """What a listener cannot take yet stays in the tables; the others get theirs at once."""
    server = make_controller()
    api = server.admin()
    rows = 4000
    context = ssl.create_default_context(cafile=str(server.ca_file()))
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect(("127.0.0.1", server.port))
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as slow, listening(api) as listener:
            token = api.http.headers["zt-session"]
            slow.sendall(f"GET {OWN}/events HTTP/1.1\r\nHost: x\r\nzt-session: {token!s}\r\n\r\n".encode())
            assert slow.recv(12) == b"HTTP/1.1 200"
            flood(server, rows, 4096)
            password_login(server.api(), "nobody-here", "password")
            assert listener.next(lambda event: event.data.get("method") == "password")
            slow.settimeout(30)
            received = bytearray()
            while b'"method":"password"' not in received[-4096:]:
                received += slow.recv(65536)
            assert received.count(b'"method":"flood"') == rows
