"""Bulk changes: the rules of the single operations for each row, all or nothing or row by row, from JSON and CSV."""

from __future__ import annotations

from typing import Any

import pytest

from tests.certificates import CA, csr
from tests.controllers import CLIENT, Answer, Api
from tests.flows import (
    PEM,
    by_name,
    certified,
    enroll,
    identity_body,
    import_ca,
    login,
    pending,
    text_time,
    unique,
    with_password,
)
from wire.resource import OWN


def bulk(api: Api, action: str, **options: Any) -> Answer:
    return api.on(OWN).post("/bulk", {"action": action, **options})


def upload(api: Api, text: str | bytes, **options: Any) -> Answer:
    """Send CSV; options go into the query."""
    content = text.encode() if isinstance(text, str) else text
    return api.on(OWN).post("/bulk", content, headers={"Content-Type": "text/csv"}, params=options)


def rows(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"name": name, **more} for name in names]


def refused(answer: Answer) -> list[dict[str, Any]]:
    """The refused rows of an answer that wrote nothing."""
    assert (answer.status, answer.code) == (409, "BULK_ABORTED")
    found: list[dict[str, Any]] = answer.error["cause"]["results"]
    return found


# --- create


def test_create_gives_ids_and_tokens_that_enroll(controller, api):
    """Each row has its id and its token; the token is a real one."""
    names = [unique("bulk") for _ in range(3)]
    report = bulk(api, "create", rows=rows(*names), defaults={"enrollment": {"ott": True}, "tags": {"a": "b"}}).ok()
    assert (report["total"], report["ok"], report["failed"], report["committed"]) == (3, 3, 0, True)
    assert [(r["row"], r["name"], r["ok"]) for r in report["results"]] == [
        (i + 1, n, True) for i, n in enumerate(names)
    ]
    for result in report["results"]:
        shown = api.detail("/identities", result["id"])
        assert (shown["name"], shown["typeId"], shown["isAdmin"], shown["tags"]) == (
            result["name"],
            "Default",
            False,
            {"a": "b"},
        )
        (token,) = result["enrollments"]
        assert (token["method"], token["token"]) == ("ott", shown["enrollment"]["ott"]["token"])
        assert token["expiresAt"] == shown["enrollment"]["ott"]["expiresAt"]
    enroll(controller.api(), "ott", report["results"][0]["enrollments"][0]["token"], csr()[0], PEM).ok()


def test_rows_win_over_defaults_and_the_expiry_is_for_all(api):
    ends = text_time(hours=5)
    defaults = {"roleAttributes": ["all"], "enrollment": {"ott": True}}
    made = [{"name": unique("a")}, {"name": unique("b"), "roleAttributes": ["mine"]}]
    report = bulk(api, "create", rows=made, defaults=defaults, expiresAt=ends).ok()
    shown = [api.detail("/identities", r["id"]) for r in report["results"]]
    assert [s["roleAttributes"] for s in shown] == [["all"], ["mine"]]
    assert [s["enrollment"]["ott"]["expiresAt"] for s in shown] == [ends, ends]
    # 5.0 is an integer to JSON Schema.
    minutes = bulk(api, "create", rows=rows(unique("c")), defaults=defaults, durationMinutes=5.0).ok()
    (token,) = minutes["results"][0]["enrollments"]
    assert text_time(minutes=4) < token["expiresAt"] < text_time(minutes=6)


def test_memberships_are_as_if_made_one_by_one(api):
    """Attributes of rows made in bulk count for policies at once."""
    role = unique("role")
    service = api.create("/services", {"name": unique("s"), "encryptionRequired": True, "roleAttributes": [role]})
    policy = {"name": unique("p"), "type": "Dial", "semantic": "AnyOf"}
    api.create("/service-policies", {**policy, "identityRoles": [f"#{role}"], "serviceRoles": [f"#{role}"]})
    report = bulk(api, "create", rows=rows(unique("m"), roleAttributes=[role])).ok()
    (one,) = report["results"]
    assert service in [s["id"] for s in api.every(f"/identities/{one['id']}/services")]


