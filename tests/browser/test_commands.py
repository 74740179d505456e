"""The commands that the console shows: each is read by the shell, each word is one that its program knows.

Those that can run here do: curl, openssl and zitilite below, those of an authority in test_authorities.py. The words
of the others are from their public documentation: docs.openziti.io (`ziti edge enroll`, `ziti pki create client`,
`ziti router`, ziti-edge-tunnel, the container images and Linux packages), docs.docker.com,
smallstep.com/docs/cli/certificate/create, developer.hashicorp.com/vault/api-docs/secret/pki.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.certificates import CA
from tests.controllers import MANAGEMENT, ROOT, Api, Controller, child_environment
from tests.events import OWN
from tests.flows import identity_body, import_ca, pending, text_time, unique

METHODS = ("ott", "ottca", "updb", "ca", "erott", "trott")
KNOWN = {
    "ziti edge enroll": {"--jwt", "--out", "--cert", "--key"},
    "ziti pki create client": {"--pki-root", "--ca-name", "--client-name", "--client-file"},
    "ziti create config router edge": {"--routerName", "--output"},
    "ziti router enroll": {"--jwt"},
    "ziti router run": set(),
    "ziti-edge-tunnel enroll": {"--jwt", "--identity", "--cert", "--key"},
    "ziti-edge-tunnel run": {"--identity"},
    "docker run": {
        *("--detach", "--name", "--restart", "--network", "--cap-add", "--device", "--env", "--volume", "--publish"),
    },
    "docker compose up": {"--detach"},
    "step certificate create": {"--ca", "--ca-key", "--not-after", "--no-password", "--insecure"},
    "vault write": {"-format=json"},
    "systemctl": {"--now"},
    "install": {"-o", "-g", "-m"},
    "zitilite enroll": {"--out", "--cert", "--key"},
    "zitilite trust": {"--out"},
}
VARIABLES = {
    *("ZITI_ENROLL_TOKEN", "ZITI_IDENTITY_BASENAME", "ZITI_IDENTITY_JSON"),
    *("ZITI_CTRL_ADVERTISED_ADDRESS", "ZITI_CTRL_ADVERTISED_PORT", "ZITI_ROUTER_ADVERTISED_ADDRESS"),
}


@pytest.fixture(scope="module")
def shown(browser, controller: Controller) -> Iterator[dict[str, Any]]:
    """What the console's own modules make: recipes by method, and the proofs of an authority."""
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.goto(controller.url + "/console")
    yield page.evaluate(
        """async ([methods, iss]) => {
          const { recipes } = await import("/static/js/ready.js");
          const { proofCommands, joinCommands } = await import("/static/js/authorities.js");
          const jwt = `e30.${btoa(JSON.stringify({ jti: "JTI" }))}.x`;
          const of = (method) => recipes({ method, file: "box-1", jwt, iss, username: "ada" });
          return {
            recipes: Object.fromEntries(methods.map((m) => [m, of(m)])),
            proofs: proofCommands("TOKEN", { cert: "my ca.pem", key: "" }),
            joins: joinCommands("my token.jwt", iss),
          };
        }""",
        [list(METHODS), controller.url],
    )
    context.close()


