"""The state of identities and routers: each state by what really happens, filters, sorting, the overview."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.certificates import CA, csr
from tests.controllers import CLIENT
from tests.flows import (
    ca_body,
    certified,
    identity_body,
    import_ca,
    in_the_past,
    login,
    pending,
    sql,
    text_time,
    unique,
    with_password,
)
from wire.resource import OWN

DAY = 86_400_000
NAMES = ("enrollmentState", "tokenExpiresAt", "certificateExpiresAt", "lastSeenAt")


@pytest.fixture
def own(api):
    return api.on(OWN)


def state(own, key: str, path: str = "/identities") -> str:
    """The state that the item shows; both its list and upstream's, filtered by it, have the item."""
    shown = own.detail(path, key)["enrollmentState"]
    wanted = f'id = "{key}" and enrollmentState = "{shown}"'
    assert [i["id"] for i in own.get(path, filter=wanted).ok()] == [key]
    assert own.get(path, filter=f'id = "{key}" and enrollmentState != "{shown}"').ok() == []
    upstream = own.on("/edge/management/v1").get(path, filter=wanted)
    assert [i["id"] for i in upstream.ok()] == [key]
    return str(shown)


# --- each state


def test_the_way_of_an_identity(controller, api, own, tmp_path):
    """From nothing over a token and a certificate to its end, and back by a new token."""
    key = api.create("/identities", identity_body())
    assert state(own, key) == "none"
    ends = text_time(hours=2)
    api.create("/enrollments", {"method": "ott", "identityId": key, "expiresAt": ends})
    shown = own.detail("/identities", key)
    assert (state(own, key), shown["tokenExpiresAt"]) == ("pending", ends)
    assert shown["enrollmentMethods"] == ["ott"]
    assert shown["enrollmentIds"] == [shown["enrollment"]["ott"]["id"]]
    sql(controller, "UPDATE enrollment SET expires_at = ? WHERE identity_id = ?", in_the_past(), key)
    assert state(own, key) == "tokenExpired"

    key, issued, client = certified(controller, api, tmp_path)
    shown = own.detail("/identities", key)
    assert state(own, key) == "enrolled"
    assert (shown["tokenExpiresAt"], shown["lastSeenAt"], shown["enrollmentIds"]) == (None, None, [])
    assert shown["certificateExpiresAt"][:19] == issued.certificate.not_valid_after_utc.isoformat()[:19]
    assert shown["authenticatorMethods"] == ["cert"]
    assert len(shown["certificateFingerprint"]) == 40
    login(client).ok()
    assert own.detail("/identities", key)["lastSeenAt"] > shown["createdAt"]

    soon = in_the_past() + 29 * DAY
    sql(controller, "UPDATE authenticator SET cert_expires_at = ? WHERE identity_id = ?", soon, key)
    assert state(own, key) == "expiring"
    sql(controller, "UPDATE authenticator SET cert_expires_at = ? WHERE identity_id = ?", in_the_past(), key)
    assert state(own, key) == "expired"
    api.create("/enrollments", {"method": "ott", "identityId": key, "expiresAt": text_time(hours=1)})
    assert state(own, key) == "pending"
    api.post(f"/identities/{key}/disable", {"durationMinutes": 5})
    assert state(own, key) == "disabled"
    sql(controller, "UPDATE identity SET disabled_until = ? WHERE id = ?", in_the_past(), key)
    assert state(own, key) == "pending"


def test_passwords_and_external_ids_count_as_enrolled(api, own):
    assert state(own, with_password(api)[0]) == "enrolled"
    assert state(own, api.create("/identities", identity_body(externalId=unique("x")))) == "enrolled"
    assert state(own, pending(api, "ott", externalId=unique("x"))[0]) == "pending"


def test_tokens_that_go_away_are_forgotten(api, own):
    """Refreshing, deleting and re-enrolling change the dates by themselves."""
    key, found = pending(api, "ott")
    ends = text_time(hours=7)
    api.post(f"/enrollments/{found['id']}/refresh", {"expiresAt": ends}).ok()
    assert own.detail("/identities", key)["tokenExpiresAt"] == ends
    api.delete(f"/enrollments/{found['id']}").ok()
    assert own.detail("/identities", key)["tokenExpiresAt"] is None
    assert state(own, key) == "none"
    key, _, _ = with_password(api)
    (authenticator,) = api.get(f"/identities/{key}/authenticators").ok()
    api.post(f"/authenticators/{authenticator['id']}/re-enroll", {"expiresAt": ends}).ok(201)
    assert state(own, key) == "pending"


