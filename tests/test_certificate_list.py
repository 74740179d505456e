"""Every certificate in one list, and what Prometheus sees of it."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.certificates import CA
from tests.flows import certified, import_ca, sql, unique, with_password
from tests.test_routers import enroll_router, make_router

OWN = "/zitilite/v1"


@pytest.fixture
def own(api):
    return api.on(OWN)


def only(own, **wanted: str):
    (row,) = own.get("/certificates", filter=" and ".join(f'{k} = "{v}"' for k, v in wanted.items())).ok()
    return row


def test_each_kind_is_in_it(controller, api, own, tmp_path):
    """Root, intermediate, server, CAs, identities and routers: what stands in the certificate, and whose it is."""
    for kind in ("root", "intermediate", "server"):
        row = only(own, kind=kind)
        assert (row["isCurrent"], row["state"], row["ownerId"]) == (True, "ok", None)
    identity, issued, _ = certified(controller, api, tmp_path)
    row = only(own, ownerId=identity)
    certificate = issued.certificate
    assert row["kind"] == "identity"
    assert row["fingerprint"] == issued.fingerprint
    assert int(row["serial"], 16) == certificate.serial_number
    assert row["issuer"] == only(own, kind="intermediate")["subject"] == certificate.issuer.rfc4514_string()
    assert datetime.fromisoformat(row["notAfter"]) == certificate.not_valid_after_utc
    assert row["daysLeft"] == 364
    assert own.detail("/certificates", row["id"])["pem"].startswith(issued.pem)
    ca = import_ca(api, CA.root(unique("root")))
    assert only(own, ownerId=ca)["kind"] == "ca"
    router, token = make_router(api)
    _, _, cert = enroll_router(api, router, token, tmp_path)
    assert only(own, ownerId=router)["fingerprint"] == cert.fingerprint


def test_filter_sort_and_page(own, api, controller, tmp_path):
    certified(controller, api, tmp_path)
    everything = own.every("/certificates")
    assert len(everything) >= 4
    soonest = own.get("/certificates", filter="true sort by expiresAt", limit=2)
    ends = sorted(row["notAfter"] for row in everything)
    assert [row["notAfter"] for row in soonest.ok()] == ends[:2]
    assert soonest.body["meta"]["pagination"]["totalCount"] == len(everything)
    assert own.get("/certificates", filter="expiresAt < datetime(2020-01-01T00:00:00Z)").ok() == []


def test_states(controller, api, own, tmp_path):
    """Expiring within a month, of short lives within the last third; expired; blocked."""
    root = CA.root(unique("root"))
    import_ca(api, root)
    spans = {
        "ok": (timedelta(days=-1), timedelta(days=40)),
        "expiring": (timedelta(days=-40), timedelta(days=10)),
        "expired": (timedelta(days=-40), timedelta(days=-1)),
    }
    rows = {}
    for state, (starts, ends) in spans.items():
        identity = api.create("/identities", {"name": unique(state), "type": "Default", "isAdmin": False})
        leaf = root.leaf(unique("leaf"), starts=starts, ends=ends)
        api.create("/authenticators", {"method": "cert", "identityId": identity, "certPem": leaf.pem})
        rows[state] = only(own, ownerId=identity)
        assert rows[state]["state"] == state
    before = own.get("/certificates/summary").ok()
    own.create("/blocked-certificates", {"fingerprint": rows["ok"]["fingerprint"]})
    assert own.detail("/certificates", rows["ok"]["id"])["state"] == "blocked"
    after = own.get("/certificates/summary").ok()
    assert after["byState"]["blocked"] == before["byState"]["blocked"] + 1
    assert after["byState"]["ok"] == before["byState"]["ok"] - 1
    assert before["byKind"]["identity"]["expired"] >= 1
    assert before["next"][0]["id"] == rows["expiring"]["id"]
    months = {one["month"]: one["count"] for one in before["perMonth"]}
    assert months[rows["expiring"]["notAfter"][:7]] >= 1
    assert sum(months.values()) == before["total"]


def test_administrators_only(controller, api):
    _, name, password = with_password(api)
    client = controller.api().login(name, password).on(OWN)
    for path in ("/certificates", "/certificates/summary", "/blocked-certificates", "/addresses"):
        assert client.get(path).status == 401


def test_prometheus_sees_absolute_times(make_controller, tmp_path):
    server = make_controller("--metrics", "on")
    api = server.admin()
    _, issued, _ = certified(server, api, tmp_path)
    plain = server.api()
    plain.base = ""
    found = {}
    for family in text_string_to_metric_families(plain.get("/metrics").body):
        for sample in family.samples:
            labels = {k: v for k, v in sample.labels.items() if k != "source_id"}
            found[sample.name, *labels.values()] = sample.value
    ends = {row["kind"]: row for row in api.on(OWN).get("/certificates").ok()}
    for kind in ("root", "intermediate", "server"):
        when = found["ziti_certificate_expiry_timestamp_seconds", kind, ends[kind]["name"]]
        assert when == datetime.fromisoformat(ends[kind]["notAfter"]).timestamp() > time.time()
    earliest = found["ziti_certificate_earliest_expiry_timestamp_seconds", "identity"]
    assert earliest == issued.certificate.not_valid_after_utc.timestamp()
    assert found["ziti_certificates", "identity", "ok"] == 1


def test_own_certificates_that_were_replaced_are_forgotten_when_they_are_over(make_controller):
    server = make_controller()
    own = server.admin().on(OWN)
    for name in ("one.test", "two.test"):
        own.create("/addresses", {"address": name})
    old = own.get("/certificates", filter='kind = "server" and isCurrent = false').ok()
    assert len(old) == 2
    sql(server, "UPDATE certificate_fact SET not_after = 1 WHERE fingerprint = ?", old[0]["fingerprint"])
    own.create("/addresses", {"address": "three.test"})
    left = {row["fingerprint"] for row in own.get("/certificates", filter='kind = "server" and isCurrent = false').ok()}
    assert old[0]["fingerprint"] not in left
    assert old[1]["fingerprint"] in left