def codes(shown: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """All of them, with where each stands."""
    for method, recipes in shown["recipes"].items():
        for recipe in recipes:
            for step in recipe["steps"]:
                if step.get("code"):
                    yield f"{method}/{recipe['id']}", step["code"]
    for kind in ("proofs", "joins"):
        yield from ((f"{kind}/{one['id']}", one["text"]) for one in shown[kind])


def is_shell(place: str, code: str) -> bool:
    return not code.startswith("services:") and not place.endswith("/windows")


def test_the_shell_reads_each(shown):
    for place, code in codes(shown):
        if is_shell(place, code):
            done = subprocess.run(["bash", "-n", "-c", code], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, ""), f"{place}: {code}"


def test_each_word_is_known_to_its_program(shown):
    seen = set()
    for place, code in codes(shown):
        for line in code.replace("\\\n", " ").splitlines():
            for program, flags in KNOWN.items():
                found = re.search(rf"(?:^|\s|;){re.escape(program)}(?=\s)([^|;]*)", line)
                if found and not line.startswith("#"):
                    seen.add(program)
                    used = set(re.findall(r"(?<=\s)--?[A-Za-z][\w=-]*", found[1]))
                    assert used <= flags, f"{place}: {sorted(used - flags)} in {line}"
    assert seen == set(KNOWN)


def test_variables_are_those_of_the_images_and_packages(shown):
    used = {name for _, code in codes(shown) for name in re.findall(r"\bZITI_[A-Z_]+", code)}
    assert used == VARIABLES


def test_compose_files_are_yaml_with_what_a_service_needs(shown):
    files = [code for _, code in codes(shown) if code.startswith("services:")]
    assert len(files) >= 4
    for text in files:
        read = yaml.safe_load(text)
        [service] = read["services"].values()
        assert service["image"] in ("openziti/ziti-edge-tunnel", "openziti/ziti-router")
        volumes = {volume.partition(":")[0] for volume in service["volumes"]}
        assert volumes == set(read["volumes"])
        assert set(service["environment"]) <= VARIABLES


@pytest.mark.parametrize("recipe", ["curl", "zitilite"])
def test_a_device_joins_by_the_lines_as_they_stand(
    visit, controller: Controller, api: Api, tmp_path: Path, recipe: str
):
    """The token page's own lines, one after the other in a folder with the downloaded token."""
    key, e = pending(api, "ott")
    (tmp_path / "device.jwt").write_text(e["jwt"])
    page = visit(controller, signed_in=False)
    recipes = page.evaluate(
        """async (jwt) => {
          const { recipes } = await import("/static/js/ready.js");
          return recipes({ method: "ott", file: "device", jwt, iss: location.origin });
        }""",
        e["jwt"],
    )
    [chosen] = [r for r in recipes if r["id"] == recipe]
    lines = "\n".join(step["code"] for step in chosen["steps"] if step.get("code"))
    program = tmp_path / "zitilite"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT / "app.py"} "$@"\n')
    program.chmod(0o755)
    environment = {**child_environment(), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert api.get(f"/identities/{key}/authenticators").ok()


def test_what_vault_answers_becomes_a_proof(shown, tmp_path: Path):
    """The pipeline behind `vault write`, with an answer as Vault's documentation shows it."""
    ca = CA.root("Vault")
    answer = {"data": {"certificate": ca.leaf("TOKEN").pem.strip(), "ca_chain": [ca.pem.strip()], "private_key": "x"}}
    program = tmp_path / "vault"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    program.chmod(0o755)
    [code] = [one["text"] for one in shown["proofs"] if one["id"] == "vault"]
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-euo", "pipefail", "-c", code], cwd=tmp_path, env=environment, check=True)
    proof = tmp_path / "proof.pem"
    assert proof.read_text().count("BEGIN CERTIFICATE") == 2
    done = subprocess.run(
        ["openssl", "x509", "-in", proof, "-noout", "-subject"], capture_output=True, text=True, check=True
    )
    assert "TOKEN" in done.stdout


@pytest.mark.skipif(shutil.which("systemd-escape") is None, reason="no systemd here")
def test_a_service_of_the_packages_is_started_by_names_that_systemd_takes(shown):
    units = {u for _, code in codes(shown) for u in re.findall(r"\b[\w-]+\.service\b", code)}
    assert units == {"ziti-edge-tunnel.service", "ziti-router.service"}
    for unit in units:
        done = subprocess.run(["systemd-escape", "--mangle", unit], capture_output=True, text=True, check=False)
        assert done.stdout.strip() == unit


LINES: list[tuple[dict[str, Any], str]] = [
    ({"method": "GET", "path": f"{MANAGEMENT}/identities", "query": {"filter": 'name = "{box}"'}}, "{box}"),
    ({"method": "GET", "path": f"{MANAGEMENT}/identities/{{id}}"}, "{box}"),
    ({"method": "GET", "path": f"{MANAGEMENT}/identities/{{id}}", "accept": "application/jwt"}, "ey"),
    (
        {
            "method": "POST",
            "path": f"{MANAGEMENT}/identities",
            "body": {"name": "{box} 2", "enrollment": {"ott": True}},
        },
        "",
    ),
    (
        {"method": "POST", "path": f"{OWN}/bulk", "body": {"action": "renew", "ids": ["{id}"], "expiresAt": "{soon}"}},
        "renewed",
    ),
    (
        {
            "method": "POST",
            "path": f"{OWN}/bulk",
            "body": {
                "action": "tag",
                "filter": 'name = "{box}"',
                "roleAttributes": {"add": ["a b"], "remove": ["c"]},
                "tags": {"set": {"rack": "it's 4"}, "remove": ["site"]},
                "onError": "skip",
            },
        },
        "tagged",
    ),
    ({"method": "POST", "path": f"{OWN}/bulk", "body": {"action": "delete", "filter": 'name = "{box} 2"'}}, "deleted"),
    (
        {
            "method": "POST",
            "path": f"{OWN}/bulk",
            "body": {"action": "renew", "names": ["{box}"], "durationMinutes": 9},
        },
        "{box} is",
    ),
    (
        {
            "method": "POST",
            "path": f"{OWN}/bulk",
            "body": {"action": "disable", "ids": ["{id}"], "durationMinutes": 90},
        },
        "disabled",
    ),
    ({"method": "GET", "path": f"{MANAGEMENT}/cas/{{ca}}/jwt", "accept": "application/jwt"}, "ey"),
    ({"method": "GET", "path": f"{OWN}/attempts", "query": {"filter": 'kind = "login"'}}, "logged in"),
    ({"method": "GET", "path": f"{OWN}/audit", "query": {"filter": 'entityId = "{id}"'}}, "{box}"),
    ({"method": "GET", "path": f"{OWN}/certificates", "query": {"filter": 'kind = "root"'}}, "root"),
    ({"method": "GET", "path": f"{OWN}/addresses"}, "127.0.0.1"),
    ({"method": "GET", "path": f"{OWN}/blocked-certificates"}, "SERIAL"),
    ({"method": "GET", "path": f"{OWN}/api-tokens"}, "SCOPE"),
    ({"method": "DELETE", "path": f"{MANAGEMENT}/identities/{{id}}"}, "deleted"),
]


def test_what_is_copied_as_zitilite_does_the_same(visit, controller: Controller, api: Api, tmp_path: Path):
    """Each with a session's token, as the page says, in a shell that has the command."""
    box = unique("box")
    key = api.create("/identities", identity_body(name=box, enrollment={"ott": True}))
    text = (
        json.dumps([call for call, _ in LINES])
        .replace("{box}", box)
        .replace("{id}", key)
        .replace("{ca}", import_ca(api, CA.root(unique("root"))))
    )
    page = visit(controller, signed_in=False)
    lines = page.evaluate(
        """async (calls) => {
          const { asCli } = await import("/static/js/curl.js");
          return calls.map(asCli);
        }""",
        json.loads(text.replace("{soon}", text_time(days=1))),
    )
    (tmp_path / "zitilite").write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT / "app.py"} "$@"\n')
    (tmp_path / "zitilite").chmod(0o755)
    secrets = {"ZT_TOKEN": str(api.http.headers["zt-session"]), "ZT_CA": str(controller.ca_file())}
    environment = {**child_environment(), **secrets, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for line, (_, expected) in zip(lines, LINES, strict=True):
        done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        assert expected.replace("{box}", box) in done.stdout, line


def test_what_has_no_line_is_not_offered(visit, controller: Controller):
    """No line is better than one that says less than the request."""
    page = visit(controller, signed_in=False)
    calls: list[dict[str, Any]] = [
        {"method": "GET", "path": f"{MANAGEMENT}/identities/x/services"},
        {"method": "GET", "path": f"{MANAGEMENT}/identities/x", "accept": "image/svg+xml"},
        {"method": "POST", "path": f"{MANAGEMENT}/identities", "body": {"name": "x", "authPolicyId": "y"}},
        {"method": "POST", "path": f"{OWN}/bulk", "body": {"action": "create", "rows": [{"name": "x"}]}},
        {"method": "POST", "path": f"{OWN}/bulk", "body": {"action": "tag", "entity": "transit-routers", "ids": ["x"]}},
        {"method": "POST", "path": f"{OWN}/certificates/rollover", "body": {"what": "root", "startOver": True}},
        {"method": "PATCH", "path": f"{MANAGEMENT}/identities/x", "body": {"name": "y"}},
    ]
    found = page.evaluate(
        """async (calls) => {
          const { asCli } = await import("/static/js/curl.js");
          return calls.map(asCli);
        }""",
        calls,
    )
    assert found == [""] * len(calls)
