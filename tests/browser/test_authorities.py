"""Importing an authority step by step, following the page to the letter, until a device is in, and out again."""

from __future__ import annotations

import re
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.demo import HOSTILE
from tests.browser.pages import go, settled, title
from tests.certificates import CA
from tests.controllers import Api, Controller
from tests.flows import by_name, client_with, enroll, import_ca, login, unique
from tests.openssl import Files, Maker

OWN = "/zitilite/v1"


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def drop(zone: Locator, path: Path) -> None:
    """Let go of a file above a place, as a mouse does."""
    transfer = zone.page.evaluate_handle(
        """([name, content]) => {
          const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], name));
          return transfer;
        }""",
        [path.name, b64encode(path.read_bytes()).decode()],
    )
    zone.dispatch_event("drop", {"dataTransfer": transfer})


def shell(command: str, folder: Path) -> None:
    """Do in a shell what the page says."""
    subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, check=True, capture_output=True, timeout=60)


def bring(page: Page, path: Path, name: str) -> None:
    """Steps 1 and 2, up to the proof."""
    drop(page.get_by_role("group", name="the certificate"), path)
    page.get_by_role("button", name="Go on to the rules").click()
    page.get_by_label("Name", exact=True).fill(name)


def test_an_authority_is_imported_by_following_the_page(visit, controller: Controller, api: Api, maker: Maker):
    """Drop, rules, the page's own command in a shell, the checklist, verified, tried; a device; connections off."""
    root, name = maker.root("ca"), unique("lab")
    page: Page = visit(controller, "/cas/new")
    drop(page.get_by_role("group", name="the certificate"), root.certificate)
    expect(page.locator(".certificate")).to_contain_text("CN=ca")
    expect(page.locator(".certificate")).to_contain_text("itself (a root)")
    page.get_by_role("button", name="Go on to the rules").click()
    page.get_by_label("Name", exact=True).fill(name)
    expect(page.get_by_label("join with a token")).to_be_checked()
    expect(page.get_by_label("connect", exact=True)).to_be_checked()
    page.get_by_role("checkbox", name="join by themselves").check()
    page.get_by_label("Attributes of those").fill("bench")
    page.get_by_label("Attributes of those").press("Enter")
    expect(page.locator(".sentence")).to_contain_text(f"joins by itself as {name}-box7 with #bench")
    expect(page.locator("[data-sample='2']")).to_have_text(f"{name}-box7000001")
    page.get_by_role("button", name="Import it and go on").click()
    expect(title(page, name)).to_be_visible()
    (ca,) = by_name(api, "/cas", name)
    assert (ca["isVerified"], ca["identityRoles"]) == (False, ["bench"])
    command = page.locator(".command pre").inner_text()
    assert ca["verificationToken"] in command
    shell(command, maker.folder)
    drop(page.get_by_role("group", name="the certificate that came of it"), maker.folder / "proof.pem")
    expect(page.locator(".checklist li[data-ok=true]")).to_have_count(5)
    assert api.detail("/cas", ca["id"])["isVerified"] is False
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("See what would happen")).to_be_visible()
    assert api.detail("/cas", ca["id"])["isVerified"] is True

    device = maker.issue("device", root, subject="/CN=box7")
    drop(page.get_by_role("group", name="the certificate of a device"), device.certificate)
    expect(page.locator(".verdict")).to_contain_text("It would be accepted")
    expect(page.locator(".verdict")).to_contain_text(f"{name}-box7")
    assert by_name(api, "/identities", f"{name}-box7") == []
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    assert page.get_by_role("img", name="QR code").evaluate("(img) => img.decode().then(() => img.naturalWidth > 0)")
    with page.expect_download() as waited:
        page.get_by_role("button", name=f"Download {name}.jwt").click()
    assert waited.value.suggested_filename == f"{name}.jwt"
    assert Path(waited.value.path()).read_text() == api.get(f"/cas/{ca['id']}/jwt").body

    joins(page, controller, device, maker, name)
    switched_off(page, controller, device, ca["id"], name)