@pytest.mark.parametrize("kind", ["edge-routers", "transit-routers"])
def test_routers_too(api, kind):
    report = bulk(api, "create", entity=kind, rows=rows(unique("r"), unique("r"), cost=7)).ok()
    for result in report["results"]:
        shown = api.detail(f"/{kind}", result["id"])
        assert shown["cost"] == 7
        assert result["enrollments"][0]["token"] == shown["enrollmentToken"]
    keys = [r["id"] for r in report["results"]]
    assert bulk(api, "disable", entity=kind, ids=keys).ok()["ok"] == 2
    assert api.detail(f"/{kind}", keys[0])["disabled"] is True
    assert bulk(api, "enable", entity=kind, ids=keys).ok()["ok"] == 2
    assert api.detail(f"/{kind}", keys[0])["disabled"] is False
    for action in ("renew", "reissue"):
        before = api.detail(f"/{kind}", keys[0])["enrollmentToken"]
        bulk(api, action, entity=kind, ids=keys, durationMinutes=60).ok()
        assert api.detail(f"/{kind}", keys[0])["enrollmentToken"] != before
    assert bulk(api, "delete", entity=kind, ids=keys).ok()["ok"] == 2
    assert api.get(f"/{kind}/{keys[0]}").status == 404


# --- what happens to rows that are refused


def test_one_bad_row_and_nothing_is_written(api):
    """The default: every refused row is named with the rule's own words, and the good ones are not written either."""
    good, taken = unique("good"), unique("taken")
    api.create("/identities", identity_body(name=taken))
    wrong = [
        {"name": good},
        {"name": taken},
        {"name": ""},
        {"name": unique("w"), "type": "nosuch"},
        {"name": good},
        {"name": unique("w"), "roleAttributes": ["#x"]},
        {"name": unique("w"), "isAdmin": "yes"},
        {"name": unique("w"), "enrollment": {"ottca": "nosuch"}},
    ]
    answer = bulk(api, "create", rows=wrong)
    found = refused(answer)
    assert [r["row"] for r in found] == [2, 3, 4, 5, 6, 7, 8]
    assert found[0]["reason"] == f"name: duplicate value '{taken}' in unique index on identities store"
    assert (found[1]["reason"], found[6]["code"]) == ("name: name is required", "NOT_FOUND")
    assert "isAdmin" in found[5]["reason"]
    assert by_name(api, "/identities", good) == []
    assert "7 of 8 rows were refused and nothing was written; row 2: name:" in answer.error["cause"]["message"]


def test_skip_writes_the_others(api):
    good, taken = unique("good"), unique("taken")
    api.create("/identities", identity_body(name=taken))
    report = bulk(api, "create", rows=rows(taken, good), onError="skip", firstRow=101).ok()
    assert (report["ok"], report["failed"], report["committed"]) == (1, 1, True)
    assert [(r["row"], r["ok"]) for r in report["results"]] == [(101, False), (102, True)]
    assert len(by_name(api, "/identities", good)) == 1


def test_a_refused_row_leaves_nothing_behind(api):
    """An identity whose second token is refused is not there, although its row was already written."""
    name = unique("half")
    half = {"name": name, "enrollment": {"ott": True, "ottca": "nosuch"}}
    report = bulk(api, "create", rows=[half, {"name": unique("whole")}], onError="skip").ok()
    assert [r["ok"] for r in report["results"]] == [False, True]
    assert by_name(api, "/identities", name) == []


@pytest.mark.parametrize("on_error", ["abort", "skip"])
def test_dry_run_says_all_and_writes_nothing(api, on_error):
    good, taken = unique("good"), unique("taken")
    api.create("/identities", identity_body(name=taken))
    before = api.get("/identities").body["meta"]["pagination"]["totalCount"]
    report = bulk(api, "create", rows=rows(good, taken), dryRun=True, onError=on_error).ok()
    assert (report["ok"], report["failed"], report["committed"], report["dryRun"]) == (1, 1, False, True)
    assert not any("id" in r or "enrollments" in r for r in report["results"] if r["ok"])
    assert api.get("/identities").body["meta"]["pagination"]["totalCount"] == before


def test_dry_run_of_changes(api):
    key, found = pending(api, "ott")
    for action in ("delete", "renew", "reissue", "disable"):
        report = bulk(api, action, ids=[key, "nosuch"], dryRun=True).ok()
        assert [(r["id"], r["ok"]) for r in report["results"]] == [(key, True), ("nosuch", False)]
        assert not any("enrollments" in r for r in report["results"])
    shown = api.detail("/identities", key)
    assert (shown["enrollment"]["ott"]["token"], shown["disabled"]) == (found["token"], False)


# --- the other actions


