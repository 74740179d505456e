"""Lists: the filter box, sorting, paging, selection, live changes, speed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.demo import HOSTILE
from tests.browser.pages import go, settled, title
from tests.controllers import Api, Controller
from tests.flows import sql, unique
from wire.resource import OWN

ROWS = "table.rows tbody tr"


def box(page: Page, many: str = "devices"):
    return page.get_by_label(f"Filter {many}")


def total(page: Page):
    return page.locator(".page-title [role=status]")


@pytest.fixture
def devices(visit, network: Controller, made) -> Page:
    page: Page = visit(network, "/identities")
    settled(page)
    return page


def test_plain_words_look_into_names_and_are_escaped(devices: Page):
    box(devices).fill("quote \" '")
    box(devices).press("Enter")
    expect(devices.locator(ROWS)).to_have_count(1)
    expect(devices.locator(ROWS)).to_contain_text(HOSTILE[4])
    box(devices).fill("BOX-00")
    box(devices).press("Enter")
    expect(total(devices)).to_have_text("48 devices")
    expect(devices).to_have_url(re.compile(r"\?filter=BOX-00$"))


def test_the_filter_is_completed_from_what_is_known(devices: Page):
    field = box(devices)
    field.press_sequentially("roleAttr")
    devices.get_by_role("option", name="roleAttributes").first.click()
    expect(field).to_have_value("anyOf(roleAttributes) ")
    devices.get_by_role("option", name="= is", exact=True).click()
    field.press_sequentially('"pla')
    expect(devices.get_by_role("option", name="plant-7")).to_be_visible()
    field.press("ArrowDown")
    field.press("Enter")
    expect(field).to_have_value('anyOf(roleAttributes) = "plant-7" ')
    field.press("Escape")
    field.focus()
    field.press("Enter")
    expect(total(devices)).to_have_text("32 devices")
    chip = devices.locator(".filter-chips .chip")
    expect(chip).to_have_count(1)
    chip.get_by_role("button").click()
    expect(total(devices)).to_have_text("55 devices")


def test_what_is_only_typed_filters_nothing(devices: Page, network_api: Api):
    """News, "select all" and the copied command go by the filter that was applied."""
    box(devices).fill('name = "half')
    with devices.expect_response("**/zitilite/v1/identities?**") as looked:
        made = network_api.create("/identities", {"name": unique("0-new"), "type": "Device", "isAdmin": False})
    assert looked.value.status == 200
    assert "half" not in looked.value.url
    expect(devices.locator(".pill")).to_contain_text("1 new")
    network_api.delete(f"/identities/{made}").ok()


def test_an_error_stands_under_its_character(devices: Page, watched):
    watched.allowed.add(400)
    field = box(devices)
    field.fill('name = "a" and nmae = "b"')
    field.press("Enter")
    message = devices.locator(".filter-message")
    expect(message).to_contain_text("there is no property nmae here")
    under = devices.locator(".filter-error .caret").bounding_box()
    width = devices.evaluate(
        """(text) => { const c = document.createElement("canvas").getContext("2d");
        c.font = getComputedStyle(document.querySelector(".filter input")).font; return c.measureText(text).width; }""",
        'name = "a" and ',
    )
    beside = field.bounding_box()
    assert under is not None
    assert beside is not None
    assert abs(under["x"] - (beside["x"] + 8 + width)) < 8, (under, beside, width)
    field.fill('createdAt = "yesterday"')
    field.press("Enter")
    expect(message).to_contain_text("not supported")
    expect(devices.locator(ROWS).first).to_be_visible()


def test_what_only_the_controller_knows_is_shown_the_same_way(devices: Page, watched):
    watched.allowed.add(400)
    box(devices).fill("isAdmin > 3")
    box(devices).press("Enter")
    expect(devices.locator(".filter-message")).to_contain_text("not supported")


def test_conditions_can_be_put_together_without_typing_the_language(devices: Page):
    devices.get_by_role("button", name="Add a condition").click()
    dialog = devices.get_by_role("dialog", name="Add a condition")
    dialog.get_by_label("Property").select_option("isAdmin")
    dialog.get_by_label("Value", exact=True).fill("true")
    dialog.get_by_role("button", name="Add").click()
    expect(box(devices)).to_have_value("isAdmin = true")
    expect(total(devices)).to_have_text("1 device")


def test_sorting_and_paging_are_in_the_address(devices: Page):
    devices.get_by_label("Rows on a page").select_option("25")
    expect(devices.locator(ROWS)).to_have_count(25)
    devices.get_by_role("button", name="Next page").click()
    expect(devices.locator(".pager")).to_contain_text(re.compile("26.50 of 55"))
    head = devices.get_by_role("columnheader", name="Name")
    expect(head).to_have_attribute("aria-sort", "ascending")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(devices.locator(".pager")).to_contain_text(re.compile("^1.25 of 55"))
    url = devices.url
    first = devices.locator(f"{ROWS} .main-link").first.inner_text()
    devices.reload()
    settled(devices)
    assert devices.url == url
    expect(devices.locator(f"{ROWS} .main-link").first).to_have_text(first)


@pytest.mark.parametrize(
    "sort", ["name", "name desc", "createdAt desc", "enrollmentState", "certificateExpiresAt desc"]
)
def test_more_is_loaded_below_and_nothing_is_left_out(visit, network: Controller, network_api: Api, made, sort: str):
    """By the values of the last row: what comes before it meanwhile shifts nothing."""
    page = visit(network, f'/identities?limit=20&filter=not (name contains "early")&sort={sort}')
    settled(page)
    expect(page.locator(ROWS)).to_have_count(20)
    if sort == "name":
        network_api.create("/identities", {"name": f"0-{unique('before')}", "type": "Device", "isAdmin": False})
    seen = 20
    with page.expect_request(lambda r: "/identities?" in r.url and "limit=20" in r.url) as asked:
        page.get_by_role("button", name="Load more").click()
    assert "offset=" not in asked.value.url
    while seen < 55:
        expect(page.locator(ROWS)).not_to_have_count(seen)
        seen = page.locator(ROWS).count()
        if page.get_by_role("button", name="Load more").count():
            page.get_by_role("button", name="Load more").click()
    names = page.locator(f"{ROWS} .main-link").all_inner_texts()
    assert len(names) == len(set(names))
    listed = {i["name"] for i in network_api.every("/identities")}
    assert {n for n in listed if not n.startswith("0-")} == {n for n in names if not n.startswith("0-")}


def test_more_of_a_log_is_loaded_by_its_time(visit, controller: Controller, api: Api):
    """Rows of the same millisecond neither come twice nor get lost, though new ones come meanwhile."""
    word = unique("log")
    for n in range(45):
        api.create("/services", {"name": f"{word}-{n}", "encryptionRequired": True})
    page = visit(controller, f'/audit?limit=20&filter=entityName contains "{word}"')
    settled(page)
    api.create("/services", {"name": f"{word}-late", "encryptionRequired": True})
    for seen in (40, 45):
        page.get_by_role("button", name="Load more").click()
        expect(page.locator(ROWS)).to_have_count(seen)
    names = page.locator(f"{ROWS} .main-link").all_inner_texts()
    assert set(names) == {f"create {word}-{n}" for n in range(45)}


def test_a_view_is_saved_in_this_browser(devices: Page):
    box(devices).fill("isAdmin = true")
    box(devices).press("Enter")
    devices.get_by_role("button", name="Views").click()
    devices.get_by_role("menuitem", name="Save this view").click()
    devices.get_by_label("Name").fill("Only administrators")
    devices.get_by_role("button", name="Save").click()
    go(devices, "/identities")
    devices.get_by_role("button", name="Views").click()
    expect(devices.get_by_role("menuitem", name="Only administrators")).to_have_text("Only administrators1")
    expect(devices.get_by_role("menuitem", name="Administrators", exact=False).first).to_contain_text("1")
    expect(devices.get_by_role("menuitem", name="Disabled")).to_contain_text("2")
    devices.get_by_role("menuitem", name="Only administrators").click()
    expect(total(devices)).to_have_text("1 device")


def test_a_list_that_fails_is_not_an_empty_one(devices: Page, watched):
    watched.allowed.add(500)
    devices.route(
        "**/v1/services?**",
        lambda route: route.fulfill(
            status=500, json={"error": {"message": "broken", "code": "UNHANDLED", "requestId": "abc"}}
        ),
    )
    go(devices, "/services")
    expect(devices.get_by_role("alert").filter(has_text="could not be loaded")).to_contain_text("abc")
    expect(devices.get_by_text("No services yet")).to_have_count(0)
    devices.unroute("**/v1/services?**")
    devices.get_by_role("button", name="Try again").click()
    expect(devices.locator(ROWS).first).to_be_visible()


def test_an_empty_list_says_what_it_is_for(visit, make_controller):
    page = visit(make_controller(), "/services")
    expect(page.get_by_role("heading", name="No services yet")).to_be_visible()
    expect(page.get_by_role("link", name="New service").last).to_be_visible()


def test_many_are_changed_at_once_and_what_failed_is_tried_again(visit, controller: Controller, api: Api, watched):
    watched.allowed.add(500)
    word = unique("bulk")
    for number in range(6):
        api.create("/services", {"name": f"{word}-{number}", "encryptionRequired": True})
    page = visit(controller, f"/services?filter={word}")
    settled(page)
    page.get_by_label("Select all rows of this page").check()
    expect(page.locator(".bulk-bar")).to_contain_text("6 selected")
    page.route(
        "**/v1/services/*",
        lambda route: route.fulfill(status=500, json={"error": {"message": "not today", "code": "X"}}),
        times=2,
    )
    page.get_by_role("button", name="Attributes", exact=True).click()
    page.get_by_label("Add", exact=True).fill("fresh")
    page.get_by_label("Add", exact=True).press("Enter")
    page.get_by_role("button", name="Apply").click()
    dialog = page.get_by_role("dialog", name="Attributes: 6 services")
    expect(dialog.get_by_text("6 of 6, 2 failed")).to_be_visible()
    expect(dialog.get_by_text("not today")).to_have_count(2)
    dialog.get_by_role("button", name="Try the 2 again").click()
    expect(dialog.get_by_text("2 of 2")).to_be_visible()
    dialog.get_by_role("button", name="Close").last.click()
    assert len(api.get("/services", filter=f'name contains "{word}" and anyOf(roleAttributes) = "fresh"').ok()) == 6
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete 6").click()
    page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    expect(page.get_by_text("Nothing fits")).to_be_visible()
    assert api.get("/services", filter=f'name contains "{word}"').ok() == []


@pytest.mark.timeout(180)
def test_five_hundred_tokens_are_renewed_at_once(visit, make_controller):
    """All that fit the filter, not only those of the page; in few requests; the old tokens are void."""
    server = make_controller()
    api = server.admin()
    lines = ["name,enrollment", *(f"bulk-{n:03d},ott" for n in range(500))]
    csv = {"content-type": "text/csv"}
    made = api.on(OWN).post("/bulk", "\n".join(lines), params={"entity": "identities"}, headers=csv).ok()
    before = {r["name"]: r["enrollments"][0]["token"] for r in made["results"]}
    page = visit(server, "/identities?filter=bulk-&limit=50")
    settled(page)
    page.get_by_label("Select all rows of this page").check()
    page.get_by_role("button", name="Select all 500").click()
    expect(page.get_by_role("region", name="Selected")).to_contain_text("500 selected")
    sent: list[str] = []
    page.on("request", lambda r: sent.append(r.url) if r.method == "POST" else None)
    page.get_by_role("region", name="Selected").get_by_role("button", name="Renew tokens").click()
    page.get_by_role("dialog").get_by_role("radio", name="1 day").check()
    page.get_by_role("dialog").get_by_role("button", name="Renew", exact=True).click()
    expect(page.get_by_text("500 of 500", exact=True)).to_be_visible(timeout=60_000)
    expect(page.locator(".results li")).to_have_count(0)
    assert len(sent) == 5
    page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    after = [e for offset in (0, 250) for e in api.get("/enrollments", limit=250, offset=offset).ok()]
    assert len(after) == 500
    assert not {e["token"] for e in after} & set(before.values())
    expect(page.locator(ROWS).first).to_contain_text("23 h")


def test_changes_of_others_arrive_without_a_jump(visit, controller: Controller, api: Api):
    word = unique("live")
    first = api.create("/services", {"name": f"{word}-a", "encryptionRequired": True})
    page = visit(controller, f"/services?filter={word}")
    settled(page)
    page.get_by_label(f"Select {word}-a").check()
    api.patch(f"/services/{first}", {"name": f"{word}-renamed"}).ok()
    api.create("/services", {"name": f"{word}-b", "encryptionRequired": True})
    expect(page.locator("tr.glow")).to_contain_text(f"{word}-renamed", timeout=25_000)
    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    expect(page.locator(ROWS)).to_have_count(1)
    expect(page.get_by_label(f"Select {word}-renamed")).to_be_checked()
    page.get_by_role("button", name="1 new").click()
    expect(page.locator(ROWS)).to_have_count(2)


def add_identities(server: Controller, word: str, count: int) -> None:
    """Put so many beside the administrator's, as rows."""
    model = server.admin().get("/identities", filter="isDefaultAdmin = true").ok()[0]["id"]
    columns = [c[1] for c in sql(server, "PRAGMA table_info(identity)")]
    zero = ("is_default_admin", "is_admin")
    named = f"printf('{word}-%06d', n)"
    values = [named if c in ("id", "name") else "0" if c in zero else c for c in columns]
    sql(
        server,
        "WITH RECURSIVE counter(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < ?) "
        f"INSERT INTO identity ({', '.join(columns)}) "
        f"SELECT {', '.join(values)} FROM identity, counter WHERE identity.id = ?",
        count,
        model,
    )


