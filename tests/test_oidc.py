"""OIDC: a stock client library (Authlib) logs in without a browser; what is bound, refreshed, revoked and ended."""

from __future__ import annotations

import secrets
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pyotp
import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwk
from joserfc import jwt as jose

from tests.certificates import csr
from tests.controllers import CLIENT, MANAGEMENT, Api, Controller
from tests.flows import certified, pending, read_chain, sql, unique, with_password

REDIRECT = "http://localhost:8080/auth/callback"
SCOPE = "openid offline_access"
TYPE = "urn:ietf:params:oauth:token-type:"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


class Rp:
    """A relying party: Authlib's client with PKCE, configured by discovery alone."""

    def __init__(
        self, controller: Controller, certificate: tuple[Path, Path] | None = None, client: str = "openziti"
    ) -> None:
        self.oauth = OAuth2Session(
            client, redirect_uri=REDIRECT, scope=SCOPE, code_challenge_method="S256", token_endpoint_auth_method="none"
        )
        self.oauth.trust_env = False
        self.oauth.verify = str(controller.ca_file())
        self.oauth.cert = (str(certificate[0]), str(certificate[1])) if certificate else None
        self.base = controller.url
        self.server = self.http("GET", "/oidc/.well-known/openid-configuration").json()
        self.verifier, self.nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(12)
        self.request = ""

    def http(self, method: str, url: str, **options: Any) -> requests.Response:
        """A request without a token; redirects are shown, not followed."""
        url = self.base + url if url.startswith("/") else url
        answer = self.oauth.request(method, url, withhold_token=True, allow_redirects=False, timeout=20, **options)
        assert isinstance(answer, requests.Response)
        return answer

    def authorize(self, **more: str) -> requests.Response:
        """Begin a login; keeps the request's id."""
        endpoint = self.server["authorization_endpoint"]
        url, self.state = self.oauth.create_authorization_url(
            endpoint, code_verifier=self.verifier, nonce=self.nonce, **more
        )
        answer = self.http("GET", url)
        self.request = parse_qs(urlsplit(answer.headers.get("Location", "")).query).get("authRequestID", [""])[0]
        return answer

    def login(self, method: str = "password", path: str = "", **body: str) -> requests.Response:
        """Present credentials; `path` overrides the endpoint."""
        return self.http("POST", path or f"/oidc/login/{method}", data={"id": self.request, **body})

    def callback(self, answer: requests.Response) -> str:
        """Follow the login's redirect; gives the URL that the client's own listener would get."""
        assert answer.status_code == 302, answer.text
        back = self.http("GET", answer.headers["Location"])
        assert back.status_code == 302, back.text
        return back.headers["Location"]

    def tokens(self, answer: requests.Response, **more: str) -> dict[str, Any]:
        """Exchange the code by Authlib's own means, which checks the state."""
        found = self.oauth.fetch_token(
            self.server["token_endpoint"],
            authorization_response=self.callback(answer),
            code_verifier=self.verifier,
            state=self.state,
            timeout=20,
            **more,
        )
        return dict(found)

    def token(self, **form: str) -> requests.Response:
        """POST to the token endpoint."""
        return self.http("POST", self.server["token_endpoint"], data={"client_id": self.oauth.client_id, **form})

    def refresh(self, token: str, **more: str) -> requests.Response:
        return self.token(grant_type="refresh_token", refresh_token=token, **more)

    def get(self, path: str, token: str, **headers: str) -> requests.Response:
        return self.http("GET", path, headers={"Authorization": f"Bearer {token}", **headers})


@pytest.fixture
def user(api: Api) -> tuple[str, dict[str, str]]:
    """Give an identity's id and its user name and password."""
    key, name, password = with_password(api)
    return key, {"username": name, "password": password}


def logged_in(controller: Controller, credentials: dict[str, str], **options: Any) -> tuple[Rp, dict[str, Any]]:
    rp = Rp(controller, **options)
    rp.authorize()
    return rp, rp.tokens(rp.login(**credentials))