def joins(page: Page, controller: Controller, device: Files, maker: Maker, name: str) -> None:
    """The device joins by the page's curl line, while the list is open."""
    page.get_by_role("group", name="How a device joins").get_by_role("button", name="curl").click()
    command = page.locator(".reusable .command pre").inner_text()
    (maker.folder / "controller-ca.pem").write_text(controller.ca_pem())
    go(page, "/identities?limit=500")
    expect(page.get_by_role("link", name=f"{name}-box7", exact=True)).to_have_count(0)
    shell(command.replace("--cert", "--fail-with-body --cert"), maker.folder)
    expect(page.locator(".pill")).to_be_visible(timeout=20_000)
    page.locator(".pill").click()
    expect(page.get_by_role("link", name=f"{name}-box7", exact=True)).to_be_visible()
    assert device.certificate.exists()


def switched_off(page: Page, controller: Controller, device: Files, ca: str, name: str) -> None:
    """The page says how many it concerns; then the device is out."""
    client = controller.api((device.certificate, device.key))
    login(client).ok()
    go(page, f"/cas/{ca}")
    page.get_by_role("switch", name="connect", exact=True).click()
    dialog = page.get_by_role("dialog", name="No longer let devices connect?")
    expect(dialog.locator(".consequences")).to_contain_text("1 device can connect now and then cannot")
    expect(dialog.locator(".consequences")).to_contain_text("1 session ends at once")
    dialog.get_by_role("button", name="Turn it off").click()
    expect(page.locator(".toast").last).to_contain_text(f"Devices of {name} may no longer connect")
    assert login(client).status == 401
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page.get_by_role("dialog").locator(".consequences")).to_contain_text("1 device has no other way in")


def test_a_proof_that_is_wrong_is_told_before_it_is_sent(visit, controller: Controller, api: Api, maker: Maker):
    root = maker.root("right")
    key = api.create(
        "/cas",
        {
            "name": unique("ca"),
            "certPem": root.pem,
            "identityRoles": [],
            "isAuthEnabled": True,
            "isAutoCaEnrollmentEnabled": False,
            "isOttCaEnrollmentEnabled": True,
        },
    )
    page: Page = visit(controller, f"/cas/{key}")
    expect(page.get_by_text("2 of 4 steps are done")).to_be_visible()
    page.get_by_role("link", name="Prove it").click()
    zone = page.get_by_role("group", name="the certificate that came of it")
    token = api.detail("/cas", key)["verificationToken"]
    foreign = maker.issue("foreign", maker.root("wrong"), subject=f"/CN={token}")
    drop(zone, foreign.certificate)
    expect(page.locator(".checklist li[data-ok=false]")).to_contain_text("CN=wrong")
    expect(page.get_by_role("button", name="Verify")).to_be_disabled()
    middle = maker.intermediate("middle", root)
    proof = maker.issue("proof", middle, subject=f"/CN={token}")
    chain = maker.folder / "chain.pem"
    chain.write_text(root.pem + proof.pem + middle.pem)
    drop(zone, chain)
    expect(page.locator(".checklist li[data-ok=true]")).to_have_count(5)
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("See what would happen")).to_be_visible()
    assert api.detail("/cas", key)["isVerified"] is True


def test_steps_are_left_and_taken_up_again(visit, controller: Controller, api: Api, maker: Maker):
    name = unique("pause")
    page: Page = visit(controller, "/cas/new")
    bring(page, maker.root("pause").certificate, name)
    page.get_by_role("checkbox", name="join by themselves").check()
    go(page, "/cas")
    go(page, "/cas/new?step=2")
    expect(page.get_by_label("Name", exact=True)).to_have_value(name)
    expect(page.get_by_role("checkbox", name="join by themselves")).to_be_checked()
    page.get_by_role("button", name="Import it and go on").click()
    expect(title(page, name)).to_be_visible()
    go(page, f'/cas?filter=name = "{name}"')
    expect(page.locator("table.rows")).to_contain_text("2 of 4")


def test_a_key_never_leaves_the_browser(visit, controller: Controller, maker: Maker):
    root = maker.root("secret")
    sent: list[str] = []
    page: Page = visit(controller, "/cas/new")
    page.on("request", lambda request: sent.append(request.post_data or ""))
    zone = page.get_by_role("group", name="the certificate")
    drop(zone, root.key)
    expect(page.get_by_role("alert").filter(has_text="private key")).to_contain_text("not sent anywhere")
    both = maker.folder / "both.pem"
    both.write_text(root.key.read_text() + root.pem)
    drop(zone, both)
    expect(page.locator(".certificate")).to_be_visible()
    expect(page.locator(".warnings").first).to_contain_text("stayed in this browser")
    page.locator("input[type=file]").set_input_files(maker.folder / "secret.key")
    expect(page.get_by_role("alert").filter(has_text="private key")).to_be_visible()
    assert not any("PRIVATE" in text for text in sent)