def test_a_login_by_password_counts_as_seen(controller, api, own):
    key, user, password = with_password(api)
    assert own.detail("/identities", key)["lastSeenAt"] is None
    controller.api().on(CLIENT).login(user, password)
    assert own.detail("/identities", key)["lastSeenAt"] is not None


def test_the_way_of_a_router(controller, api, own):
    for path, kind, method in (("/edge-routers", "edge", "erott"), ("/transit-routers", "transit", "trott")):
        key = api.create(path, {"name": unique("router")})
        shown = own.detail("/routers", key)
        assert (shown["kind"], shown["enrollmentMethods"]) == (kind, [method])
        assert state(own, key, "/routers") == "pending"
        assert [r["id"] for r in api.get(path, filter=f'id="{key}" and enrollmentState="pending"').ok()] == [key]
        sql(controller, "UPDATE enrollment SET expires_at = ? WHERE router_id = ?", in_the_past(), key)
        assert state(own, key, "/routers") == "tokenExpired"
        later = in_the_past() + DAY
        sql(controller, "UPDATE enrollment SET expires_at = ? WHERE router_id = ?", later, key)
        body = {"certCsr": csr(key)[0], "serverCertCsr": csr(key)[0], "token": shown["enrollmentToken"]}
        controller.api().on(CLIENT).post("/enroll/erott", body).ok()
        shown = own.detail("/routers", key)
        assert state(own, key, "/routers") == "enrolled"
        assert shown["lastSeenAt"]
        assert shown["certificateFingerprint"] == shown["fingerprint"]
        sql(controller, "UPDATE router SET cert_expires_at = ? WHERE id = ?", later, key)
        assert state(own, key, "/routers") == "expiring"
        api.patch(path + f"/{key}", {"disabled": True}).ok()
        assert state(own, key, "/routers") == "disabled"


def test_the_expression_and_the_row_agree_everywhere(controller, api, own):
    """Every combination of what a state rests on, in the list and by the filter."""
    past, later, far = in_the_past(), in_the_past() + DAY, in_the_past() + 100 * DAY
    tag = unique("combination")
    cases = list(
        itertools.product(
            (None, past, later), (None, past, later, far), (False, True), (None, "x"), (None, past), (None, far)
        )
    )
    for token, cert, enrolled, external, disabled, until in cases:
        key = api.create("/identities", identity_body(roleAttributes=[tag]))
        sql(
            controller,
            "UPDATE identity SET token_expires_at = ?, cert_expires_at = ?, is_enrolled = ?, external_id = ?,"
            " disabled_at = ?, disabled_until = ? WHERE id = ?",
            *(token, cert, enrolled, external and unique("x"), disabled, until, key),
        )
    mine = f'anyOf(roleAttributes) = "{tag}" limit none'
    shown = {i["id"]: i["enrollmentState"] for i in own.get("/identities", filter=mine, limit=500).ok()}
    assert len(shown) == len(cases)
    assert set(shown.values()) == {"none", "pending", "tokenExpired", "enrolled", "expiring", "expired", "disabled"}
    for one in set(shown.values()):
        found = own.get("/identities", filter=f'enrollmentState = "{one}" and {mine}').ok()
        assert {i["id"] for i in found} == {key for key, s in shown.items() if s == one}
    for key in shown:
        api.delete(f"/identities/{key}").ok()


# --- the language


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("path", ["/identities", "/routers"])
def test_names_are_announced_here_and_only_here(api, own, path, name):
    """Filters and sorting know them everywhere; upstream's answers do not show them."""
    assert name in own.get(path).body["meta"]["filterableFields"]
    assert name in own.get(path).ok()[0] or path == "/routers"
    assert own.get(path, filter=f"true sort by {name} desc").status == 200
    for upstream in ("/identities", "/edge-routers", "/transit-routers"):
        answer = api.get(upstream, filter=f"true sort by {name}")
        assert answer.status == 200
        assert name not in answer.body["meta"]["filterableFields"]
        assert not any(name in item for item in answer.ok())
    assert api.get("/services", filter=f"true sort by {name}").code == "INVALID_FILTER"


