"""Tokens of many as files: a zip that unpacks anywhere, a table, a page of codes that a reader reads."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from typing import Any

import pytest
import requests
import zxingcpp

from tests.controllers import Api
from tests.flows import identity_body, in_the_past, pending, sql, unique, with_password
from tests.test_curl_forms import drawn
from wire.resource import OWN


def export(api: Api, **body: Any) -> requests.Response:
    url = f"{api.url}{OWN}/tokens/export"
    return requests.post(url, json=body, headers=dict(api.http.headers), verify=str(api.ca_file), timeout=60)


def unpacked(answer: requests.Response) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as made:
        assert made.testzip() is None
        return {name: made.read(name).decode() for name in made.namelist()}


def made(api: Api, *names: str, **more: Any) -> list[str]:
    return [pending(api, "ott", name=name, **more)[0] for name in names]


def jwt(api: Api, key: str, method: str = "ott") -> str:
    return str(api.detail("/identities", key)["enrollment"][method]["jwt"])


def test_zip_has_a_file_for_each_token_and_a_manifest(controller, api):
    names = [unique("box") for _ in range(3)]
    keys = made(api, *names)
    answer = export(api, ids=keys)
    assert re.fullmatch(r'attachment; filename="tokens-\d{8}-\d{4}\.zip"', answer.headers["Content-Disposition"])
    assert answer.headers["Cache-Control"] == "no-store"
    files = unpacked(answer)
    for name, key in zip(names, keys, strict=True):
        assert files[f"{name}.jwt"] == jwt(api, key)
    table = list(csv.DictReader(io.StringIO(files["manifest.csv"])))
    assert [(r["file"], r["name"], r["id"], r["method"], r["problem"]) for r in table] == [
        (f"{n}.jwt", n, k, "ott", "") for n, k in zip(names, keys, strict=True)
    ]
    manifest = json.loads(files["manifest.json"])
    assert manifest["controller"] == controller.url
    assert [t["id"] for t in manifest["tokens"]] == keys
    assert manifest["tokens"][0]["expiresAt"] == api.detail("/identities", keys[0])["enrollment"]["ott"]["expiresAt"]
    assert len(files) == 5


def test_hostile_names_stay_inside_the_folder(api):
    """No path, no device of Windows, no two files that differ by case only; the manifest has the true names."""
    word = unique("h")
    names = [
        f"../../{word}",
        f"C:\\{word}",
        f"{word}/../../etc/passwd",
        f"{word}\n\r\t.exe",
        f"ä東京 {word}",
        f".{word}",
        f"{word} A",
        f"{word} a",
        f"{word}_a",
        "con",
        "東京",
        f"=cmd|' /C calc'!A{word}",
        "x" * 300 + word,
    ]
    keys = made(api, *names)
    files = unpacked(export(api, ids=keys))
    manifest = json.loads(files["manifest.json"])["tokens"]
    assert [t["name"] for t in manifest] == names
    stored = [t["file"] for t in manifest]
    assert len({f.lower() for f in stored}) == len(names)
    for file, key in zip(stored, keys, strict=True):
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,110}\.jwt", file), file
        assert not re.match(r"(?i)(con|nul|aux|prn)\.", file)
        assert files[file] == jwt(api, key)
    assert stored[10] == f"{keys[10]}.jwt"
    (formula,) = [r for r in csv.DictReader(io.StringIO(files["manifest.csv"])) if r["id"] == keys[11]]
    assert formula["name"].startswith("'=cmd")
    for key in keys:
        api.delete(f"/identities/{key}").ok()


def test_who_has_no_token_is_named_with_the_reason(controller, api):
    (good,) = made(api, unique("good"))
    late, found = pending(api, "ott")
    sql(controller, "UPDATE enrollment SET expires_at = ? WHERE id = ?", in_the_past(), found["id"])
    none = api.create("/identities", identity_body())
    files = unpacked(export(api, ids=[good, late, none, "nosuch"]))
    problems = {t["id"]: t["problem"] for t in json.loads(files["manifest.json"])["tokens"]}
    assert problems[good] == ""
    assert "expired at" in problems[late]
    assert problems[none] == "no pending token"
    assert "not found" in problems["nosuch"]
    assert len(files) == 3
    answer = export(api, ids=[late, none])
    assert answer.status_code == 404
    assert "none of the 2 chosen has a token that works" in answer.json()["error"]["cause"]["message"]


def test_several_tokens_of_one_and_only_one_method(api):
    key, _ = pending(api, "ott", name=unique("two"))
    user = {"method": "updb", "identityId": key, "username": unique("user"), "expiresAt": "2035-01-01T00:00:00Z"}
    api.create("/enrollments", user)
    name = api.detail("/identities", key)["name"]
    files = unpacked(export(api, ids=[key]))
    assert {files[f"{name}.jwt"], files[f"{name}-2.jwt"]} == {jwt(api, key), jwt(api, key, "updb")}
    assert unpacked(export(api, ids=[key], method="updb"))[f"{name}.jwt"] == jwt(api, key, "updb")


def test_csv_has_the_tokens_in_it(api):
    role = unique("role")
    keys = made(api, unique("n"), unique("n"), roleAttributes=[role])
    answer = export(api, filter=f'anyOf(roleAttributes) = "{role}"', format="csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    table = {r["id"]: r["jwt"] for r in csv.DictReader(io.StringIO(answer.text))}
    assert table == {key: jwt(api, key) for key in keys}


def test_routers_too(api):
    key = api.create("/edge-routers", {"name": unique("router")})
    name = api.detail("/edge-routers", key)["name"]
    files = unpacked(export(api, entity="edge-routers", names=[name]))
    assert files[f"{name}.jwt"] == api.detail("/edge-routers", key)["enrollmentJwt"]


# --- the sheet


def test_sheet_has_a_code_for_each_that_reads_back(api):
    keys = made(api, *(unique("box") for _ in range(3)))
    answer = export(api, ids=keys, format="sheet", columns=2)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    codes = re.findall(r"<svg.*?</svg>", answer.text, re.DOTALL)
    read = [zxingcpp.read_barcodes(drawn(code))[0].text for code in codes]
    assert read == [jwt(api, key) for key in keys]
    for key in keys:
        assert f"<h2>{api.detail('/identities', key)['name']}</h2>" in answer.text
    assert "repeat(2, 1fr)" in answer.text


def test_sheet_is_one_file_and_escapes_names(api):
    word = unique("x")
    evil = f"</h2><script>alert('{word}')</script><img src=x onerror=y>{word}&amp;"
    (key,) = made(api, evil)
    none = api.create("/identities", identity_body(name=f"<b>{word}</b>"))
    answer = export(api, ids=[key, none], format="sheet")
    assert "<script" not in answer.text
    assert "<img" not in answer.text
    assert f"<b>{word}" not in answer.text
    assert "&lt;/h2&gt;&lt;script&gt;" in answer.text
    assert not re.search(r"<[^>]+\b(src|href)\s*=|@import|url\(", answer.text)


# --- who may, and how many


def test_permissions(controller, api):
    admin, _ = pending(api, "ott", isAdmin=True)
    key, _ = pending(api, "ott")
    assert export(controller.api(), ids=[key]).status_code == 401
    _, user, password = with_password(api)
    assert export(controller.api().login(user, password), ids=[key]).status_code == 401
    _, user, password = with_password(api, permissions=["identity.read"])
    person = controller.api().login(user, password)
    entries = json.loads(unpacked(export(person, ids=[key, admin]))["manifest.json"])["tokens"]
    assert [e["problem"] for e in entries] == ["", "only an administrator gets the token of an administrator"]
    for scope, statuses in (("read", (401, 401)), ("enroll", (200, 404)), ("admin", (200, 200))):
        token = api.on(OWN).post("/api-tokens", {"name": unique("token"), "scope": scope}).ok(201)["token"]
        client = controller.api()
        client.http.headers["Authorization"] = f"Bearer {token}"
        assert (export(client, ids=[key]).status_code, export(client, ids=[admin]).status_code) == statuses


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "ids"), ({"ids": [], "filter": "true"}, "ids"), ({"ids": ["x"], "format": "pdf"}, "format")],
)
def test_bad_requests(api, body, field):
    answer = export(api, **body)
    assert answer.status_code == 400
    assert answer.json()["error"]["cause"]["field"] == field


def test_many(make_controller):
    """A sheet has its limit; a zip of two thousand is whole."""
    api = make_controller().admin()
    text = "name\n" + "".join(f"box-{i:04d}\n" for i in range(2_000))
    api.on(OWN).post("/bulk", text, headers={"Content-Type": "text/csv"}).ok()
    answer = export(api, filter='name contains "box-"', format="sheet")
    assert (answer.status_code, answer.json()["error"]["cause"]["field"]) == (400, "format")
    files = unpacked(export(api, filter='name contains "box-"'))
    assert len(files) == 2_002
    assert len(set(files.values())) == 2_002
