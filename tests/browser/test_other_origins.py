"""An application in a browser, served from elsewhere: it logs its user in by OIDC and uses the client API."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from playwright.sync_api import Page, expect

from tests.controllers import Api, Controller
from tests.flows import with_password

# As a single-page application does it: everything by fetch, and only what the browser lets it read comes back.
FETCH = """async ([url, init]) => {
  const answer = await fetch(url, init);
  return { status: answer.status, body: await answer.json() };
}"""


class App(BaseHTTPRequestHandler):
    """One empty page at every address."""

    def do_GET(self) -> None:
        """Answer with the page."""
        page = b"<!doctype html><title>app</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def app() -> Iterator[str]:
    """The origin of the application."""
    with ThreadingHTTPServer(("127.0.0.1", 0), App) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


@pytest.fixture
def page(browser, watched, app: str) -> Iterator[Page]:
    """The application, opened."""
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    watched.attach(page)
    page.goto(app)
    yield page
    context.close()


def fetched(page: Page, url: str, **init: Any) -> dict[str, Any]:
    """What the application gets to read."""
    found: dict[str, Any] = page.evaluate(FETCH, [url, init])
    return found


def test_a_single_page_application_logs_in(page: Page, app: str, controller: Controller, api: Api):
    key, user, password = with_password(api)
    discovered = fetched(page, f"{controller.url}/oidc/.well-known/openid-configuration", credentials="include")["body"]
    assert fetched(page, discovered["jwks_uri"])["body"]["keys"]
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(12)
    wanted = {
        "client_id": "openziti",
        "response_type": "code",
        "redirect_uri": f"{app}/auth/callback",
        "scope": "openid offline_access",
        "state": state,
        "code_challenge": create_s256_code_challenge(verifier),
        "code_challenge_method": "S256",
    }
    page.goto(f"{discovered['authorization_endpoint']}?{urlencode(wanted)}")
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button").click()
    expect(page).to_have_title("app")
    back = parse_qs(urlsplit(page.url).query)
    assert back["state"] == [state]
    form = {
        "grant_type": "authorization_code",
        "code": back["code"][0],
        "redirect_uri": wanted["redirect_uri"],
        "client_id": "openziti",
        "code_verifier": verifier,
    }
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    tokens = fetched(page, discovered["token_endpoint"], method="POST", headers=kind, body=urlencode(form))["body"]
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert fetched(page, discovered["userinfo_endpoint"], headers=bearer)["body"]["sub"] == key
    me = fetched(page, f"{controller.url}/edge/client/v1/current-identity", headers=bearer)
    assert me["body"]["data"]["id"] == key


def test_the_login_pages_are_for_themselves_alone(page: Page, controller: Controller, watched):
    reason = page.evaluate(
        "(url) => fetch(url).then(() => '', (error) => error.name)", f"{controller.url}/oidc/login/username"
    )
    assert reason == "TypeError"
    refused = [p for p in watched.problems if "blocked by CORS policy" in p or "ERR_FAILED" in p or "400" in p]
    assert refused
    assert refused == watched.problems
    watched.problems.clear()