def test_tag_adds_and_removes(api):
    key = api.create("/identities", identity_body(roleAttributes=["keep", "go"], tags={"keep": 1, "go": 2}))
    changes = {"roleAttributes": {"add": ["new"], "remove": ["go"]}, "tags": {"set": {"new": 3}, "remove": ["go"]}}
    assert bulk(api, "tag", ids=[key], **changes).ok()["ok"] == 1
    shown = api.detail("/identities", key)
    assert (shown["roleAttributes"], shown["tags"]) == (["keep", "new"], {"keep": 1, "new": 3})
    (bad,) = refused(bulk(api, "tag", ids=[key], roleAttributes={"add": ["@x"]}))
    assert "may not be prefixed" in bad["reason"]
    assert bulk(api, "tag", ids=[key]).error["cause"]["field"] == "tags"


def test_renew_gives_new_tokens_to_those_that_wait(controller, api):
    key, found = pending(api, "ott")
    enrolled, _, _ = with_password(api)
    (waiting, none) = bulk(api, "renew", ids=[key, enrolled], onError="skip", expiresAt=text_time(hours=9)).ok()[
        "results"
    ]
    assert waiting["enrollments"][0]["id"] == found["id"]
    assert waiting["enrollments"][0]["token"] != found["token"]
    assert "reissue" in none["reason"]
    assert enroll(controller.api(), "ott", found["token"], csr()[0], PEM).code == "INVALID_ENROLLMENT_TOKEN"
    enroll(controller.api(), "ott", waiting["enrollments"][0]["token"], csr()[0], PEM).ok()


def test_reissue_ends_what_there_was(controller, api, tmp_path):
    """A certificate and its session end at once; a password's user name stays; who has nothing gets a token."""
    key, _, client = certified(controller, api, tmp_path)
    session = login(client).ok()["token"]
    person, user, _ = with_password(api)
    nothing = api.create("/identities", identity_body())
    waiting, found = pending(api, "ott")
    results = bulk(api, "reissue", ids=[key, person, nothing, waiting]).ok()["results"]
    assert [[e["method"] for e in r["enrollments"]] for r in results] == [["ott"], ["updb"], ["ott"], ["ott"]]
    stale = controller.api().on(CLIENT)
    stale.http.headers["zt-session"] = session
    assert stale.get("/current-identity").status == 401
    assert login(client).status == 401
    assert api.detail("/identities", person)["enrollment"]["updb"]["token"] == results[1]["enrollments"][0]["token"]
    assert results[3]["enrollments"][0]["token"] != found["token"]
    enroll(controller.api(), "ott", results[0]["enrollments"][0]["token"], csr()[0], PEM).ok()
    new = enroll(controller.api(), "updb", results[1]["enrollments"][0]["token"], {"password": "new-password"}).ok()
    assert new["username"] == user


def test_disable_enable_delete_by_names_and_by_filter(api):
    role = unique("role")
    names = sorted(unique("n") for _ in range(3))
    bulk(api, "create", rows=rows(*names, roleAttributes=[role])).ok()
    mine = f'anyOf(roleAttributes) = "{role}"'
    report = bulk(api, "disable", names=[*names[:2], "nosuch"], durationMinutes=60, onError="skip").ok()
    assert [(r["name"], r["ok"]) for r in report["results"]] == [(names[0], True), (names[1], True), ("nosuch", False)]
    states = api.on(OWN).get("/identities", filter=f"{mine} sort by name").ok()
    assert [s["enrollmentState"] for s in states] == ["disabled", "disabled", "none"]
    assert bulk(api, "enable", filter=f'{mine} and enrollmentState = "disabled"').ok()["ok"] == 2
    assert bulk(api, "delete", filter=mine).ok()["ok"] == 3
    assert api.get("/identities", filter=mine).ok() == []
    admin = api.get("/current-identity").ok()["id"]
    (bad,) = refused(bulk(api, "delete", ids=[admin]))
    assert bad["code"] == "ENTITY_CAN_NOT_BE_DELETED"


