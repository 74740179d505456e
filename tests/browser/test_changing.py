"""Changing things: the difference before it is saved, conflicts, errors at their field, JSON, hostile names."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from tests.browser.demo import HOSTILE
from tests.browser.pages import go, held_back, hold_back, settled, title
from tests.controllers import Api, Controller
from tests.flows import unique, wait_until
from wire.resource import OWN


@pytest.fixture
def service(api: Api) -> tuple[str, str]:
    """A service's id and name."""
    name = unique("service")
    return api.create("/services", {"name": name, "encryptionRequired": True, "roleAttributes": ["one"]}), name


def edit(visit, controller: Controller, service: tuple[str, str]) -> Page:
    page: Page = visit(controller, f"/services/{service[0]}/edit")
    expect(page.get_by_label("Name", exact=True)).to_have_value(service[1])
    return page


def add_attribute(page: Page, word: str) -> None:
    page.get_by_label("Attributes", exact=True).fill(word)
    page.get_by_label("Attributes", exact=True).press("Enter")


def test_what_is_made_is_what_was_filled_in(visit, controller: Controller, api: Api):
    page = visit(controller, "/service-policies/new")
    name = unique("policy")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Kind").select_option("Bind")
    page.get_by_label("Devices", exact=True).fill("lab")
    page.get_by_label("Devices", exact=True).press("Enter")
    page.get_by_role("button", name="Create this service policy").click()
    expect(title(page, name)).to_be_visible()
    made = api.get("/service-policies", filter=f'name = "{name}"').ok()[0]
    assert (made["type"], made["semantic"], made["identityRoles"]) == ("Bind", "AnyOf", ["#lab"])


def test_the_difference_is_shown_before_it_is_saved_and_can_be_undone(visit, controller: Controller, api: Api, service):
    page = edit(visit, controller, service)
    add_attribute(page, "two")
    page.get_by_role("button", name="Save …").click()
    dialog = page.get_by_role("dialog", name=f"Save {service[1]}?")
    expect(dialog.locator("del")).to_have_text("one")
    expect(dialog.locator("ins")).to_contain_text("two")
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator(".toast")).to_contain_text("is saved")
    assert api.detail("/services", service[0])["roleAttributes"] == ["one", "two"]
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".toast")).to_contain_text("is as it was")
    assert api.detail("/services", service[0])["roleAttributes"] == ["one"]


def test_who_was_faster_is_not_overwritten(visit, controller: Controller, api: Api, service, watched):
    watched.allowed.add(412)
    page = edit(visit, controller, service)
    api.patch(f"/services/{service[0]}", {"name": service[1] + "-theirs", "terminatorStrategy": "random"}).ok()
    add_attribute(page, "mine")
    page.get_by_label("Name", exact=True).fill(service[1] + "-mine")
    page.get_by_role("button", name="Save …").click()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    dialog = page.get_by_role("dialog", name="Changed by somebody else")
    expect(dialog.get_by_role("group", name="Name")).to_contain_text(service[1] + "-theirs")
    expect(dialog).to_contain_text("only you changed them: Attributes")
    dialog.get_by_role("radio", name="Theirs").check()
    dialog.get_by_role("button", name="Save the merged").click()
    expect(title(page, service[1] + "-theirs")).to_be_visible()
    now = api.detail("/services", service[0])
    assert (now["name"], now["roleAttributes"], now["terminatorStrategy"]) == (
        service[1] + "-theirs",
        ["mine", "one"],
        "random",
    )