def test_names_and_warnings_follow_the_typing(visit, controller: Controller, api: Api, maker: Maker, watched):
    watched.allowed.add(400)
    page: Page = visit(controller, "/cas/new")
    page.get_by_label("or paste it").fill("Hello,\n" + maker.root("typed").pem + "bye")
    page.get_by_role("button", name="Go on to the rules").click()
    page.get_by_label("Their names").fill("bench")
    expect(page.get_by_text("Every device would get the same name")).to_be_visible()
    page.get_by_role("button", name="[commonName]").click()
    expect(page.locator("[data-sample='1']")).to_have_text("benchbox7")
    expect(page.get_by_text("Every device would get the same name")).to_have_count(0)
    page.get_by_label("Their names").fill("[commonName]-[serial]")
    expect(page.get_by_text("[serial] is no placeholder")).to_be_visible()
    taken = import_ca(api, CA.root(unique("r")), verified=False)
    page.get_by_label("Name", exact=True).fill(api.detail("/cas", taken)["name"])
    page.get_by_role("button", name="Import it and go on").click()
    expect(page.get_by_role("alert").filter(has_text="unique")).to_be_visible()


def test_blocking_and_the_revocation_list(visit, controller: Controller, api: Api, maker: Maker, tmp_path: Path):
    root = CA.root(unique("crl"))
    key = import_ca(api, root)
    device = root.leaf(unique("box"))
    client = client_with(controller, device, tmp_path)
    enroll(client, "ca").ok()
    page: Page = visit(controller, f"/cas/{key}")
    page.get_by_label("Which", exact=True).fill(device.fingerprint)
    page.get_by_label("Reason").fill("stolen")
    page.get_by_role("button", name="Block …").click()
    page.get_by_role("dialog").get_by_role("button", name="Block it").click()
    expect(page.locator(".toast").last).to_contain_text("is blocked")
    assert login(client).status == 401
    settled(page)
    made = crl(maker, root)
    drop(page.get_by_role("group", name="a newer list"), made)
    expect(page.locator(".toast").last).to_contain_text("0 certificates revoked")
    expect(page.get_by_text("Next one due")).to_be_visible()


def crl(maker: Maker, root: CA) -> Path:
    """An empty revocation list of this CA, by openssl."""
    root.write(maker.folder, "crlca")
    (maker.folder / "index.txt").write_text("")
    (maker.folder / "crl.cnf").write_text("[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ndefault_md=sha256\n")
    shell(
        "openssl ca -gencrl -config crl.cnf -cert crlca.crt -keyfile crlca.key -crldays 7 -out list.crl", maker.folder
    )
    return maker.folder / "list.crl"


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_authority_is_only_a_name(visit, controller: Controller, api: Api, maker: Maker, hostile: str):
    """As the name, in the certificate, in the name format."""
    root = CA.root(re.sub(r"[^ -~]", "?", hostile)[:60])
    wanted = (hostile + unique())[-150:]
    body: dict[str, Any] = {"name": wanted, "identityNameFormat": hostile[:60], "identityRoles": ["<b>x</b>"]}
    key = import_ca(api, root, **body)
    path = maker.folder / "root.pem"
    path.write_text(root.pem)
    page: Page = visit(controller, f"/cas/{key}/setup?step=4")
    expect(title(page, wanted)).to_be_visible()
    drop(page.get_by_role("group", name="the certificate of a device"), path)
    expect(page.locator(".verdict")).to_be_visible()
    for address in (f"/cas/{key}", f"/cas/{key}/setup?step=2", f"/cas/{key}/setup?step=3"):
        go(page, address)
        expect(title(page, wanted)).to_be_visible()
        assert page.evaluate("document.title.includes('broken')") is ("broken" in wanted)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert page.locator("main img:not(.authority-qr), main script, main b > b").count() == 0
    api.delete(f"/cas/{key}").ok()
