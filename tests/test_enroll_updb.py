"""Enrollment with user name and password, and the login afterwards."""

from __future__ import annotations

import pytest

from tests.controllers import CLIENT, MANAGEMENT
from tests.flows import (
    enroll,
    identity_body,
    in_the_past,
    password_login,
    pending,
    sql,
    text_time,
    unique,
    with_password,
)

PASSWORD = "a good password"


def forms(api, token):
    """Both ways of sending the password."""
    body = {"username": "ignored", "password": PASSWORD}
    return {
        "generic": lambda: enroll(api, "updb", token, body),
        "own path": lambda: api.on(CLIENT).post("/enroll/updb", body, params={"token": token}),
    }


@pytest.mark.parametrize("form", ["generic", "own path"])
def test_enroll_then_log_in(controller, api, form):
    """The enrollment's user name and the chosen password open a session on both bases; the token is spent."""
    user = unique("user")
    key, found = pending(api, "updb", user)
    data = forms(api, found["token"])[form]().ok()
    assert data["username"] == user
    assert len(data["controllers"]) == 1
    for base in (CLIENT, MANAGEMENT):
        assert password_login(controller.api().on(base), user, PASSWORD).ok()["identityId"] == key
    again = forms(api, found["token"])[form]()
    assert (again.status, again.code) == (400, "INVALID_ENROLLMENT_TOKEN")
    shown = api.detail("/identities", key)
    assert shown["authenticators"]["updb"]["username"] == user
    assert shown["enrollment"] == {}


def test_user_name_of_the_request_is_ignored(controller, api):
    """Nobody takes another user name than the one the administrator gave."""
    user = unique("user")
    _, found = pending(api, "updb", user)
    enroll(api, "updb", found["token"], {"username": "mallory", "password": PASSWORD}).ok()
    assert password_login(controller.api(), "mallory", PASSWORD).code == "INVALID_AUTH"
    password_login(controller.api(), user, PASSWORD).ok()


@pytest.mark.parametrize("body", [{}, {"username": "x"}, {"password": ""}, {"password": "abcd"}, {"password": None}])
@pytest.mark.parametrize("form", ["generic", "own path"])
def test_bad_password_does_not_spend_the_token(api, form, body):
    """Without a password of at least five characters nothing happens, and the token stays good."""
    _, found = pending(api, "updb", unique("user"))
    token = found["token"]
    if form == "generic":
        answer = enroll(api, "updb", token, body)
    else:
        answer = api.on(CLIENT).post("/enroll/updb", body, params={"token": token})
    assert (answer.status, answer.code) == (400, "COULD_NOT_VALIDATE")
    enroll(api, "updb", token, {"password": PASSWORD}).ok()


@pytest.mark.parametrize("password", ["x" * 101, "x" * 100_000])
@pytest.mark.parametrize("form", ["generic", "own path"])
def test_password_that_could_not_log_in_is_refused(controller, api, form, password):
    """A password longer than a login takes must not be accepted at enrollment, on either path."""
    user = unique("user")
    _, found = pending(api, "updb", user)
    if form == "generic":
        answer = enroll(api, "updb", found["token"], {"password": password})
    else:
        answer = api.on(CLIENT).post("/enroll/updb", {"password": password}, params={"token": found["token"]})
    assert (answer.status, answer.code) == (400, "COULD_NOT_VALIDATE")
    enroll(api, "updb", found["token"], {"password": PASSWORD}).ok()
    password_login(controller.api(), user, PASSWORD).ok()


@pytest.mark.parametrize("form", ["generic", "own path"])
def test_expired_token(controller, api, form):
    """The server refuses a token whose time is over."""
    _, found = pending(api, "updb", unique("user"))
    sql(controller, "UPDATE enrollment SET expires_at = ? WHERE token = ?", in_the_past(), found["token"])
    answer = forms(api, found["token"])[form]()
    assert (answer.status, answer.code) == (400, "ENROLLMENT_EXPIRED")


def test_token_that_is_none(api):
    """Unknown tokens are INVALID_ENROLLMENT_TOKEN; on the own path a missing or malformed one is a bad parameter."""
    unknown = "00000000-0000-4000-8000-000000000000"
    body = {"password": PASSWORD}
    assert enroll(api, "updb", unknown, body).code == "INVALID_ENROLLMENT_TOKEN"
    client = api.on(CLIENT)
    assert client.post("/enroll/updb", body, params={"token": unknown}).code == "INVALID_ENROLLMENT_TOKEN"
    assert client.post("/enroll/updb", body, params={"token": "no-uuid"}).status == 601
    assert client.post("/enroll/updb", body).status == 602


def test_user_name_that_was_taken_meanwhile(controller, api):
    """Two enrollments may wait for one user name; the second to enroll is refused, and keeps its token."""
    user = unique("user")
    first_key, first = pending(api, "updb", user)
    second_key, second = pending(api, "updb", user)
    enroll(api, "updb", first["token"], {"password": PASSWORD}).ok()
    answer = enroll(api, "updb", second["token"], {"password": "another password"})
    assert (answer.status, answer.code) == (400, "COULD_NOT_VALIDATE")
    assert answer.error["cause"]["field"] == "username"
    shown = api.detail("/identities", second_key)
    assert shown["authenticators"] == {}
    assert shown["enrollment"]["updb"]["token"] == second["token"]
    assert password_login(controller.api(), user, PASSWORD).ok()["identityId"] == first_key


@pytest.mark.parametrize("user", ["", "abc", "x" * 101])
def test_user_name_that_could_not_log_in_is_refused_at_creation(api, user):
    """An enrollment for a user name that no login accepts would be a dead end, so it is refused."""
    identity = api.create("/identities", identity_body())
    body = {"method": "updb", "identityId": identity, "username": user, "expiresAt": text_time(hours=1)}
    assert api.post("/enrollments", body).status == 400
    if user:
        assert api.post("/identities", identity_body(enrollment={"updb": user})).status == 400


def test_new_password_by_enrollment_ends_the_old_one(controller, api):
    """An identity that enrolls by updb again has the new password; the old one and its sessions end."""
    key, user, old = with_password(api)
    session = controller.api().login(user, old)
    body = {"method": "updb", "identityId": key, "username": user, "expiresAt": text_time(hours=1)}
    found = api.detail("/enrollments", api.create("/enrollments", body))
    enroll(api, "updb", found["token"], {"password": PASSWORD}).ok()
    assert session.get("/current-identity").status == 401
    assert password_login(controller.api(), user, old).code == "INVALID_AUTH"
    password_login(controller.api(), user, PASSWORD).ok()