def test_dates_compare_and_sort(controller, api, own):
    tag = unique("dates")
    keys = [pending(api, "ott", roleAttributes=[tag])[0] for _ in range(3)]
    for hours, key in zip((3, 1, 2), keys, strict=True):
        ends = in_the_past() + hours * 3_600_000
        sql(controller, "UPDATE enrollment SET expires_at = ? WHERE identity_id = ?", ends, key)
    mine = f'anyOf(roleAttributes) = "{tag}"'
    ordered = own.get("/identities", filter=f"{mine} sort by tokenExpiresAt").ok()
    assert [i["id"] for i in ordered] == [keys[1], keys[2], keys[0]]
    soon = text_time(minutes=90)
    assert [i["id"] for i in own.get("/identities", filter=f"{mine} and tokenExpiresAt < datetime({soon})").ok()] == [
        keys[1]
    ]
    assert len(own.get("/identities", filter=f"{mine} and lastSeenAt = null").ok()) == 3
    assert own.get("/identities", filter=f"{mine} and not (lastSeenAt = null)").ok() == []


def test_how_soon_is_a_setting(make_controller, tmp_path):
    server = make_controller("--expiring-days", "400")
    api = server.admin()
    key, _, _ = certified(server, api, tmp_path)
    assert api.on(OWN).detail("/identities", key)["enrollmentState"] == "expiring"


def test_only_reading(own):
    assert own.post("/identities", identity_body()).status == 405
    assert own.delete("/routers/x").status == 405


# --- the overview


def test_overview_counts_what_is_there(make_controller, tmp_path):
    server = make_controller()
    api = server.admin()
    own = api.on(OWN)
    certified(server, api, tmp_path)
    _, found = pending(api, "ott")
    pending(api, "ott")
    sql(server, "UPDATE enrollment SET expires_at = ? WHERE id = ?", in_the_past(), found["id"])
    api.create("/edge-routers", {"name": unique("router"), "isTunnelerEnabled": True})
    shown = own.get("/overview").ok()
    people = shown["identities"]
    assert people["total"] == 4
    assert {k: v for k, v in people["states"].items() if v} == {"enrolled": 2, "pending": 1, "tokenExpired": 1}
    assert people["neverConnected"] == 3
    assert shown["routers"]["states"]["pending"] == 1
    assert shown["enrollments"] == {"pending": 2, "expired": 1}
    assert sum(week["count"] for week in shown["certificatesByWeek"]) == 1
    assert [a["kind"] for a in shown["authorities"]] == ["server", "intermediate", "root"]
    first, *rest = shown["nextExpiries"]
    assert (first["what"], first["overdue"]) == ("token", True)
    assert not any(one["overdue"] for one in rest)
    assert [one["expiresAt"] for one in shown["nextExpiries"]] == sorted(
        one["expiresAt"] for one in shown["nextExpiries"]
    )
    (attention,) = shown["attention"]
    assert attention["text"] == "1 token expired unused"
    listed = own.get("/identities", filter=attention["filter"]).ok()
    assert len(listed) == 1


def test_overview_says_what_is_wrong_with_a_ca(api, own):
    def said(key: str) -> Any:
        (problem,) = [a["problem"] for a in own.get("/overview").ok()["authorities"] if a["id"] == key]
        texts = [a["text"] for a in own.get("/overview").ok()["attention"] if a.get("id") == key]
        assert len(texts) == (problem is not None)
        return problem

    assert str(said(import_ca(api, CA.root(unique("root"))))).startswith("its certificate expires on ")
    assert "not verified" in str(said(api.create("/cas", ca_body(CA.root(unique("root")).pem))))
    off = import_ca(api, CA.root(unique("root")), isAuthEnabled=False)
    assert said(off) == "it cannot connect anyone: its connections are off"
    api.patch(f"/cas/{off}", {"isAutoCaEnrollmentEnabled": False, "isOttCaEnrollmentEnabled": False}).ok()
    assert "everything is switched off" in str(said(off))
    api.patch(f"/cas/{off}", {"isAuthEnabled": True}).ok()
    assert "nobody new" in str(said(off))
