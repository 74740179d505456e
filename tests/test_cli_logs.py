"""The logs and the dry run on the command line: why something did not enroll, and who did what."""

from __future__ import annotations

import csv
import json
import re

from cryptography.hazmat.primitives.serialization import Encoding

from tests.certificates import CA
from tests.flows import by_name, import_ca, pending, unique


def test_a_refusal_is_found_with_its_reason(anywhere, api):
    name = unique("box")
    jwt = anywhere.run("identity", "create", name, "--output", "jwt").strip()
    anywhere.run("enroll", jwt, "--out", "first.json")
    anywhere.run("enroll", jwt, "--out", "second.json", code=1)
    shown = anywhere.run("attempt", "list", f'kind = "enroll" and identityName = "{name}"').splitlines()
    assert shown[0].split() == ["WHEN", "KIND", "METHOD", "OUTCOME", "WHO", "FROM", "REASON"]
    assert [line.split()[3] for line in shown[1:]] == ["refused", "ok"]
    assert "used" in shown[1]
    (newest,) = anywhere.json("attempt", "list", f'identityName = "{name}"', "--limit", 1)
    assert newest["reason"] in anywhere.run("attempt", "get", newest["id"])


def test_a_script_waits_for_a_device(anywhere, api):
    """What it waits for comes, before or after it began to wait, and it ends; what never comes is an exit code."""
    key, found = pending(api, "ott")
    where = f'kind = "enroll" and outcome = "ok" and identityId = "{key}"'
    words = ("attempt", "watch", where, "--since", "1h", "--count", 1, "--within", "40s")
    with anywhere.start(*words, "--output", "json") as watching:
        anywhere.run("enroll", found["jwt"], "--out", "box.json")
        assert json.loads(watching.stdout.readline())["identityId"] == key
    assert watching.returncode == 0
    shown = anywhere.run(*words).splitlines()
    assert [line.split()[1] for line in shown] == ["KIND", "enroll"]
    assert anywhere.run_code("attempt", "watch", 'kind = "nothing"', "--count", 1, "--within", "1s", code=1) == ""
    assert anywhere.run("attempt", "watch", 'kind = "nothing"', "--within", "1s") == ""


def test_only_what_is_new_is_watched(cli, api):
    """Without --since it begins with what comes after it; at a terminal it says when that is."""
    name = unique("box")
    pending(api, "ott", name=name)
    where = f'entityName = "{name}"'
    seen = cli.at_terminal(
        *("audit", "watch", where, "--count", 1),
        typed=(("waiting", lambda: api.delete(f"/identities/{by_name(api, '/identities', name)[0]['id']}").ok()),),
    )
    assert re.findall(r" (create|delete) +identities", seen) == ["delete"]
    assert "stopped" in cli.at_terminal("audit", "watch", where, typed=(("waiting", "\x03"),), code=130)


def test_who_did_what(anywhere, controller):
    name = unique("box")
    anywhere.run("identity", "create", name)
    anywhere.run("identity", "tag", name, "--add", "lab")
    rows = [line.split() for line in anywhere.run("audit", "list", f'entityName = "{name}"').splitlines()[1:]]
    assert [row[3:] for row in rows] == [
        ["update", "identities", name, "role_attributes", "updated_at"],
        ["create", "identities", name, "-"],
    ]
    assert {row[1] for row in rows} == {controller.admin_user}


def test_a_log_goes_into_a_file(anywhere):
    name = unique("box")
    anywhere.run("identity", "create", name)
    anywhere.run("audit", "export", "audit.csv", f'entityName = "{name}"')
    with (anywhere.folder / "audit.csv").open(newline="") as file:
        assert [row["verb"] for row in csv.DictReader(file)] == ["create"]
    anywhere.run("attempt", "export", "attempts.jsonl")
    assert all("reason" in json.loads(line) for line in (anywhere.folder / "attempts.jsonl").read_text().splitlines())
    assert ".csv or .jsonl" in anywhere.run("audit", "export", "audit.txt", code=2)
    assert "is there already" in anywhere.run("audit", "export", "audit.csv", code=2)


# --- dry run


def test_it_is_foretold_who_would_join(anywhere, api):
    root = CA.root(unique("root"))
    ca = import_ca(api, root, identityRoles=["plant"], isAuthEnabled=False)
    device = root.leaf(unique("box"))
    (anywhere.folder / "box.pem").write_text(device.pem)
    told = anywhere.run("dry-run", "--cert", "box.pem")
    assert told.startswith("yes: it would join as '")
    assert "attributes: plant" in told
    assert "could not connect afterwards" in told
    (anywhere.folder / "box.der").write_bytes(device.certificate.public_bytes(Encoding.DER))
    assert anywhere.json("dry-run", "--cert", "box.der")["accepted"]
    api.patch(f"/cas/{ca}", {"isAutoCaEnrollmentEnabled": False}).ok()
    told = anywhere.run_code("dry-run", "--cert", "box.pem", code=1)
    assert told.startswith("no: ")
    assert "isAutoCaEnrollmentEnabled" in told
    assert "the device would be told: 4" in told


def test_a_token_is_judged(cli, api):
    key, found = pending(api, "ott")
    assert "would enroll by ott" in cli.run("dry-run", "--jwt", found["jwt"])
    api.delete(f"/identities/{key}").ok()
    (cli.folder / "box.jwt").write_text(found["jwt"])
    assert cli.run_code("dry-run", "--jwt", "box.jwt", code=1).startswith("no: ")
    assert "--jwt" in cli.run("dry-run", code=2)
