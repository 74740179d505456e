"""The command line, as a person and as a script use it: on a data folder and on a controller elsewhere."""

from __future__ import annotations

import json
import stat
import subprocess
import zipfile

import pytest

import tokens
from tests.certificates import CA
from tests.cli import Cli
from tests.controllers import CLIENT
from tests.flows import certified, pending, read_chain, unique


def test_without_a_controller_it_says_what_to_name(tmp_path):
    complaint = Cli(tmp_path).run("identity", "list", "--data", tmp_path / "none", code=1)
    assert "holds no controller" in complaint
    assert "--url" in complaint
    assert not (tmp_path / "none").exists()


def test_an_identity_from_its_making_to_its_end(cli, api):
    name = unique("box")
    made = cli.json("identity", "create", name, "-a", "lab", "--tag", "site=plant-7", "--expires", "3h")
    assert made["roleAttributes"] == ["lab"]
    assert made["tags"] == {"site": "plant-7"}
    assert name in cli.run("identity", "list", f'name = "{name}"')
    assert [row["name"] for row in cli.json("identity", "list", f'name = "{name}"')] == [name]
    assert cli.json("identity", "get", name)["id"] == made["id"]
    assert cli.run("identity", "token", name).count(".") == 2
    assert "is deleted" in cli.run("identity", "delete", name)
    assert api.get(f"/identities/{made['id']}").status == 404


def test_a_name_that_is_another_ones_id_does_not_lead_astray(cli, api):
    first = api.create("/identities", {"name": unique(), "type": "Default", "isAdmin": False})
    api.create("/identities", {"name": first, "type": "Default", "isAdmin": False})
    assert cli.json("identity", "get", first)["id"] == first


def test_a_token_as_the_only_output(cli):
    assert cli.run("identity", "create", unique("box"), "--output", "jwt").strip().count(".") == 2
    assert cli.run("router", "create", unique("router"), "--output", "jwt").strip().count(".") == 2


def test_all_that_is_known_is_shown(cli):
    """References by their names, tags with their values; a token is hinted at, not spread over the screen."""
    name = unique("box")
    hint = cli.run("identity", "create", name, "--tag", "site=7").splitlines()[-1]
    assert hint == f"its token: zitilite --data {cli.flags[1]} identity token {name}"
    shown = dict(line.split(maxsplit=1) for line in cli.run("identity", "get", name).splitlines())
    assert (shown["name"], shown["authPolicy"], shown["tags"]) == (name, "Default", "site=7")
    assert shown["enrollment"].startswith("ott=")
    assert shown["enrollment"].endswith("…")


def test_both_ways_do_the_same(anywhere, api):
    name = unique("box")
    made = anywhere.json("identity", "create", name, "--method", "updb", "--username", name)
    assert f" {name} " in anywhere.run("identity", "list", f'name = "{name}"')
    assert anywhere.json("identity", "get", made["id"])["enrollmentState"] == "pending"
    assert "duplicate value" in anywhere.run("identity", "create", name, code=1)
    anywhere.run("identity", "delete", name)
    anywhere.run("identity", "get", name, code=3)


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["identity", "get", "nobody-there"], 3, "nobody-there"),
        (["identity", "create", "x", "--method", "ottca"], 2, "--ca"),
        (["identity", "list", "nosuch = 1"], 1, "unknown symbol"),
        (["identity", "create", "x", "--expires", "soon"], 2, "like 3h"),
        (["identity", "create", "x", "--method", "none", "--output", "jwt"], 2, "no token"),
        (["ca", "create", "x", "--cert", "x.pem", "--output", "jwt"], 2, "invalid choice"),
        (["ca", "create", "x", "--cert", "missing.pem"], 2, "missing.pem"),
        (["enroll", "missing.jwt"], 2, "missing.jwt"),
        (["trust", "127.0.0.1:1"], 5, "cannot be reached"),
        (["identity", "list", "--url", "https://127.0.0.1:1"], 5, "cannot be reached"),
        (["identity", "list", "--url", "http://127.0.0.1:1"], 2, "https://"),
        (["nonsense"], 2, "invalid choice"),
    ],
)
def test_failures_have_codes_and_reasons(cli, words, code, why):
    assert why in cli.run(*words, code=code)


def test_a_ca_is_imported_verified_and_used_by_the_enroller(cli, controller, tmp_path):
    """The whole way of an appliance vendor: import, prove, hand out the token, enroll a box."""
    ca, name = CA.root("Plant 7"), unique("plant")
    (tmp_path / "ca.pem").write_text(ca.pem)
    made = cli.json("ca", "create", name, "--cert", "ca.pem", "-a", "plant", "--name-format", "[commonName]")
    assert not made["isVerified"]
    (tmp_path / "proof.pem").write_text(ca.leaf(made["verificationToken"]).pem)
    assert "is verified" in cli.run("ca", "verify", name, "--cert", "proof.pem")
    device = ca.leaf(unique("box"))
    cert, key = device.write(tmp_path)
    (tmp_path / "ca.jwt").write_text(cli.run("ca", "token", name))
    assert "by ca" in cli.run("enroll", "ca.jwt", "--cert", cert, "--key", key, "--out", "box.json")
    client = controller.api((cert, key)).on(CLIENT)
    assert client.post("/authenticate", {}, params={"method": "cert"}).status == 200
    changed = cli.json("ca", "change", name, "--auth", "off", "--ottca", "off")
    assert (changed["isAuthEnabled"], changed["isOttCaEnrollmentEnabled"]) == (False, False)
    assert changed["isAutoCaEnrollmentEnabled"]
    assert client.post("/authenticate", {}, params={"method": "cert"}).status == 401
    assert "--auto, --ottca or --auth" in cli.run("ca", "change", name, code=2)


