"""Tokens as such, as QR codes, and errors as one line: what the Accept header changes, and what it leaves alone."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
import requests
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.certificates import CA
from tests.controllers import CLIENT, MANAGEMENT
from tests.flows import ca_body, identity_body, import_ca, in_the_past, pending, sql, unique, with_password
from wire.accept import preferred
from wire.resource import OWN

JWT, PNG, SVG = "application/jwt", "image/png", "image/svg+xml"


def ask(api, path: str, accept: str | None, method: str = "GET", **options):
    """The plain answer under an Accept header; None sends no such header at all."""
    url = api.url + (path if path.startswith(("/edge", "/zitilite")) else api.base + path)
    headers = {**api.http.headers, "Accept": accept}
    return requests.request(method, url, headers=headers, verify=str(api.ca_file), timeout=20, **options)


def read_png(content: bytes) -> str:
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(content)))
    return found.text


def drawn(svg: str, scale: int = 4) -> Image.Image:
    """A picture of the path in an SVG of ours: lines of one module's height, `M x y h n m dx dy h n`."""
    (data,) = re.findall(r'class="qrline" stroke="#000" d="([^"]+)"', svg) or re.findall(
        r'stroke="#000" d="([^"]+)"', svg
    )
    (white,) = re.findall(r'fill="#fff" d="M0 0h(\d+)v', svg)
    size = int(white)
    picture = Image.new("L", (size, size), 255)
    x = y = 0.0
    for command, numbers in re.findall(r"([Mmh])([^Mmh]+)", data):
        values = [float(n) for n in re.findall(r"-?\d*\.?\d+", numbers)]
        if command == "M":
            x, y = values
        elif command == "m":
            x, y = x + values[0], y + values[1]
        else:
            for i in range(int(values[0])):
                picture.putpixel((int(x) + i, int(y)), 0)
            x += values[0]
    return picture.resize((size * scale, size * scale), Image.Resampling.NEAREST)


@pytest.fixture
def things(api):
    """An item of each sort with a pending token: path and JWT as the JSON shows it."""
    identity, found = pending(api, "ott")
    edge = api.create("/edge-routers", {"name": unique("router")})
    transit = api.create("/transit-routers", {"name": unique("router")})
    ca = import_ca(api, CA.root(unique("root")))
    edge_jwt = api.detail("/edge-routers", edge)["enrollmentJwt"]
    transit_jwt = api.detail("/transit-routers", transit)["enrollmentJwt"]
    ca_jwt = api.get(f"/cas/{ca}/jwt").ok()
    return {
        f"{MANAGEMENT}/identities/{identity}": found["jwt"],
        f"{MANAGEMENT}/enrollments/{found['id']}": found["jwt"],
        f"{MANAGEMENT}/edge-routers/{edge}": edge_jwt,
        f"{MANAGEMENT}/transit-routers/{transit}": transit_jwt,
        f"{MANAGEMENT}/cas/{ca}": ca_jwt,
        f"{MANAGEMENT}/cas/{ca}/jwt": ca_jwt,
        f"{OWN}/identities/{identity}": found["jwt"],
        f"{OWN}/routers/{edge}": edge_jwt,
        f"{OWN}/routers/{transit}": transit_jwt,
    }


# --- the forms


def test_every_token_comes_bare_and_drawn(api, things):
    """The JWT byte by byte; images that a reader reads back to it."""
    for path, jwt in things.items():
        bare = ask(api, path, JWT)
        assert (bare.status_code, bare.headers["Content-Type"], bare.text) == (200, JWT, jwt), path
        png = ask(api, path, PNG)
        assert png.headers["Content-Type"] == PNG
        assert read_png(png.content) == jwt
        svg = ask(api, path, SVG)
        assert svg.headers["Content-Type"] == SVG
        (found,) = zxingcpp.read_barcodes(drawn(svg.text))
        assert found.text == jwt


