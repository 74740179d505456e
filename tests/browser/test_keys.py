"""The page of a device: its keys, and what can be done about each."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.certificates import CA, csr
from tests.controllers import CLIENT, Api, Controller
from tests.flows import certified, client_with, enroll_ott, import_ca, pending, unique
from wire.resource import OWN


@pytest.fixture
def joined(controller: Controller, api: Api, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """A device that has joined, and its authenticator."""
    key, e = pending(api, "ott")
    enroll_ott(controller, e["token"], tmp_path)
    [held] = api.get(f"/identities/{key}/authenticators").ok()
    return key, held


def test_the_certificate_is_shown_with_its_fingerprints(visit, controller: Controller, joined):
    key, held = joined
    card = visit(controller, f"/identities/{key}").locator(".key")
    der = ssl.PEM_cert_to_DER_cert(
        held["certPem"].partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    )
    sha256 = hashlib.sha256(der).hexdigest().upper()
    expect(card).to_contain_text(":".join(sha256[i : i + 2] for i in range(0, 64, 2)))
    expect(card).to_contain_text("CN=")
    expect(card.locator(".validity")).to_be_visible()


def test_it_is_asked_for_a_new_key(visit, controller: Controller, api: Api, joined):
    page = visit(controller, f"/identities/{joined[0]}")
    page.get_by_role("button", name="Ask for a new key").click()
    expect(page.locator(".key")).to_contain_text("asked for a new key")
    [held] = api.get(f"/identities/{joined[0]}/authenticators").ok()
    assert held["isKeyRollRequested"] is True


def test_it_is_blocked(visit, controller: Controller, api: Api, joined):
    page = visit(controller, f"/identities/{joined[0]}")
    page.get_by_role("button", name="Block this certificate").click()
    page.get_by_label("Reason").fill("stolen")
    page.get_by_role("button", name="Block it").click()
    expect(page.locator(".key .state").first).to_have_text("blocked")
    [row] = api.on(OWN).get("/blocked-certificates", filter=f'fingerprint = "{joined[1]["fingerprint"]}"').ok()
    assert row["reason"] == "stolen"


def test_it_has_to_join_again(visit, controller: Controller, api: Api, joined):
    page = visit(controller, f"/identities/{joined[0]}")
    page.get_by_role("button", name="Re-enroll").click()
    page.get_by_role("dialog").get_by_role("button", name="Re-enroll", exact=True).click()
    expect(page.locator(".token-list")).to_contain_text("waiting")
    assert api.detail("/identities", joined[0])["enrollment"]["ott"]["token"]
    assert api.get(f"/identities/{joined[0]}/authenticators").ok() == []


@pytest.mark.parametrize("method", ["ottca", "updb"])
def test_it_gets_another_token_of_a_chosen_method(visit, controller: Controller, api: Api, joined, method: str):
    """What it has goes on working; a method of which it has a token that works cannot be chosen."""
    key, held = joined
    ca = import_ca(api, CA.root(f"Second {method}"), name=unique("second"))
    page = visit(controller, f"/identities/{key}")
    page.get_by_role("button", name="Another token …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("goes on working")
    user = unique("user")
    if method == "ottca":
        dialog.get_by_role("radio", name="token and certificate").check()
        dialog.get_by_role("combobox", name="Authority").select_option(ca)
    else:
        dialog.get_by_role("radio", name="user name and password").check()
        dialog.get_by_role("textbox", name="User name").fill(user)
    dialog.get_by_role("button", name="Make the token").click()
    expect(page.locator(".token-list")).to_contain_text("waiting")
    made = api.detail("/identities", key)["enrollment"][method]
    assert made["caId"] == ca if method == "ottca" else made["token"]
    assert [a["id"] for a in api.get(f"/identities/{key}/authenticators").ok()] == [held["id"]]
    page.get_by_role("button", name="Another token …").click()
    taken = dialog.get_by_role("radio", name="token and certificate" if method == "ottca" else "user name and password")
    expect(taken).to_be_disabled()


def test_every_extension_is_listed(visit, controller: Controller, api: Api, tmp_path: Path):
    key, issued, _ = certified(controller, api, tmp_path)
    client = client_with(controller, issued, tmp_path).on(CLIENT).login_by_certificate()
    [held] = api.get(f"/identities/{key}/authenticators").ok()
    for _ in range(3):
        pem, _private = csr()
        answer = client.post(f"/current-identity/authenticators/{held['id']}/extend", {"clientCertCsr": pem})
        assert answer.status == 200
    client.post(f"/current-identity/authenticators/{held['id']}/extend", {"clientCertCsr": "no request"})
    page = visit(controller, f"/identities/{key}")
    page.get_by_text("Extensions: 3 times, 1 refused").click()
    expect(page.locator(".extensions li")).to_have_count(4)
    expect(page.locator(".extensions li").first).to_contain_text("refused")