def test_enrolling_by_ott_writes_a_private_file_that_logs_in(cli, controller, api, tmp_path):
    key, found = pending(api, "ott")
    (tmp_path / "box.jwt").write_text(found["jwt"])
    cli.run("enroll", "box.jwt")
    file = tmp_path / "box.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    document = json.loads(file.read_text())
    assert document["ztAPI"] == f"{controller.url}{CLIENT}"
    parts = {name: text.removeprefix("pem:") for name, text in document["id"].items()}
    (tmp_path / "c.pem").write_text(parts["cert"])
    (tmp_path / "k.pem").write_text(parts["key"])
    client = controller.api((tmp_path / "c.pem", tmp_path / "k.pem")).on(CLIENT)
    session = client.post("/authenticate", {}, params={"method": "cert"}).ok()
    assert session["identityId"] == key
    assert read_chain(parts["cert"]).certificate.subject
    assert "is there already" in cli.run("enroll", "box.jwt", code=2)


def test_enrolling_by_password(cli, controller, api):
    user = unique("user")
    _, found = pending(api, "updb", user)
    assert "needs a password" in cli.run("enroll", found["jwt"], code=2)
    cli.run("enroll", found["jwt"], "--password", "a long password")
    controller.api().on(CLIENT).login(user, "a long password")


def test_a_token_of_another_controller_is_not_sent_anywhere(cli, make_controller, api):
    """The signature is checked against what the issuer's address serves, before anything is sent."""
    other = make_controller()
    _, found = pending(other.admin(), "ott")
    header, claims, _ = found["jwt"].split(".")
    _, ours = pending(api, "ott")
    forged = ".".join([header, claims, ours["jwt"].split(".")[2]])
    assert "was not signed by" in cli.run("enroll", forged, code=1)


def test_trust_shows_the_root_and_writes_the_bundle(cli, controller, tmp_path):
    shown = cli.run("trust", f"127.0.0.1:{controller.port}", "--out", "roots.pem")
    assert "SHA-256" in shown
    assert (tmp_path / "roots.pem").read_text() == controller.ca_pem()


def test_an_untrusted_controller_is_named_with_the_way_out(cli, controller):
    complaint = cli.run("identity", "list", "--url", controller.url, "--token", "x", code=5)
    assert "--trust" in complaint
    assert "zitilite trust 127.0.0.1" in complaint


def test_another_administrator(cli, controller):
    made = cli.json("admin", "create", unique("boss"))
    controller.api().login(made["username"], made["password"])


def test_half_an_administrator_is_not_left_behind(cli, api):
    """Where the login's name is taken, there is no identity afterwards that nobody can log in to."""
    name = unique("boss")
    first = cli.json("admin", "create", name)
    api.patch(f"/identities/{first['id']}", {"name": unique()}).ok()
    assert name in cli.run("admin", "create", name, code=1)
    assert api.get("/identities", filter=f'name = "{name}"').data == []


COMPLETE = """
source ./zitilite.sh
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_shtab_zitilite
echo "${COMPREPLY[*]}"
"""


def test_completion_completes(cli, tmp_path):
    """What the script offers in bash, asked as bash asks it."""
    (tmp_path / "zitilite.sh").write_text(cli.run("completion", "bash"))

    def offered(*words: str) -> list[str]:
        asked = ["bash", "-c", COMPLETE, "bash", "zitilite", *words]
        return subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()

    assert {"run", "identity", "attempt", "enroll", "backup"} <= set(offered(""))
    assert offered("ident") == ["identity"]
    assert {"create", "token", "reissue"} <= set(offered("--data", "x", "identity", ""))
    assert offered("ca", "ver") == ["verify"]
    assert offered("identity", "create", "box", "--method", "") == ["ott", "ottca", "updb", "none"]


@pytest.mark.parametrize("shell", ["zsh", "tcsh", "fish", "powershell"])
def test_other_shells_get_a_script_as_well(cli, shell):
    assert "zitilite" in cli.run("completion", shell)


def test_no_header_makes_a_caller_local(controller, api):
    """The mark of a command on the data folder is set inside the process, where no request reaches."""
    for header in ("zitilite.local", "zitilite-local", "HTTP_zitilite.local"):
        answer = controller.api().on("/edge/management/v1").call("GET", "/identities", headers={header: "1"})
        assert answer.status == 401