def test_an_error_stands_beside_its_field(visit, controller: Controller, service, watched):
    watched.allowed.add(400)
    page = visit(controller, "/services/new")
    page.get_by_role("button", name="Create this service").click()
    expect(page.get_by_label("Name", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.get_by_label("Name", exact=True).fill(service[1])
    page.get_by_role("button", name="Create this service").click()
    note = page.locator(".field", has=page.get_by_label("Name", exact=True)).get_by_role("alert")
    expect(note).to_contain_text("unique")
    expect(note).to_contain_text("request id")


def test_json_is_edited_with_the_line_that_is_wrong(visit, controller: Controller, api: Api, service):
    page = edit(visit, controller, service)
    page.get_by_role("button", name="JSON", exact=True).click()
    area = page.get_by_label("JSON", exact=True)
    good = json.loads(area.input_value())
    area.fill('{\n  "name": "x"\n  "tags": {}\n}')
    page.get_by_role("button", name="Save …").click()
    expect(page.locator(".field-note")).to_contain_text("Line 3")
    area.fill(json.dumps({**good, "tags": {"floor": 3}}))
    page.get_by_role("button", name="Form", exact=True).click()
    expect(page.get_by_label("Name of the tag")).to_have_value("floor")
    page.get_by_role("button", name="Save …").click()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.locator(".toast")).to_contain_text("is saved")
    assert api.detail("/services", service[0])["tags"] == {"floor": 3}


def test_deleting_says_what_goes_with_it(visit, network: Controller, network_api: Api, made):
    page = visit(network, f"/services/{made.first('services')}")
    settled(page)
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete erp?")
    expect(dialog.locator(".consequences")).to_contain_text("32 devices lose access")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    dialog.get_by_role("button", name="Cancel").click()
    assert network_api.detail("/services", made.first("services"))["name"] == "erp"


def exists(api: Api, key: str) -> bool:
    return api.get(f"/services/{key}").status == 200


def delete_on_its_page(page: Page, name: str) -> None:
    settled(page)
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Delete").click()
    dialog = page.get_by_role("dialog", name=f"Delete {name}?")
    expect(dialog).to_contain_text("For ten seconds it can still be kept")
    dialog.get_by_role("button", name="Delete this service").click()
    expect(title(page, "Services")).to_be_visible()


def test_a_deletion_waits_and_can_be_called_off(visit, controller: Controller, api: Api, service):
    key, name = service
    page = visit(controller, f"/services/{key}")
    page.clock.install()
    delete_on_its_page(page, name)
    row = page.locator("tr.going", has_text=name)
    expect(row).to_be_visible()
    page.clock.run_for(8000)
    assert exists(api, key)
    page.locator(".toast.waiting").get_by_role("button", name="Keep it").click()
    expect(row).to_have_count(0)
    page.clock.run_for(20_000)
    assert exists(api, key)
    go(page, f"/services/{key}")
    delete_on_its_page(page, name)
    go(page, f"/services/{key}")
    expect(page.get_by_text("is deleted in a few seconds")).to_be_visible()
    go(page, "/services")
    page.clock.run_for(11_000)
    expect(page.locator(".toast.good").last).to_contain_text(f"{name} is deleted")
    assert not exists(api, key)


def test_leaving_the_page_sends_what_waits(visit, controller: Controller, api: Api, service):
    key, name = service
    page = visit(controller, f"/services/{key}")
    delete_on_its_page(page, name)
    assert exists(api, key)
    page.goto("about:blank")
    wait_until(lambda: not exists(api, key))


def test_a_device_is_disabled_and_enabled(visit, controller: Controller, api: Api):
    name = unique("device")
    key = api.create("/identities", {"name": name, "type": "Device", "isAdmin": False})
    page = visit(controller, f"/identities/{key}")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Disable").click()
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    expect(page.locator(".page-title .state")).to_have_text("disabled")
    assert api.detail("/identities", key)["disabled"] is True


def test_an_answer_from_before_a_change_is_not_shown_after_it(visit, controller: Controller, api: Api):
    """While the page reads because of somebody else's change, the person makes one: who asks the same gets the same
    answer otherwise."""
    name = unique("device")
    key = api.create("/identities", {"name": name, "type": "Device", "isAdmin": False})
    page = visit(controller, f"/identities/{key}")
    settled(page)
    old: list[tuple[Route, APIResponse]] = []

    def keep(route: Route) -> None:
        old.append((route, route.fetch()))

    page.route(re.compile(f"{OWN}/identities/{key}$"), keep, times=1)
    api.patch(f"/identities/{key}", {"roleAttributes": ["first"]}).ok()
    wait_until(lambda: page.title() and old)
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Disable").click()
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    expect(page.locator(".page-title .state")).to_have_text("disabled")
    [(route, answer)] = old
    with page.expect_response(re.compile(f"{OWN}/identities/{key}$")):
        route.fulfill(response=answer)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    expect(page.locator(".page-title .state")).to_have_text("disabled")


def test_news_take_no_open_menu_and_no_focus_away(visit, controller: Controller, api: Api):
    """Somebody else changes the device while its page is open, and once more while that is being read."""
    name = unique("device")
    key = api.create("/identities", {"name": name, "type": "Device", "isAdmin": False})
    page = visit(controller, f"/identities/{key}")
    more = page.get_by_role("button", name="More actions")
    more.focus()
    api.patch(f"/identities/{key}", {"roleAttributes": ["first"]}).ok()
    expect(page.get_by_role("link", name="#first")).to_be_visible()
    expect(more).to_be_focused()

    held = hold_back(page, f"management/v1/identities/{key}$")
    api.patch(f"/identities/{key}", {"roleAttributes": ["second"]}).ok()
    read = held_back(page, held)
    more.click()
    menu = page.get_by_role("menuitem", name="Disable")
    expect(menu).to_be_visible()
    with page.expect_response(lambda r: r.url.endswith(f"management/v1/identities/{key}")):
        read.continue_()
    page.unroute_all()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    expect(menu).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="#second")).to_be_visible()


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_hostile_name_is_only_a_name(visit, network: Controller, made, number: int):
    """In the list, on its page, in the palette, in questions, in messages."""
    name = HOSTILE[number]
    key = made.ids["identities"][number - len(HOSTILE)]
    page = visit(network, f"/identities/{key}")
    expect(title(page, name)).to_be_visible()
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page.get_by_role("dialog")).to_contain_text(name)
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Disable").click()
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    expect(page.locator(".toast")).to_contain_text(name)
    # The menu is made from what the page shows.
    expect(page.locator("main").get_by_text("disabled", exact=True).first).to_be_visible()
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Enable").click()
    go(page, "/identities?limit=100")
    expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
    page.keyboard.press("Control+K")
    page.get_by_label("Do or find").last.fill(name[:20])
    expect(page.get_by_role("option").filter(has_text=name)).to_be_visible()
    assert page.locator("main img, main script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