def test_an_image_has_the_size_asked_for(api):
    key, found = pending(api, "ott")
    widths = {}
    for scale in (1, 6, 10):
        png = ask(api, f"/identities/{key}", PNG, params={"scale": scale})
        widths[scale] = Image.open(io.BytesIO(png.content)).width
        if scale > 1:
            assert read_png(png.content) == found["jwt"]
    assert widths[6] == 6 * widths[1]
    assert widths[10] == 10 * widths[1]
    usual = ask(api, f"/identities/{key}", PNG)
    assert Image.open(io.BytesIO(usual.content)).width == widths[6]
    assert ask(api, f"/identities/{key}", PNG, params={"scale": "big"}).status_code == 601
    huge = ask(api, f"/identities/{key}", PNG, params={"scale": 10**9})
    assert Image.open(io.BytesIO(huge.content)).width == 40 * widths[1]


def test_of_several_tokens_one_is_picked(api):
    key, _ = pending(api, "ott")
    user = unique("user")
    body = {"method": "updb", "identityId": key, "username": user, "expiresAt": "2035-01-01T00:00:00Z"}
    api.create("/enrollments", body)
    shown = api.detail("/identities", key)["enrollment"]
    assert ask(api, f"/identities/{key}", JWT).text == shown["ott"]["jwt"]
    assert ask(api, f"/identities/{key}", JWT, params={"method": "updb"}).text == shown["updb"]["jwt"]
    assert ask(api, f"/identities/{key}", JWT, params={"method": "ottca"}).status_code == 404
    assert ask(api, f"/identities/{key}", JWT, params={"method": "x"}).status_code == 400


# --- what there is no token for


def test_without_a_token_it_says_what_to_do(controller, api):
    key = api.create("/identities", identity_body())
    answer = ask(api, f"/identities/{key}", f"{JWT}, text/plain")
    assert answer.status_code == 404
    assert "has no pending token: POST /edge/management/v1/enrollments makes one" in answer.text
    key, found = pending(api, "ott")
    sql(controller, "UPDATE enrollment SET expires_at = ? WHERE id = ?", in_the_past(), found["id"])
    for path in (f"/identities/{key}", f"/enrollments/{found['id']}"):
        answer = ask(api, path, PNG)
        assert answer.status_code == 409
        assert answer.json()["error"]["code"] == "ENROLLMENT_EXPIRED"
        assert f"/enrollments/{found['id']}/refresh" in answer.json()["error"]["cause"]["message"]
    unverified = api.create("/cas", ca_body(CA.root(unique("root")).pem))
    assert "not verified" in ask(api, f"/cas/{unverified}", JWT).json()["error"]["cause"]["message"]
    for path in ("identities", "edge-routers", "cas", "enrollments"):
        assert ask(api, f"/{path}/nosuch", JWT).status_code == 404


def test_permissions_hold_for_every_form(controller, api):
    """Who may not see a token in JSON does not get it as such; an administrator's is for administrators."""
    admin, found = pending(api, "ott", isAdmin=True)
    _, user, password = with_password(api, permissions=["identity", "enrollment"])
    person = controller.api().login(user, password)
    for form in (JWT, PNG, SVG):
        assert ask(person, f"/identities/{admin}", form).status_code == 401
        assert ask(person, f"/enrollments/{found['id']}", form).status_code == 404
        assert ask(person, "/cas/nosuch", form).status_code == 401
        assert ask(controller.api(), f"/identities/{admin}", form).status_code == 401
    for scope, status in (("read", 401), ("enroll", 404), ("admin", 200)):
        token = api.on(OWN).post("/api-tokens", {"name": unique("token"), "scope": scope}).ok(201)["token"]
        client = controller.api()
        client.http.headers["Authorization"] = f"Bearer {token}"
        assert ask(client, f"/identities/{admin}", JWT).status_code == status