def peek(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


ME, SESSION = f"{CLIENT}/current-identity", f"{CLIENT}/current-api-session"


# --- the stock client


def test_authlib_logs_in_and_its_checks_of_the_id_token_pass(controller: Controller, user):
    key, credentials = user
    rp, tokens = logged_in(controller, credentials)
    keys = jwk.KeySet.import_key_set(rp.http("GET", rp.server["jwks_uri"]).json())
    decoded = jose.decode(tokens["id_token"], keys, algorithms=rp.server["id_token_signing_alg_values_supported"])
    wanted = {"iss": {"value": rp.server["issuer"]}, "aud": {"value": "openziti"}, "nonce": {"value": rp.nonce}}
    params = {"nonce": rp.nonce, "access_token": tokens["access_token"], "client_id": "openziti"}
    claims = CodeIDToken(decoded.claims, decoded.header, wanted, params)
    claims.validate()
    assert claims["sub"] == key
    info = rp.oauth.get(rp.server["userinfo_endpoint"], timeout=20).json()
    assert info["sub"] == key
    assert rp.oauth.get(controller.url + ME, timeout=20).json()["data"]["id"] == key


def test_authlib_refreshes_and_revokes(controller: Controller, user):
    rp, tokens = logged_in(controller, user[1])
    fresh = rp.oauth.refresh_token(rp.server["token_endpoint"], refresh_token=tokens["refresh_token"], timeout=20)
    assert fresh["access_token"] != tokens["access_token"]
    assert rp.get(ME, fresh["access_token"]).status_code == 200
    answer = rp.oauth.revoke_token(
        rp.server["revocation_endpoint"], token=fresh["access_token"], body="client_id=openziti", timeout=20
    )
    assert answer.status_code == 200
    assert rp.get(ME, fresh["access_token"]).status_code == 401
    assert rp.get(ME, tokens["access_token"]).status_code == 200


def test_version_and_enrollment_announce_what_is_served(controller: Controller):
    data = controller.api().get("/version").ok()
    assert data["capabilities"] == ["OIDC_AUTH", "OIDC_AUTH_WITH_CSR"]
    assert data["apiVersions"]["edge-oidc"]["v1"]["apiBaseUrls"] == [f"{controller.url}/oidc"]
    for name, url in Rp(controller).server.items():
        if name.endswith("_endpoint"):
            assert Rp(controller).http("GET", url).status_code != 404, name


ELSEWHERE = "https://app.example"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/oidc/.well-known/openid-configuration"), ("GET", "/oidc/keys"), ("POST", "/oidc/oauth/token")],
)
def test_pages_of_other_origins_may_read_its_answers(controller: Controller, method, path):
    rp = Rp(controller)
    assert rp.http(method, path).headers["Vary"] == "Origin"
    found = rp.http(method, path, headers={"Origin": ELSEWHERE}).headers
    assert found["Vary"] == "Origin"
    assert found["Access-Control-Allow-Origin"] == ELSEWHERE
    assert found["Access-Control-Allow-Credentials"] == "true"
    assert found["Access-Control-Expose-Headers"] == "Location, Content-Length"