def test_commands_do_not_disturb_a_running_controller(cli, controller, api, tmp_path):
    """They open the same files: certificates stay as they are, sessions go on."""
    before = controller.ca_pem()
    _, issued, _ = certified(controller, api, tmp_path)
    cli.run("identity", "list")
    assert controller.ca_pem() == before
    assert api.get("/version").status == 200
    assert issued.certificate.not_valid_after_utc


def test_the_first_start_without_serving(tmp_path):
    """`init` makes all that `run` would, once, and says what to keep."""
    cli = Cli(tmp_path, "--data", "fresh")
    shown = cli.run("init", "--advertise", "ziti.lab.example", "--listen", "127.0.0.1:2280")
    assert "console   https://ziti.lab.example:2280/" in shown
    assert "password" in shown
    assert "root CA   SHA-256" in shown
    assert "already" in cli.run("init", code=1)
    token = cli.run("identity", "create", "box", "--output", "jwt").strip()
    assert tokens.peek(token)[1]["iss"] == "https://ziti.lab.example:2280"


def test_a_backup_and_its_return_on_another_machine(cli, tmp_path):
    name = unique("box")
    cli.run("identity", "create", name)
    (tmp_path / "secret").write_text("a good passphrase\n")
    cli.run("backup", "all.age", "--passphrase-file", "secret")
    assert stat.S_IMODE((tmp_path / "all.age").stat().st_mode) == 0o600
    assert "there already" in cli.run("backup", "all.age", "--passphrase-file", "secret", code=2)
    assert "can be restored" in cli.run("restore", "--check", "all.age", "--passphrase-file", "secret")
    (tmp_path / "wrong").write_text("another passphrase")
    assert "wrong passphrase" in cli.run("restore", "--check", "all.age", "--passphrase-file", "wrong", code=1)
    typed = (("for the backup: ", "a typed passphrase\n"), ("once more: ", "a typed passphrase\n"))
    assert "written: typed.age" in cli.at_terminal("backup", "typed.age", typed=typed)
    assert "can be restored" in cli.at_terminal(
        *("restore", "--check", "typed.age"), typed=(("passphrase: ", "a typed passphrase\n"),)
    )
    slip = (typed[0], ("once more: ", "a typed passphrasr\n"))
    assert "not the same" in cli.at_terminal("backup", "slip.age", typed=slip, code=2)
    assert not (tmp_path / "slip.age").exists()
    assert "stopped" in cli.at_terminal("backup", "slip.age", typed=(("for the backup: ", "\x04"),), code=130)
    assert "passphrase is needed" in cli.run("restore", "all.age", "--data", "new", code=2)
    cli.run("restore", "all.age", "--data", "new", "--passphrase-file", "secret")
    assert name in cli.run("identity", "list", f'name = "{name}"', "--data", "new")
    assert "not empty" in cli.run("restore", "all.age", "--data", "new", "--passphrase-file", "secret", code=1)


def csv_of(names: list[str], extra: str = "") -> str:
    return "name,roleAttributes\n" + "".join(f"{name},plant\n" for name in names) + extra


def test_a_csv_file_becomes_identities_with_their_tokens(cli, api, tmp_path):
    names = [unique("row") for _ in range(300)]
    (tmp_path / "boxes.csv").write_text(csv_of(names))
    assert "300 lines, 0 refused; would be made" in cli.run("import", "boxes.csv", "--dry-run")
    assert api.get("/identities", filter=f'name = "{names[0]}"').data == []
    assert "300 made" in cli.run("import", "boxes.csv", "--tokens", "tokens.zip")
    with zipfile.ZipFile(tmp_path / "tokens.zip") as archive:
        assert {f"{name}.jwt" for name in names} < set(archive.namelist())
    assert len(api.get("/identities", filter=f'name in ["{names[0]}", "{names[299]}"]').data) == 2


def test_wrong_lines_of_a_csv_file_are_named_and_nothing_is_written(cli, api, tmp_path):
    good = unique("row")
    (tmp_path / "boxes.csv").write_text(csv_of([good], extra=f",plant\n{good},plant\n"))
    told = cli.run_code("import", "boxes.csv", code=1)
    assert "line 3" in told
    assert "line 4" in told
    assert "3 lines, 2 refused; nothing was written" in told
    assert api.get("/identities", filter=f'name = "{good}"').data == []
    assert "1 made" in cli.run_code("import", "boxes.csv", "--skip", code=1)
    assert len(api.get("/identities", filter=f'name = "{good}"').data) == 1


def test_doctor_says_how_things_are_by_words_and_by_its_exit_code(cli, make_controller, tmp_path):
    server = make_controller()
    healthy = Cli(tmp_path, "--data", str(server.data), database=server.database)
    found = json.loads(healthy.run_code("doctor", "--output", "json", code=1))
    assert [check["id"] for check in found if check["state"] != "ok"] == ["backup"]
    backup = ("--passphrase-file", "secret")
    (tmp_path / "secret").write_text("a good passphrase")
    healthy.run("backup", *backup)
    assert "ok" in healthy.run("doctor")
    key = server.data / "pki" / "server.key"
    key.chmod(0o644)
    assert "server.key" in healthy.run_code("doctor", code=2)