# --- what stays as it is


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/*", f"application/json, {JWT}"])
def test_json_stays_json(api, things, accept):
    for path in things:
        if not path.endswith("/jwt"):
            assert ask(api, path, accept).headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("accept", ["text/html", "image/jpeg", "text/plain", "application/jwt;q=0"])
def test_other_types_are_still_refused(api, things, accept):
    for path in things:
        if path.endswith("/jwt"):
            continue  # upstream's own: it says application/jwt by itself
        assert ask(api, path, accept).status_code == 406


def test_lists_have_no_such_form(api):
    assert ask(api, "/identities", JWT).status_code == 406
    assert ask(api, "/services/x", PNG).status_code == 406


# --- errors as a line


def test_an_error_is_one_line(controller, api):
    """`CODE: message: cause (request id)`, for every operation, known path or not, with a session or without."""
    anonymous = controller.api()
    cases: list[tuple[Any, str, str, dict[str, Any], str]] = [
        (api, "POST", "/identities", {"json": {"name": ""}}, "COULD_NOT_VALIDATE"),
        (api, "GET", "/identities/nosuch", {}, "NOT_FOUND"),
        (api, "GET", "/nosuch", {}, "NOT_FOUND"),
        (api, "DELETE", "/version", {}, "METHOD_NOT_ALLOWED"),
        (anonymous, "GET", "/identities", {}, "UNAUTHORIZED"),
        (anonymous, "POST", f"{CLIENT}/enroll/ott", {"json": {"token": "x"}}, "INVALID_ENROLLMENT_TOKEN"),
        (api, "GET", f"{OWN}/api-tokens/x", {}, "NOT_FOUND"),
    ]
    for client, method, path, options, code in cases:
        answer = ask(client, path, "text/plain, application/json", method, **options)
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert re.fullmatch(rf"{code}: [^\n]+ \(request [^\s]+\)\n", answer.text), answer.text
        same = ask(client, path, "application/json", method, **options)
        assert (same.status_code, same.json()["error"]["code"]) == (answer.status_code, code)


def test_the_line_names_field_and_reason_but_no_value(api):
    answer = ask(
        api,
        "/authenticators",
        "text/plain, */*;q=0.1",
        "POST",
        json={"method": "nosuch", "identityId": "x", "password": "topsecret"},
    )
    assert "method: method must be updb or cert" in answer.text
    assert "topsecret" not in answer.text


def test_that_a_type_is_not_available_is_said_as_recorded(controller, api):
    """With text/plain alone: 406 in JSON where JSON is all there is; other errors, where they come first, are lines."""
    refused = ask(api, "/identities", "text/plain")
    assert (refused.status_code, refused.json()["error"]["cause"]["field"]) == (406, "Accept")
    anonymous = ask(controller.api(), "/identities", "text/plain")
    assert (anonymous.status_code, anonymous.text.split(":")[0]) == (401, "UNAUTHORIZED")
    enrolling = ask(controller.api(), f"{CLIENT}/enroll/ott", "text/plain", "POST", json={"token": "x"})
    assert enrolling.text.startswith("INVALID_ENROLLMENT_TOKEN: ")


@pytest.mark.parametrize("accept", ["application/json, text/plain, */*", "*/*", "text/html, */*", ""])
def test_who_likes_json_gets_it(api, accept):
    assert ask(api, "/identities/nosuch", accept).json()["error"]["code"] == "NOT_FOUND"


# --- choosing


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        (JWT, JWT),
        (f"{JWT}, application/json", JWT),
        (f"application/json, {JWT}", None),
        (f"application/json;q=0.5, {JWT}", JWT),
        (f"{JWT};q=0.5, */*", None),
        (f"{JWT}, */*;q=0.1", JWT),
        (f"{PNG};q=0.2, {SVG};q=0.3", SVG),
        ("image/*", None),
        (f"{JWT};q=zero", None),
        (f"{JWT.upper()} ; q=1", JWT),
    ],
)
def test_which_form_is_chosen(header, expected):
    assert preferred(header, (JWT, SVG, PNG)) == expected


@given(st.text())
def test_no_header_breaks_the_choice(header):
    assert preferred(header, (JWT, SVG, PNG)) in {None, JWT, SVG, PNG}
