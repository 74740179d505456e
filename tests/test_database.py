"""Snapshots that can be restored, and a check of what is stored that finds and repairs real damage."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.controllers import Api, Controller
from tests.flows import sql, unique, with_password

FABRIC = "/fabric/v1"
WAYS: list[tuple[str, dict[str, str] | None]] = [
    ("/database/snapshot", None),
    (f"{FABRIC}/database", None),
    (f"{FABRIC}/database/snapshot", {}),
]


@pytest.fixture
def own(make_controller) -> tuple[Controller, Api]:
    """A server of one's own: a snapshot is allowed once a minute only."""
    server = make_controller()
    return server, server.admin()


def snapshots(server: Controller) -> list[Path]:
    return sorted((server.data / "snapshots").glob("*"))


# --- snapshots


@pytest.mark.parametrize(("path", "body"), WAYS)
def test_a_snapshot_is_the_database(own, path, body):
    """It opens by itself, whole, with what was there; nobody else may read it."""
    server, api = own
    key = api.create("/services", {"name": unique("s"), "encryptionRequired": True})
    api.post(path, body).ok()
    (file,) = snapshots(server)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with closing(sqlite3.connect(file)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert copy.execute("SELECT count(*) FROM service WHERE id = ?", (key,)).fetchone() == (1,)


def test_a_snapshot_can_be_restored(own):
    """Put in the database's place, a controller starts on it and has what was there."""
    server, api = own
    kept = api.create("/services", {"name": unique("s"), "encryptionRequired": True})
    api.post("/database/snapshot").ok()
    lost = api.create("/services", {"name": unique("s"), "encryptionRequired": True})
    server.stop()
    (file,) = snapshots(server)
    for leftover in server.data.glob("zitilite.db-*"):
        leftover.unlink()
    shutil.copy(file, server.data / "zitilite.db")
    api = server.start().admin()
    assert api.get(f"/services/{kept}").status == 200
    assert api.get(f"/services/{lost}").status == 404


def test_one_a_minute_over_all_ways(own):
    server, api = own
    api.post("/database/snapshot").ok()
    for path, body in WAYS:
        assert api.post(path, body).code == "RATE_LIMITED"
    sql(server, "UPDATE meta SET value = ? WHERE key = 'snapshot_at'", str(int(time.time() * 1000) - 60_001))
    api.post(f"{FABRIC}/database/snapshot", {"path": "another"}).ok()
    assert len(snapshots(server)) == 2


def test_the_caller_chooses_a_name_but_no_folder(own):
    """A path that leads anywhere else writes nothing, and costs nothing."""
    server, api = own
    path = f"{FABRIC}/database/snapshot"
    for bad in ("/tmp/x.db", "../x.db", "a/b.db", "..", "/", "a\0b", "x" * 300, str(server.data / "zitilite.db")):
        answer = api.post(path, {"path": bad})
        assert (answer.status, answer.error["cause"]["field"]) == (400, "path"), bad
    assert snapshots(server) == []
    written = Path(api.post(path, {"path": "__DB_DIR__/__DB_FILE__-__DATE__-mine"}).ok()["path"])
    assert [written] == [f.resolve() for f in snapshots(server)]
    assert written.name == f"zitilite.db-{time.strftime('%Y%m%d', time.gmtime())}-mine"


def test_a_snapshot_overwrites_nothing(own):
    server, api = own
    path = f"{FABRIC}/database/snapshot"
    api.post(path, {"path": "one"}).ok()
    before = snapshots(server)[0].read_bytes()
    sql(server, "DELETE FROM meta WHERE key = 'snapshot_at'")
    assert api.post(path, {"path": "one"}).status == 400
    assert snapshots(server)[0].read_bytes() == before


# --- integrity


def examine(server: Controller, api: Api, verb: str = "check") -> list[tuple[str, bool]]:
    """Run a check, as if the last one was long ago, and give what it found."""
    sql(server, "DELETE FROM meta WHERE key = 'integrity'")
    assert api.post(f"/database/{verb}-data-integrity").status == 202
    answer = api.get("/database/data-integrity-results")
    results = answer.ok()["results"] or []
    assert answer.body["meta"]["pagination"] == {"limit": -1, "offset": 0, "totalCount": len(results)}
    return [(r["description"], r["fixed"]) for r in results]


def populate(api: Api) -> dict[str, str]:
    made = {}
    made["identity"], _, _ = with_password(api, roleAttributes=["a"])
    made["service"] = api.create(
        "/services", {"name": unique("s"), "encryptionRequired": True, "roleAttributes": ["w"]}
    )
    made["router"] = api.create("/edge-routers", {"name": unique("r"), "isTunnelerEnabled": True})
    lists = {"identityRoles": ["#a", f"@{made['identity']}"], "serviceRoles": ["#w"]}
    policy = {"name": unique("p"), "type": "Dial", "semantic": "AnyOf", **lists}
    made["policy"] = api.create("/service-policies", policy)
    terminator = {"service": made["service"], "router": made["router"], "binding": "b", "address": "a"}
    made["terminator"] = api.create("/terminators", terminator)
    return made


# what is damaged, and a word of what the check says; {name} is an id of `populate`
DAMAGE = {
    "member gone": ("DELETE FROM policy_member WHERE policy = '{policy}' AND side = 'service'", "{policy}"),
    "member too many": (
        "INSERT INTO policy_member(policy, side, entity, policy_kind) VALUES ('{policy}', 'identity', 'zz', 'x')",
        "{policy}",
    ),
    "role gone": ("DELETE FROM policy_role WHERE policy = '{policy}' AND side = 'service'", "{policy}"),
    "attribute gone": ("DELETE FROM identity_attribute WHERE entity_id = '{identity}'", "{identity}"),
    "attribute too many": (
        "INSERT INTO service_attribute(attribute, entity_id) VALUES ('q', '{service}')",
        "{service}",
    ),
    "policy gone": ("DELETE FROM service_policy WHERE id = '{policy}'", "{policy}"),
    "service gone": ("DELETE FROM service WHERE id = '{service}'", "{service}"),
    "router gone": ("DELETE FROM router WHERE id = '{router}'", "{router}"),
    "identity gone": ("DELETE FROM identity WHERE id = '{identity}'", "{identity}"),
    "enrollment of nobody": ("UPDATE enrollment SET router_id = NULL WHERE router_id = '{router}'", "nobody"),
    "policy of a login gone": (
        "UPDATE identity SET auth_policy_id = 'zz' WHERE id = '{identity}'",
        "{identity}, which references invalid auth_policy zz",
    ),
}
UNFIXABLE = {"policy of a login gone"}


def test_nothing_is_wrong_with_what_is_made(own):
    """Also right after the first start, and before any check there are no results."""
    server, api = own
    assert set(api.get("/database/data-integrity-results").ok().values()) == {None, False}
    assert examine(server, api) == []
    populate(api)
    assert examine(server, api) == []


def test_damage_is_found_and_repaired(own):
    """Each kind of damage is found by a check, which changes nothing, and is gone after a fix."""
    server, api = own
    for name, (statement, said) in DAMAGE.items():
        made = populate(api)
        sql(server, statement.format(**made))
        found = examine(server, api)
        assert any(said.format(**made) in text for text, _ in found), (name, found)
        assert not any(fixed for _, fixed in found)
        assert examine(server, api) == found, name
        repaired = examine(server, api, "fix")
        assert all(fixed for _, fixed in repaired) == (name not in UNFIXABLE), (name, repaired)
        if name in UNFIXABLE:
            sql(server, f"UPDATE identity SET auth_policy_id = 'default' WHERE id = '{made['identity']}'")
        assert examine(server, api) == [], name


def test_repaired_policies_work_again(own):
    server, api = own
    made = populate(api)
    path = f"/service-policies/{made['policy']}/services"
    sql(server, "DELETE FROM policy_member")
    assert api.get(path).ok() == []
    examine(server, api, "fix")
    assert [s["id"] for s in api.get(path).ok()] == [made["service"]]


def test_two_checks_at_once(own):
    """The second is told to wait; results survive a restart."""
    server, api = own
    assert api.post(f"{FABRIC}/database/check-data-integrity").status == 202
    assert api.post("/database/fix-data-integrity").code == "RATE_LIMITED"
    before = api.get("/database/data-integrity-results").ok()
    again = server.restart().admin().on(FABRIC)
    assert again.get("/database/data-integrity-results").ok() == before


# --- settings and revocations, which are rows like any other


def test_effective_settings(own):
    """The controller's own win over the global ones, those over the defaults; a patch keeps the rest."""
    _, api = own
    controller = "controller"
    default = api.get("/controller-settings/global/effective").ok()["effective"]["oidc"]
    api.patch("/controller-settings/global/effective", {"oidc": {"redirectUris": ["https://all"]}}).ok()
    path = f"/controller-settings/{controller}/effective"
    assert api.get(path).ok()["effective"]["oidc"] == {**default, "redirectUris": ["https://all"]}
    api.create("/controller-settings", {"controllerId": controller, "oidc": {"redirectUris": ["https://own"]}})
    assert api.get(path).ok()["effective"]["oidc"]["redirectUris"] == ["https://own"]
    assert api.get(path).ok()["instance"] == {"oidc": {"redirectUris": ["https://own"]}}
    api.patch(path, {"oidc": {"postLogoutUris": ["https://out"]}}).ok()
    assert api.get(path).ok()["instance"]["oidc"] == {
        "redirectUris": ["https://own"],
        "postLogoutUris": ["https://out"],
    }
    api.put(path, {}).ok()
    assert api.get(path).ok()["instance"] == {"oidc": {}}
    api.delete(path).ok()
    assert api.get(path).ok()["effective"]["oidc"]["redirectUris"] == ["https://all"]
    assert api.delete("/controller-settings/global/effective").code == "ENTITY_CAN_NOT_BE_DELETED"
    assert api.post("/controller-settings", {"controllerId": "nosuch"}).status == 400
    assert api.get("/controller-settings/nosuch/effective").status == 404


def test_revocations(api):
    key = api.create("/identities", {"name": unique("i"), "type": "Default", "isAdmin": False})
    assert api.create("/revocations", {"id": key, "type": "IDENTITY"}) == key
    first = api.detail("/revocations", key)
    assert api.create("/revocations", {"id": key, "type": "IDENTITY"}) == key
    assert api.detail("/revocations", key)["createdAt"] >= first["createdAt"]
    assert api.post("/revocations", {"id": "nosuch", "type": "IDENTITY"}).status == 404
    assert api.post("/revocations", {"id": "no-uuid", "type": "JTI"}).status == 400
    assert api.delete(f"/revocations/{key}").status == 405
    assert first["type"] == "IDENTITY"