# --- requests that are wrong as a whole


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "action"),
        ({"action": "explode"}, "action"),
        ({"action": "create", "entity": "services", "rows": []}, "entity"),
        ({"action": "create"}, "rows"),
        ({"action": "create", "rows": []}, "rows"),
        ({"action": "delete"}, "ids"),
        ({"action": "delete", "ids": ["x"], "filter": "true"}, "ids"),
        ({"action": "delete", "ids": []}, "rows"),
        ({"action": "renew", "ids": ["x"], "expiresAt": "2001-01-01T00:00:00Z"}, "expiresAt"),
        ({"action": "disable", "ids": ["x"], "durationMinutes": -1}, "durationMinutes"),
        ({"action": "tag", "entity": "transit-routers", "ids": ["x"]}, "tags"),
        ({"action": "delete", "filter": "nosuch = 1"}, ""),
        ({"action": "delete", "ids": ["x"] * 10_001}, "ids"),
    ],
)
def test_bad_requests(api, body, field):
    answer = api.on(OWN).post("/bulk", body)
    assert answer.status in (400, 409)
    assert answer.code == "INVALID_FILTER" if not field else field in str(answer.error["cause"])


def test_too_many_rows(api):
    answer = bulk(api, "create", rows=rows(*(f"n{i}" for i in range(10_001))))
    assert (answer.status, answer.error["cause"]["field"]) == (400, "rows")


def test_a_large_body_is_for_callers_with_credentials(controller, api):
    """Ten thousand rows exceed the usual limit of a body; without credentials that stays the limit."""
    text = "name,roleAttributes\n" + "\n".join(f"{'x' * 200}{i},a" for i in range(9_000))
    assert len(text) > 1_500_000
    report = upload(api, text, dryRun="true").ok()
    assert report["ok"] == 9_000
    assert upload(controller.api(), text).status == 413
    assert api.post("/identities", text, headers={"Content-Type": "application/json"}).status == 413


# --- permissions


def test_permissions_are_those_of_the_single_operations(controller, api):
    """Who may create may create many; administrators are for administrators; tokens of narrow scope stay narrow."""
    _, user, password = with_password(api, permissions=["identity.create"])
    person = controller.api().login(user, password)
    assert bulk(person, "create", rows=rows(unique("n"))).ok()["ok"] == 1
    (bad,) = refused(bulk(person, "create", rows=rows(unique("n"), isAdmin=True)))
    assert bad["code"] == "UNAUTHORIZED"
    for action in ("delete", "renew", "reissue", "tag", "disable", "enable"):
        assert bulk(person, action, ids=["x"], tags={"set": {"a": "b"}}).status == 401
    assert bulk(person, "create", entity="edge-routers", rows=rows(unique("n"))).status == 401
    assert bulk(controller.api(), "create", rows=rows("x")).status == 401


def test_scope_enroll_in_bulk(controller, api):
    made = api.on(OWN).post("/api-tokens", {"name": unique("token"), "scope": "enroll"}).ok(201)
    client = controller.api()
    client.http.headers["Authorization"] = f"Bearer {made['token']}"
    key, found = pending(api, "ott")
    admin, hidden = pending(api, "ott", isAdmin=True)
    powerful, _ = pending(api, "ott", permissions=["ca"])
    assert bulk(client, "create", rows=rows(unique("n"))).ok()["ok"] == 1
    assert bulk(client, "renew", ids=[key]).ok()["ok"] == 1
    for more in ({"isAdmin": True}, {"permissions": ["ca"]}):
        assert refused(bulk(client, "create", rows=rows(unique("n"), **more)))[0]["code"] == "UNAUTHORIZED"
    for protected in (admin, powerful):
        assert refused(bulk(client, "renew", ids=[protected]))[0]["code"] == "NOT_FOUND"
    assert bulk(client, "renew", filter=f'id = "{admin}"').error["cause"]["field"] == "rows"
    assert api.detail("/enrollments", hidden["id"])["token"] == hidden["token"]
    for action in ("delete", "reissue", "tag", "disable", "enable"):
        assert bulk(client, action, ids=[key], tags={"set": {"a": "b"}}).status == 401
    assert found["token"]


# --- CSV


