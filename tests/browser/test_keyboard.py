"""Everything by keyboard: shortcuts, palette, focus order, menus, dialogs that give the focus back."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import PHONE, settled, title
from tests.controllers import Controller


@pytest.fixture
def devices(visit, network: Controller, made) -> Page:
    page: Page = visit(network, "/identities")
    settled(page)
    return page


def test_single_keys(devices: Page):
    devices.keyboard.press("/")
    expect(devices.get_by_label("Filter devices")).to_be_focused()
    devices.keyboard.press("Escape")
    for _ in range(2):
        devices.keyboard.press("j")
    expect(devices.locator("table.rows tbody tr").nth(1).locator(".main-link")).to_be_focused()
    devices.keyboard.press("x")
    expect(devices.locator(".bulk-bar")).to_contain_text("1 selected")
    devices.keyboard.press("e")
    expect(devices.get_by_role("button", name="Save …")).to_be_visible()
    devices.keyboard.press("Tab")
    devices.locator("h1").focus()
    devices.keyboard.press("g")
    devices.keyboard.press("s")
    expect(title(devices, "Services")).to_be_visible()
    devices.keyboard.press("n")
    expect(title(devices, "New service")).to_be_visible()
    expect(devices.get_by_label("Name", exact=True)).to_be_focused()
    devices.keyboard.type("g d is text here")
    expect(devices.get_by_label("Name", exact=True)).to_have_value("g d is text here")


def test_the_palette_does_and_finds(devices: Page):
    devices.keyboard.press("Control+K")
    field = devices.get_by_role("combobox", name="Do or find")
    expect(field).to_be_focused()
    field.fill("posture")
    options = devices.get_by_role("dialog").get_by_role("option")
    expect(options.first).to_contain_text("Posture checks")
    field.press("Enter")
    expect(title(devices, "Posture checks")).to_be_visible()
    devices.keyboard.press("Control+K")
    field.fill("box-0007")
    expect(options.filter(has_text="box-0007")).to_be_visible()
    field.press("Enter")
    expect(title(devices, "box-0007")).to_be_visible()


def test_all_keys_are_told_and_single_ones_can_be_switched_off(devices: Page):
    devices.keyboard.press("?")
    dialog = devices.get_by_role("dialog", name="Keys")
    expect(dialog).to_contain_text("Go to Devices")
    dialog.get_by_role("switch", name="Single keys are shortcuts").uncheck()
    devices.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    devices.keyboard.press("?")
    expect(dialog).to_have_count(0)
    devices.keyboard.press("Control+K")
    expect(devices.get_by_role("dialog", name="Do or find")).to_be_visible()


def test_menus_and_dialogs_take_the_focus_and_give_it_back(devices: Page):
    button = devices.get_by_role("button", name="Actions for box-0007")
    button.focus()
    devices.keyboard.press("Enter")
    expect(devices.get_by_role("menuitem", name="Edit")).to_be_focused()
    devices.keyboard.press("ArrowUp")
    expect(devices.get_by_role("menuitem", name="Delete")).to_be_focused()
    devices.keyboard.press("Escape")
    expect(button).to_be_focused()
    devices.keyboard.press("Enter")
    expect(devices.get_by_role("menuitem", name="Edit")).to_be_focused()
    devices.keyboard.press("End")
    devices.keyboard.press("Enter")
    expect(devices.get_by_role("dialog", name="Delete box-0007?")).to_be_visible()
    expect(devices.get_by_role("button", name="Cancel")).to_be_focused()
    devices.keyboard.press("Escape")
    expect(devices.get_by_role("dialog")).to_have_count(0)
    expect(button).to_be_focused()


@pytest.mark.parametrize("path", ["/overview", "/identities?limit=25", "/services/new", "/about"])
def test_tab_reaches_everything_that_can_be_pressed_and_is_seen(visit, network: Controller, made, path: str):
    page = visit(network, path)
    settled(page)
    wanted = page.evaluate(
        """() => {
          const kinds = "a[href], button, input, select, textarea, summary, [tabindex='0']";
          const isShown = (e) => e.tabIndex >= 0 && !e.disabled && e.checkVisibility({ visibilityProperty: true });
          const radios = new Set();
          const isFirst = (e) => e.type !== "radio" || (!radios.has(e.name) && radios.add(e.name));
          const wanted = [...document.querySelectorAll(kinds)].filter(isShown).filter(isFirst);
          wanted.forEach((e) => (e.dataset.wanted = "1"));
          document.activeElement.blur();
          return wanted.length;
        }"""
    )
    assert wanted > 15
    unseen = []
    for _ in range(wanted + 30):
        page.keyboard.press("Tab")
        unseen += page.evaluate(
            """() => {
              const e = document.activeElement;
              if (!e || e === document.body) return [];
              delete e.dataset.wanted;
              const group = e.type === "radio" ? document.querySelectorAll(`[name="${e.name}"]`) : [];
              group.forEach((r) => delete r.dataset.wanted);
              const ring = [e, e.parentElement].some((one) => getComputedStyle(one).outlineStyle !== "none");
              return ring ? [] : [e.outerHTML.slice(0, 120)];
            }"""
        )
    left = page.evaluate("[...document.querySelectorAll('[data-wanted]')].map((e) => e.outerHTML.slice(0, 120))")
    assert left == []
    assert unseen == []


def test_on_a_phone_everything_is_reached_from_the_bottom(visit, network: Controller, made):
    page = visit(network, "/overview", viewport=PHONE, has_touch=True, is_mobile=True)
    settled(page)
    page.get_by_role("navigation", name="Main places").get_by_role("link", name="Devices").tap()
    expect(title(page, "Devices")).to_be_visible()
    page.get_by_role("button", name="More", exact=True).tap()
    page.get_by_role("dialog", name="All pages").get_by_role("link", name="Service policies").tap()
    expect(title(page, "Service policies")).to_be_visible()
    sizes = page.evaluate(
        "[...document.querySelectorAll('.bottom a, .bottom button')].map((e) => e.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 44


def test_the_theme_follows_the_system_until_one_is_chosen(visit, network: Controller, made):
    page = visit(network, "/about", color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.emulate_media(color_scheme="light")
    assert page.evaluate(paper) != dark
    page.get_by_label("dark", exact=True).check()
    assert page.evaluate(paper) == dark
    page.reload()
    settled(page)
    assert page.evaluate(paper) == dark
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