def drawn(page: Page) -> tuple[int, set[str]]:
    """Go to the devices: how many elements the page then has, and which lists it asked for."""
    asked: set[str] = set()

    def note(request: Request) -> None:
        if "/edge/management/v1/" in request.url:
            asked.add(request.url.split("/v1/", 1)[1])

    page.on("request", note)
    go(page, "/identities")
    expect(page.locator(ROWS)).to_have_count(50)
    page.remove_listener("request", note)
    return page.evaluate("document.querySelectorAll('*').length"), asked


@pytest.mark.timeout(240)
def test_a_list_of_a_hundred_thousand_is_drawn_as_a_short_one(visit, make_controller):
    """It asks for as much and makes as many elements; how long that takes is measured by `bench.console`."""
    server = make_controller()
    add_identities(server, "few", 100)
    page = visit(server, "/overview")
    few = drawn(page)
    expect(total(page)).to_have_text("101 devices")
    go(page, "/about")
    add_identities(server, "many", 99_900)
    many = drawn(page)
    expect(total(page)).to_have_text("100,001 devices")
    assert many == few


def test_every_list_has_its_command_line(devices: Page):
    devices.context.grant_permissions(["clipboard-read", "clipboard-write"])
    box(devices).fill("isAdmin = true")
    box(devices).press("Enter")
    devices.get_by_role("button", name="Copy this list as a command").click()
    devices.get_by_role("menuitem", name="Copy as curl").click()
    expect(devices.locator(".toast")).to_contain_text("Copied as curl")
    copied = devices.evaluate("navigator.clipboard.readText()")
    assert "$ZT_TOKEN" in copied
    assert "filter=isAdmin = true" in copied
    assert devices.evaluate("JSON.parse(sessionStorage.getItem('zitilite.session')).token") not in copied
    expect(title(devices, "Devices")).to_be_visible()