@pytest.mark.parametrize(
    ("method", "headers", "allowed"),
    [
        ("GET", "authorization", True),
        ("POST", "Content-Type, Authorization", True),
        ("POST", "", True),
        ("DELETE", "authorization", False),
        ("POST", "x-other", False),
    ],
)
def test_browsers_ask_before_they_send(controller: Controller, method, headers, allowed):
    asked = {"Origin": ELSEWHERE, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    answer = Rp(controller).http("OPTIONS", "/oidc/oauth/token", headers=asked)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "Access-Control-Request-Headers" in answer.headers["Vary"]
    assert answer.headers.get("Access-Control-Allow-Origin") == (ELSEWHERE if allowed else None)
    assert answer.headers.get("Access-Control-Allow-Methods") == (method if allowed else None)
    wanted = ",".join(h.strip().lower() for h in headers.split(",")) if allowed and headers else None
    assert answer.headers.get("Access-Control-Allow-Headers") == wanted


@pytest.mark.parametrize("path", ["/oidc/login/username", "/oidc/logged-out"])
def test_its_login_pages_are_for_no_other_origin(controller: Controller, path):
    found = Rp(controller).http("GET", path, headers={"Origin": ELSEWHERE}).headers
    assert not [name for name in found if name.lower().startswith("access-control-")]
    assert "Vary" not in found


def test_switched_off_nothing_of_it_is_there(make_controller):
    server = make_controller("--oidc", "off")
    data = server.api().get("/version").ok()
    assert data["capabilities"] == []
    assert "edge-oidc" not in data["apiVersions"]
    answer = server.api().get("/oidc/.well-known/openid-configuration")
    assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert answer.error["cause"]["message"].startswith(f"path {CLIENT}/oidc/")
    assert server.admin().get("/current-identity").status == 200


# --- authorize


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/auth/callback",
        "http://localhost.evil.example/auth/callback",
        "http://localhost@evil.example/auth/callback",
        "http://localhost:8080/other",
        "http://localhost:8080/auth/callback?x=1",
        "http://localhost:8080/auth/callback#x",
        "http://localhost:@evil.example/auth/callback",
        "http://localhost:80@evil.example/auth/callback",
        "http://localhost:*/auth/callback",
        "http://localhost:8080/auth/callback/../../x",
        "javascript:alert(1)",
        "",
    ],
)
def test_codes_go_nowhere_else(controller: Controller, uri):
    rp = Rp(controller)
    rp.oauth.redirect_uri = uri
    answer = rp.authorize()
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_problems_go_to_the_client(controller: Controller, change, error):
    rp = Rp(controller)
    query = {
        "client_id": "openziti",
        "response_type": "code",
        "redirect_uri": REDIRECT,
        "scope": SCOPE,
        "state": "s t&1",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
        **change,
    }
    answer = rp.http("GET", "/oidc/authorize", params=query)
    found = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert answer.headers["Location"].startswith(REDIRECT)
    assert (found["error"], found["state"]) == ([error], ["s t&1"])


def test_other_clients_and_hosts_are_strangers(controller: Controller):
    assert Rp(controller, client="zz").authorize().json()["error"] == "invalid_client"
    rp = Rp(controller)
    answer = rp.http("GET", "/oidc/.well-known/openid-configuration", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")
    assert rp.http("GET", "/oidc/nosuch").text == "404 page not found\n"


def test_the_controller_settings_say_where_codes_may_go(make_controller):
    server = make_controller()
    mine = "https://app.example:8443/cb/one"
    body = {"oidc": {"redirectUris": [f"{mine[:-3]}*"]}}
    server.admin().patch("/controller-settings/global/effective", body).ok()
    rp = Rp(server)
    assert rp.authorize().status_code == 400
    rp.oauth.redirect_uri = mine
    assert rp.authorize().status_code == 302
    rp.oauth.redirect_uri = mine + "/two"
    assert rp.authorize().status_code == 400


def test_a_code_works_once_and_only_with_its_verifier(controller: Controller, user):
    rp = Rp(controller)
    rp.authorize()
    url = rp.callback(rp.login(**user[1]))
    code = parse_qs(urlsplit(url).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
    assert rp.token(**form, code_verifier="x" * 43).json()["error_description"] == "invalid code_verifier"
    assert rp.token(**form).json()["error"] == "invalid_grant"
    elsewhere = {**form, "redirect_uri": "http://localhost:1/auth/callback"}
    assert rp.token(**elsewhere, code_verifier=rp.verifier).status_code == 400
    assert rp.token(**form, code_verifier=rp.verifier, client_id="native").json()["error"] == "invalid_grant"
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: rp.token(**form, code_verifier=rp.verifier).status_code, range(6)))
    assert sorted(answers) == [200] + [400] * 5


