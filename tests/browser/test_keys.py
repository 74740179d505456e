"""The page of a device: its keys, and what can be done about each."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.controllers import Api, Controller
from tests.flows import enroll_ott, pending
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