def test_csv_has_all_that_a_create_takes(api):
    ca = import_ca(api, CA.root(unique("root")))
    ca_name = api.detail("/cas", ca)["name"]
    names = [unique("csv") for _ in range(4)]
    user, external = unique("user"), unique("x")
    text = (
        "Name,type,roleAttributes,enrollment,ca,username,expiresAt,externalId,tags.site,tags.Floor\r\n"
        f'{names[0]},User,"a b;c",,,,2035-01-02,{external},"Berlin, Mitte",3\r\n'
        f"{names[1]},,,ottca,{ca_name},,,,,\r\n"
        f"\r\n"
        f"{names[2]},,,,,{user},,,,\r\n"
        f"{names[3]},,,none,,,,,,\r\n"
    )
    report = upload(api, text).ok()
    assert [(r["line"], r["name"]) for r in report["results"]] == list(zip((2, 3, 5, 6), names, strict=True))
    shown = [api.detail("/identities", r["id"]) for r in report["results"]]
    assert [list(s["enrollment"]) for s in shown] == [["ott"], ["ottca"], ["updb"], []]
    first = shown[0]
    assert (first["externalId"], first["roleAttributes"]) == (external, ["a", "b", "c"])
    assert first["tags"] == {"site": "Berlin, Mitte", "Floor": "3"}
    assert first["enrollment"]["ott"]["expiresAt"] == "2035-01-02T23:59:59.000Z"
    assert shown[1]["enrollment"]["ottca"]["caId"] == ca


def test_csv_says_which_line_and_why(api):
    taken = unique("taken")
    api.create("/identities", identity_body(name=taken))
    text = (
        "name,enrollment,ca,username,expiresAt,isAdmin\n"
        f"{taken},,,,,\n"
        f"{unique('c')},,,,tomorrow,\n"
        f"{unique('c')},ottca,,,,\n"
        f"{unique('c')},updb,,,,\n"
        f"{unique('c')},magic,,,,\n"
        f"{unique('c')},,nosuch,,,\n"
        f"{unique('c')},,,,,perhaps\n"
        f"{unique('c')},,,,,,,extra\n"
        ",,,,,yes\n"
    )
    found = refused(upload(api, text))
    assert [r["line"] for r in found] == list(range(2, 11))
    for result, word in zip(
        found,
        (
            "duplicate",
            "neither a date",
            "column ca",
            "column username",
            "magic",
            "nosuch",
            "perhaps",
            "8 values",
            "name",
        ),
        strict=True,
    ):
        assert word in result["reason"], result


@pytest.mark.parametrize(
    "encode",
    [
        lambda t: t.encode(),
        lambda t: t.encode("utf-8-sig"),
        lambda t: t.encode("utf-16"),
        lambda t: t.replace(",", ";").encode(),
        lambda t: t.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"),
    ],
)
def test_csv_as_spreadsheets_write_it(api, encode):
    name = unique("Müller 東京")
    report = upload(api, encode(f"name,type\n{name},User\n")).ok()
    assert report["results"][0]["name"] == name
    assert api.detail("/identities", report["results"][0]["id"])["name"] == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"name\nM\xfcller\n", "line 2 is no UTF-8"),
        (b"name\na\0b\n", "line 2 has a NUL"),
        (b"name,colour\nx,red\n", "column 2 is 'colour'"),
        (b"name,name\nx,y\n", "column 'name' is there twice"),
        (b"type\nUser\n", "no column 'name'"),
        (b'name\n"x\n', "line 2"),
    ],
)
def test_csv_that_is_wrong_as_a_whole(api, text, words):
    answer = upload(api, text)
    assert (answer.status, answer.code) == (400, "COULD_NOT_PARSE_BODY")
    assert words in answer.error["cause"]["message"]


def test_csv_options_stand_in_the_query(api):
    assert upload(api, "name\n").error["cause"]["field"] == "rows"
    name = unique("router")
    report = upload(api, f"name,cost,isTunnelerEnabled\n{name},9,yes\n", entity="edge-routers", durationMinutes=7).ok()
    assert api.detail("/edge-routers", report["results"][0]["id"])["cost"] == 9
    assert upload(api, f"name\n{unique('c')}\n", dryRun="true").ok()["committed"] is False
    taken = f"name\n{name}\n{unique('free')}\n"
    assert upload(api, taken, entity="edge-routers", onError="skip").ok()["failed"] == 1
    assert upload(api, taken, onError="ignore").status == 606


# --- speed


def test_ten_thousand_with_tokens_in_one_request(make_controller):
    """How long it takes is shown by the bench."""
    api = make_controller().admin()
    text = "name,roleAttributes\n" + "".join(f"box-{i:05d},plant7 line-{i % 9}\n" for i in range(10_000))
    url, headers = f"{api.url}{OWN}/bulk", {**api.http.headers, "Content-Type": "text/csv"}
    answer = api.http.post(url, data=text, headers=headers, timeout=60)
    report = answer.json()["data"]
    assert report["ok"] == 10_000
    assert len({e["token"] for r in report["results"] for e in r["enrollments"]}) == 10_000