def test_a_finished_login_cannot_be_taken_over_by_another(controller: Controller, api: Api, user):
    """Once its code is handed out, nobody else can be put behind it."""
    rp = Rp(controller)
    rp.authorize()
    rp.callback(rp.login(**user[1]))
    _, name, password = with_password(api)
    assert rp.login(username=name, password=password).status_code == 401


@pytest.mark.parametrize("path", ["/oidc/authorize", "/oidc/login/password", "/oidc/login/totp", "/oidc/oauth/token"])
@pytest.mark.parametrize("body", ["[1]", "{", '{"id": 5, "username": {}, "password": [], "configTypes": 7}', "5"])
def test_odd_json_is_refused_and_breaks_nothing(controller: Controller, path, body):
    rp = Rp(controller)
    rp.authorize()
    for text in (body, body.replace("5,", f'"{rp.request}",')):
        answer = rp.http("POST", path, data=text, headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500


def test_an_old_login_is_forgotten(controller: Controller, user):
    rp = Rp(controller)
    rp.authorize()
    sql(controller, "update oidc_request set expires_at = 1 where id = ?", rp.request)
    assert rp.login(**user[1]).json()["code"] == "UNAUTHORIZED"


def test_the_login_form_escapes_and_is_not_framed(controller: Controller):
    answer = Rp(controller).http("GET", "/oidc/login/username", params={"authRequestID": '"><script>alert(1)</script>'})
    assert "<script>" not in answer.text
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_a_person_sees_pages_with_what_went_wrong(controller: Controller, user):
    rp = Rp(controller)
    rp.authorize()
    body = {"id": rp.request, "username": user[1]["username"], "password": "wrong-one"}
    answer = rp.http("POST", "/oidc/login/password", data=body, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "text/html; charset=utf-8")
    assert "failed" in answer.text


# --- tokens as sessions


def test_the_claims_of_the_tokens(controller: Controller, user):
    key, credentials = user
    rp, tokens = logged_in(controller, credentials)
    access, refresh = peek(tokens["access_token"]), peek(tokens["refresh_token"])
    assert (access["z_t"], refresh["z_t"], access["jti"]) == ("a", "r", refresh["jti"])
    assert (access["iss"], access["aud"], access["sub"]) == (f"{controller.url}/oidc", ["openziti"], key)
    assert (access["amr"], access["scopes"], access["z_cfs"]) == (["password"], ["openid", "offline_access"], None)
    assert access["exp"] - access["iat"] == 1800
    assert refresh["exp"] - refresh["iat"] == 24 * 3600
    assert "z_ia" not in access
    head = jwt.get_unverified_header(tokens["access_token"])
    assert head["kid"] == rp.http("GET", rp.server["jwks_uri"]).json()["keys"][0]["kid"]


def test_a_bearer_is_a_session_wherever_zt_session_is(controller: Controller, user):
    rp, tokens = logged_in(controller, user[1])
    token = tokens["access_token"]
    shown = rp.get(SESSION, token).json()["data"]
    assert (shown["id"], shown["token"]) == (peek(token)["z_asid"], token)
    assert 1700 < shown["expirationSeconds"] <= 1800
    assert rp.get(f"{MANAGEMENT}/identities", token).status_code == 401
    made = rp.http(
        "POST", f"{SESSION}/certificates", json={"csr": csr()[0]}, headers={"Authorization": f"Bearer {token}"}
    )
    assert made.status_code == 201
    # nothing about it is a zt-session: neither the token nor the id that the list shows
    for value in (token, shown["id"]):
        assert rp.http("GET", ME, headers={"zt-session": value}).status_code == 401


def test_an_administrator_administers_by_bearer(controller: Controller):
    credentials = {"username": controller.admin_user, "password": controller.admin_password}
    rp, tokens = logged_in(controller, credentials, client="native")
    assert peek(tokens["access_token"])["z_ia"] is True
    assert rp.get(f"{MANAGEMENT}/identities", tokens["access_token"]).status_code == 200
    session = peek(tokens["access_token"])["z_asid"]
    listed = rp.get(f'{MANAGEMENT}/api-sessions?filter=id="{session}"', tokens["access_token"]).json()["data"]
    assert [one["id"] for one in listed] == [session]


@pytest.mark.parametrize("which", ["id_token", "refresh_token", "tampered", "garbage"])
def test_other_tokens_are_no_bearer(controller: Controller, user, which):
    rp, tokens = logged_in(controller, user[1])
    good = tokens["access_token"]
    token = {"tampered": good[:-6] + "AAAAAA", "garbage": "x"}.get(which) or tokens[which]
    assert rp.get(ME, token).status_code == 401


def test_an_enrollment_token_is_no_bearer(controller: Controller, api: Api, user):
    """It is signed with the same key."""
    rp, _ = logged_in(controller, user[1])
    assert rp.get(ME, pending(api, "ott")[1]["jwt"]).status_code == 401


@pytest.mark.parametrize("event", ["disable", "delete", "authenticator", "logout", "kill", "IDENTITY", "API_SESSION"])
def test_tokens_end_at_once_with_what_they_rest_on(controller: Controller, api: Api, user, event):
    key, credentials = user
    rp, tokens = logged_in(controller, credentials)
    token = tokens["access_token"]
    session = peek(token)["z_asid"]
    match event:
        case "disable":
            api.post(f"/identities/{key}/disable", {"durationMinutes": 0}).ok()
        case "delete":
            api.delete(f"/identities/{key}").ok()
        case "authenticator":
            api.delete(f"/authenticators/{peek(token)['z_authid']}").ok()
        case "logout":
            answer = rp.http("DELETE", SESSION, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 200
        case "kill":
            api.delete(f"/api-sessions/{session}").ok()
        case _:
            api.create("/revocations", {"type": event, "id": key if event == "IDENTITY" else session})
    assert rp.get(ME, token).status_code == 401
    assert rp.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_restart_changes_nothing(make_controller):
    server = make_controller()
    credentials = {"username": server.admin_user, "password": server.admin_password}
    rp = Rp(server)
    rp.authorize()
    first = rp.login(**credentials)
    server.restart()
    tokens = rp.tokens(first)
    server.restart()
    assert rp.get(ME, tokens["access_token"]).status_code == 200


def test_revoking_a_refresh_token_ends_the_session(controller: Controller, user):
    rp, tokens = logged_in(controller, user[1])
    form = {"token": tokens["refresh_token"], "client_id": "openziti", "token_type_hint": "refresh_token"}
    assert rp.http("POST", "/oidc/revoke", data=form).status_code == 200
    assert rp.get(ME, tokens["access_token"]).status_code == 401
    assert rp.refresh(tokens["refresh_token"]).status_code == 400
    assert rp.http("POST", "/oidc/revoke", data={**form, "token": "x"}).status_code == 200
    assert rp.http("POST", "/oidc/revoke", data={"token": "x"}).json()["error"] == "invalid_client"


def test_another_client_can_neither_refresh_nor_revoke(controller: Controller, user):
    rp, tokens = logged_in(controller, user[1])
    assert rp.refresh(tokens["refresh_token"], client_id="native").json()["error"] == "invalid_grant"
    form = {"token": tokens["refresh_token"], "client_id": "native"}
    assert rp.http("POST", "/oidc/revoke", data=form).status_code == 200
    assert rp.get(ME, tokens["access_token"]).status_code == 200


def test_end_session_ends_the_session_of_the_id_token(controller: Controller, user):
    rp, tokens = logged_in(controller, user[1])
    other, others = logged_in(controller, user[1])
    answer = rp.http("GET", "/oidc/end_session", params={"id_token_hint": tokens["id_token"]})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/oidc/logged-out")
    assert rp.get(ME, tokens["access_token"]).status_code == 401
    assert other.get(ME, others["access_token"]).status_code == 200
    evil = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": "https://evil.example/"}
    assert rp.http("GET", "/oidc/end_session", params=evil).status_code == 400


def test_token_exchange_as_the_go_sdk_does_it(controller: Controller, user):
    rp, tokens = logged_in(controller, user[1], client="native")
    basic = {"Authorization": "Basic " + b64encode(b"native:").decode()}

    def exchange(subject: str, kind: str, wanted: str) -> requests.Response:
        form = {
            "grant_type": EXCHANGE,
            "subject_token": subject,
            "subject_token_type": TYPE + kind,
            "requested_token_type": TYPE + wanted,
        }
        return rp.http("POST", rp.server["token_endpoint"], data=form, headers=basic)

    fresh = exchange(tokens["refresh_token"], "refresh_token", "refresh_token").json()
    assert fresh["issued_token_type"] == TYPE + "refresh_token"
    assert rp.get(ME, fresh["access_token"]).status_code == 200
    assert rp.refresh(fresh["refresh_token"]).status_code == 200
    identity = exchange(tokens["refresh_token"], "refresh_token", "id_token").json()
    assert (identity["token_type"], peek(identity["access_token"])["sub"]) == ("N_A", user[0])
    other = exchange(tokens["access_token"], "access_token", "access_token").json()
    assert "refresh_token" not in other
    assert rp.get(ME, other["access_token"]).status_code == 200
    for bad in (
        (tokens["access_token"], "access_token", "refresh_token"),
        (tokens["access_token"], "refresh_token", "access_token"),
        (tokens["id_token"], "id_token", "access_token"),
        ("x", "access_token", "access_token"),
    ):
        assert exchange(*bad).json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x", "client_id": "zz"}, "invalid_client"),
        ({"grant_type": "authorization_code", "code": "x"}, "invalid_grant"),
    ],
)
def test_bad_grants(controller: Controller, form, error):
    answer = Rp(controller).token(**form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


# --- certificates


def test_a_certificate_session_needs_its_certificate(controller: Controller, api: Api, tmp_path):
    key, issued, _ = certified(controller, api, tmp_path)
    rp = Rp(controller, (tmp_path / "client.crt", tmp_path / "client.key"))
    answer = rp.authorize()
    assert "/oidc/login/cert?" in answer.headers["Location"]
    tokens = rp.tokens(rp.login("cert"))
    claims = peek(tokens["access_token"])
    assert (claims["amr"], claims["z_acf"], claims["z_cfs"]) == (["cert"], issued.fingerprint, [issued.fingerprint])
    assert (claims["sub"], claims["z_ice"]) == (key, True)
    assert rp.get(ME, tokens["access_token"]).status_code == 200
    thief = Rp(controller)
    assert thief.get(ME, tokens["access_token"]).status_code == 401
    assert thief.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    _, _, _ = certified(controller, api, tmp_path / "other")
    other = Rp(controller, (tmp_path / "other" / "client.crt", tmp_path / "other" / "client.key"))
    assert other.get(ME, tokens["access_token"]).status_code == 401
    assert rp.refresh(tokens["refresh_token"]).status_code == 200


def test_an_extended_certificate_goes_on_with_the_session(controller: Controller, api: Api, tmp_path):
    certified(controller, api, tmp_path)
    rp = Rp(controller, (tmp_path / "client.crt", tmp_path / "client.key"))
    rp.authorize()
    token = rp.tokens(rp.login("cert"))["access_token"]
    request, private = csr()
    path = f"{CLIENT}/current-identity/authenticators/{peek(token)['z_authid']}"
    headers = {"Authorization": f"Bearer {token}"}
    made = rp.http("POST", f"{path}/extend", json={"clientCertCsr": request}, headers=headers).json()["data"]
    issued = read_chain(made["clientCert"], private)
    answer = rp.http("POST", f"{path}/extend-verify", json={"clientCert": made["clientCert"]}, headers=headers)
    assert answer.status_code == 200
    renewed = Rp(controller, issued.write(tmp_path, "renewed"))
    assert renewed.get(ME, token).status_code == 200


def test_a_csr_at_login_binds_the_session_to_a_fresh_certificate(controller: Controller, user, tmp_path):
    request, private = csr()
    rp = Rp(controller)
    rp.authorize()
    tokens = rp.tokens(rp.login(**user[1], csrPem=request))
    issued = read_chain(tokens["session_cert"], private)
    claims = peek(tokens["access_token"])
    assert claims["z_cfs"] == [issued.fingerprint]
    assert "z_acf" not in claims
    assert rp.get(ME, tokens["access_token"]).status_code == 401
    bound = Rp(controller, issued.write(tmp_path, "bound"))
    assert bound.get(ME, tokens["access_token"]).status_code == 200
    again, private = csr()
    fresh = bound.refresh(tokens["refresh_token"], csr_pem=again).json()
    turned = read_chain(fresh["session_cert"], private)
    assert peek(fresh["access_token"])["z_cfs"] == [turned.fingerprint]
    rotated = Rp(controller, turned.write(tmp_path, "rotated"))
    assert rotated.get(ME, fresh["access_token"]).status_code == 200
    assert bound.refresh(fresh["refresh_token"], csr_pem="garbage").status_code == 400


def test_a_bad_csr_is_refused_before_anything_is_made(controller: Controller, user):
    rp = Rp(controller)
    rp.authorize()
    answer = rp.login(**user[1], csrPem="garbage")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_the_c_sdk_posts_authorize_and_names_the_request_in_the_query(controller: Controller, api: Api, tmp_path):
    key, _, _ = certified(controller, api, tmp_path)
    rp = Rp(controller, (tmp_path / "client.crt", tmp_path / "client.key"))
    redirect = "http://localhost:20314/auth/callback"
    query = {
        "client_id": "openziti",
        "scope": SCOPE,
        "response_type": "code",
        "redirect_uri": redirect,
        "code_challenge": create_s256_code_challenge(rp.verifier),
        "code_challenge_method": "S256",
        "state": "s",
        "audience": "openziti",
    }
    began = rp.http("POST", "/oidc/authorize", params=query)
    request = began.headers["Location"].partition("authRequestID=")[2]
    body = {"sdkInfo": {"type": "ziti-sdk-c", "version": "1.18.7"}, "envInfo": {"os": "Linux"}}
    url = rp.callback(rp.http("POST", f"/oidc/login/cert?id={request}", json=body))
    form = {"code": url.partition("code=")[2].partition("&")[0], "state": "s", "redirect_uri": redirect}
    tokens = rp.token(grant_type="authorization_code", code_verifier=rp.verifier, **form).json()
    me = rp.get(ME, tokens["access_token"]).json()["data"]
    assert (me["id"], me["sdkInfo"]["type"], me["envInfo"]) == (key, "ziti-sdk-c", {"os": "Linux"})
    basic = {"Authorization": "Basic " + b64encode(b"openziti:").decode()}
    form = {"client_id": "openziti", "grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert rp.http("POST", "/oidc/oauth/token", data=form, headers=basic).status_code == 200


# --- second factors


def with_totp(controller: Controller, name: str, password: str) -> pyotp.TOTP:
    session = controller.api().on(CLIENT).login(name, password)
    session.post("/current-identity/mfa").ok(201)
    found = pyotp.parse_uri(session.get("/current-identity/mfa").ok()["provisioningUrl"])
    assert isinstance(found, pyotp.TOTP)
    session.post("/current-identity/mfa/verify", {"code": found.now()}).ok()
    return found


def test_totp_comes_between_the_password_and_the_code(controller: Controller, user):
    credentials = user[1]
    totp = with_totp(controller, credentials["username"], credentials["password"])
    rp = Rp(controller)
    rp.authorize()
    asked = rp.login(**credentials)
    assert (asked.status_code, asked.headers["totp-required"]) == (200, "true")
    (query,) = asked.json()["authQueries"]
    assert (query["typeId"], query["isTotpEnrolled"]) == ("TOTP", True)
    back = rp.http("GET", f"/oidc/authorize/callback?id={rp.request}")
    assert "error=interaction_required" in back.headers["Location"]
    wrong = f"{(int(totp.now()) + 1) % 1_000_000:06d}"
    if wrong not in {totp.at(int(time.time()) + step) for step in (-30, 30)}:
        assert rp.login(path="/oidc/login/totp", code=wrong).json()["code"] == "INVALID TOTP CODE"
    tokens = rp.tokens(rp.login(path="/oidc/login/totp", code=totp.now()))
    assert peek(tokens["access_token"])["amr"] == ["password", "totp"]
    assert rp.get(SESSION, tokens["access_token"]).json()["data"]["isMfaComplete"] is True
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    proof = rp.http("POST", f"{SESSION}/totp-token", json={"code": totp.now()}, headers=headers).json()["data"]
    assert peek(proof["token"])["sub"] == user[0]
    assert rp.get(ME, proof["token"]).status_code == 401


def test_one_persons_code_does_not_complete_anothers_login(controller: Controller, api: Api, user):
    """The request is logged in by A, then by B: A's second factor counts for A only."""
    _, name, password = with_password(api)
    mine = with_totp(controller, name, password)
    with_totp(controller, user[1]["username"], user[1]["password"])
    rp = Rp(controller)
    rp.authorize()
    rp.login(username=name, password=password)
    rp.login(**user[1])
    answer = rp.login(path="/oidc/login/totp", code=mine.now())
    assert answer.status_code == 400


def test_a_code_before_the_password_is_nothing(controller: Controller):
    rp = Rp(controller)
    rp.authorize()
    assert rp.login(path="/oidc/login/totp", code="123456").status_code == 401


def test_a_policy_that_requires_totp_enrolls_during_the_login(controller: Controller, api: Api):
    primary = api.detail("/auth-policies", "default")["primary"]
    policy = api.create(
        "/auth-policies", {"name": unique("policy"), "primary": primary, "secondary": {"requireTotp": True}}
    )
    _, name, password = with_password(api, authPolicyId=policy)
    rp = Rp(controller)
    rp.authorize()
    (query,) = rp.login(username=name, password=password).json()["authQueries"]
    assert query["isTotpEnrolled"] is False
    made = rp.http("POST", "/oidc/login/totp/enroll", json={"id": rp.request})
    assert made.status_code == 201
    totp = pyotp.parse_uri(made.json()["provisioningUrl"])
    assert isinstance(totp, pyotp.TOTP)
    answer = rp.http("POST", "/oidc/login/totp/enroll/verify", json={"id": rp.request, "code": totp.now()})
    assert rp.get(ME, rp.tokens(answer)["access_token"]).status_code == 200


def test_wrong_passwords_count_for_the_lockout(controller: Controller, api: Api):
    default = api.detail("/auth-policies", "default")
    primary = {**default["primary"], "updb": {**default["primary"]["updb"], "maxAttempts": 2}}
    body = {"name": unique("policy"), "primary": primary, "secondary": default["secondary"]}
    _, name, password = with_password(api, authPolicyId=api.create("/auth-policies", body))
    rp = Rp(controller)
    rp.authorize()
    answers = [rp.login(username=name, password=p).status_code for p in ("wrong-1", "wrong-2", password)]
    assert answers == [401, 401, 401]


def test_no_token_or_code_is_logged(controller: Controller, user):
    rp = Rp(controller)
    rp.authorize()
    url = rp.callback(rp.login(**user[1]))
    code = parse_qs(urlsplit(url).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
    tokens = rp.token(**form, code_verifier=rp.verifier).json()
    rp.get(ME, tokens["access_token"])
    text = controller.stderr()
    secret = (code, user[1]["password"], tokens["access_token"], tokens["refresh_token"])
    assert not [value for value in secret if value in text]
