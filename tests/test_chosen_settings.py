"""Settings that are shown, and those that are changed while the controller runs."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.controllers import ROOT, Api, Controller
from tests.flows import certified, pending, sql, wait_until
from wire.resource import OWN


def setting(api: Api, name: str) -> Any:
    return api.on(OWN).get(f"/settings/{name}").ok()


def test_each_says_where_it_comes_from_and_how_it_is_changed(make_controller):
    api = make_controller("--session-minutes", "77").admin()
    found = {s["id"]: s for s in api.on(OWN).get("/settings", limit=500).ok()}
    minutes = found["session_minutes"]
    assert (minutes["value"], minutes["source"]) == ("77", "flag --session-minutes")
    assert (minutes["flag"], minutes["variable"]) == ("--session-minutes", "ZITILITE_SESSION_MINUTES")
    assert minutes["isChangeable"] is False
    assert found["backup_hours"]["isChangeable"] is True
    assert found["admin_password"]["value"] is None
    assert found["admin_password"]["isSet"] is True
    assert "url" not in found
    changeable = api.on(OWN).get("/settings", filter="isChangeable = true limit none").ok()
    assert {s["id"] for s in changeable} >= {"identity_certificate_days", "ca_key", "backup_keep"}


def test_only_an_administrator_sees_them(controller: Controller):
    assert controller.api().on(OWN).get("/settings").status == 401


def test_a_chosen_lifetime_holds_for_the_next_certificate_and_after_a_restart(make_controller, tmp_path: Path):
    server = make_controller()
    api = server.admin()
    changed = api.on(OWN).patch("/settings/identity_certificate_days", {"value": "20"}).ok()
    assert (changed["value"], changed["source"], changed["isChosen"]) == ("20", "chosen here", True)
    assert lifetime(server, api, tmp_path) == 20
    server.restart()
    api = server.admin()
    assert setting(api, "identity_certificate_days")["value"] == "20"
    api.on(OWN).delete("/settings/identity_certificate_days").ok()
    assert lifetime(server, api, tmp_path) == 365
    rows = api.on(OWN).get("/audit", filter='entity = "settings" sort by createdAt').ok()
    assert [r["entityId"] for r in rows] == ["identity_certificate_days"] * 2


def test_the_command_line_shows_what_was_chosen_here(make_controller):
    """While it runs and afterwards; a flag goes before."""
    server = make_controller()
    server.admin().on(OWN).patch("/settings/identity_certificate_days", {"value": "20"}).ok()

    def shown(*flags: str) -> list[str]:
        command = [sys.executable, "app.py", "settings", "--data", str(server.data), *flags]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
        return next(line for line in found.splitlines() if line.startswith("identity_certificate_days")).split(None, 2)

    assert shown()[1:] == ["20", "chosen in the console"]
    server.stop()
    assert shown()[1:] == ["20", "chosen in the console"]
    assert shown("--identity-certificate-days", "30")[1:] == ["30", "flag --identity-certificate-days"]
    file = server.data / "zitilite.db"
    file.write_bytes(b"no database" * 1000)
    assert shown()[1:] == ["365", "default"]


def lifetime(server: Controller, api: Api, folder: Path) -> int:
    """The days that a new device's certificate is valid."""
    _, issued, _ = certified(server, api, folder)
    cert = issued.certificate
    return round((cert.not_valid_after_utc - cert.not_valid_before_utc) / timedelta(days=1))


def test_a_chosen_time_for_tokens(make_controller):
    server = make_controller()
    api = server.admin()
    api.on(OWN).patch("/settings/enrollment_minutes", {"value": "5"}).ok()
    _, enrollment = pending(api, "ott")
    ends = enrollment["expiresAt"]
    left = datetime.fromisoformat(ends) - datetime.now(UTC)
    assert timedelta(minutes=4) < left < timedelta(minutes=6)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("identity_certificate_days", "0", "not above zero"),
        ("identity_certificate_days", "many", "no number"),
        ("identity_certificate_days", "4000", "above 3650"),
        ("ca_key", "P-111", "none of P-256"),
        ("backup_hours", "12", "--backup-passphrase"),
        ("session_minutes", "12", "--session-minutes"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(api: Api, name: str, value: str, reason: str):
    before = setting(api, name)
    answer = api.on(OWN).patch(f"/settings/{name}", {"value": value})
    assert answer.status == 400
    assert reason in str(answer.error)
    assert setting(api, name) == before


def test_what_the_process_was_told_wins(make_controller):
    server = make_controller("--identity-certificate-days", "30")
    api = server.admin()
    answer = api.on(OWN).patch("/settings/identity_certificate_days", {"value": "20"})
    assert (answer.status, "flag --identity-certificate-days" in str(answer.error)) == (400, True)
    sql(server, "INSERT INTO meta (key, value) VALUES ('setting.identity_certificate_days', '20')")
    assert setting(api, "identity_certificate_days")["value"] == "30"


def test_there_is_no_other_setting(api: Api):
    for name in ("nothing", "url", "token"):
        assert api.on(OWN).get(f"/settings/{name}").status == 404


def test_the_backup_clock_is_set_while_it_runs(make_controller):
    server = make_controller("--backup-passphrase", "correct horse")
    api = server.admin().on(OWN)
    assert api.get("/backups").ok() == []
    api.patch("/settings/backup_hours", {"value": "24"}).ok()
    wait_until(lambda: [b["kind"] for b in api.get("/backups").ok()] == ["auto"], 90)
