"""The command: first and later starts, stopping, settings, what is said when something is wrong."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sqlite3
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import jwt
import pytest
from cryptography import x509

import config
from tests.certificates import CA, SERVER_AUTH, csr
from tests.controllers import ROOT, Api, Controller, child_environment
from tests.flows import PEM, enroll, password_login, pending, public_pem, read_chain, served_certificate, with_password

FIRST_WORDS = re.compile(r"console\s+(https://\S+:\d+)/")


def run(*words: object, seconds: float = 30, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    env = {**child_environment(), **environment}
    command = [sys.executable, "app.py", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=seconds, check=False)


@contextlib.contextmanager
def started(folder: Path, *words: str, environment: dict[str, str] | None = None) -> Iterator[list[str]]:
    """Run the server until the block ends; the list holds its output up to the console's address, at the end all."""
    command = [sys.executable, "app.py", "--data", str(folder), *words]
    env = {**child_environment(), **(environment or {})}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
        assert p.stdout is not None
        assert p.stderr is not None
        output: list[str] = []
        try:
            while not output or not FIRST_WORDS.search(output[-1]):
                line = p.stdout.readline()
                assert line, p.stderr.read()
                output.append(line)
            yield output
        finally:
            p.terminate()
            output += p.stdout.readlines()
            p.stderr.read()
            assert p.wait(15) == 0


def address(output: list[str]) -> str:
    found = FIRST_WORDS.search("".join(output))
    assert found
    return found[1]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- starting


def test_first_start_makes_everything_and_prints_the_password_once(tmp_path):
    """With nothing but a folder: keys and database only for the owner, a password that works, printed once."""
    data = tmp_path / "data"
    with started(data, "--listen", "127.0.0.1:0") as output:
        url = address(output)
    text = "".join(output)
    password = re.search(r"user admin\s+password (\S+)", text)
    assert password
    assert str(data.resolve()) in text
    assert re.match(r"zitilite \d+\.\d+", text)
    assert not url.endswith(":0")
    assert mode(data) == mode(data / "pki") == 0o700
    keys = sorted(file.name for file in (data / "pki").glob("*.key"))
    assert keys == ["intermediate.key", "root.key", "server.key"]
    private = [*(data / "pki").glob("*.key"), *data.glob("zitilite.db*"), data / "lock"]
    assert {file.name: mode(file) for file in private if mode(file) != 0o600} == {}

    with started(data, "--listen", url.removeprefix("https://")) as again:
        server = Controller(tmp_path / "client")
        server.url = address(again)
        server.api().login("admin", password[1])
    assert "password" not in "".join(again)


def test_given_password_is_not_printed(tmp_path):
    """A password that the operator chose is never shown."""
    chosen = "a-chosen-password"
    environment = {"ZITILITE_ADMIN_PASSWORD": chosen}
    with started(tmp_path / "data", "--listen", "127.0.0.1:0", environment=environment) as lines:
        server = Controller(tmp_path / "client")
        server.url = address(lines)
        server.api().login("admin", chosen)
    assert chosen not in "".join(lines)


def test_second_start_on_the_same_folder_is_refused(make_controller):
    """Two servers never share a data folder; the second says who holds it, and the first goes on."""
    server = make_controller()
    done = run("--data", server.data, "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert f"in use by another zitilite (process {server.pid})" in done.stderr
    assert "Traceback" not in done.stderr
    server.admin().get("/version").ok()


def test_port_that_is_taken_is_named(tmp_path):
    """When another program has the port, the text names it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        done = run("--data", tmp_path / "data", "--listen", f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr


def test_sigterm_ends_it_whatever_clients_do(make_controller):
    """Idle, half-shaken and half-sent connections do not keep the server from ending cleanly."""
    server = make_controller()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.ExitStack() as stack:
        stalled = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        stalled.sendall(b"\x16\x03\x01")
        idle, half = (
            stack.enter_context(
                context.wrap_socket(stack.enter_context(socket.create_connection(("127.0.0.1", server.port))))
            )
            for _ in range(2)
        )
        idle.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(12) == b"HTTP/1.1 200"
        half.sendall(b"POST /authenticate HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert server.stop() == 0
    assert "they are killed" not in server.stderr()


def test_log_is_json_lines(make_controller):
    """With --log-format json each line of the log is an object with time, level, logger and message."""
    server = make_controller()
    server.admin().get("/identities").ok()
    server.stop()
    lines = [json.loads(line) for line in server.stderr().splitlines()]
    assert any(line["message"].startswith("GET /edge/management/v1/identities 200") for line in lines)
    for line in lines:
        assert {"time", "level", "logger", "message"} <= line.keys()


# --- data that cannot be used


def refused_start(server: Controller) -> str:
    """Start on the server's data and give what it says on refusing."""
    done = run("--data", server.data, "--listen", "127.0.0.1:0")
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def test_newer_database_is_refused(make_controller):
    """A database of a later version is left alone, with a word on what to do."""
    server = make_controller()
    server.stop()
    with closing(sqlite3.connect(server.data / "zitilite.db")) as connection:
        connection.execute("PRAGMA user_version = 999")
    text = refused_start(server)
    assert "newer zitilite" in text
    with closing(sqlite3.connect(server.data / "zitilite.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (999,)


@pytest.mark.parametrize("where", ["header", "schema"])
def test_damaged_database_is_named(make_controller, where):
    """A damaged database file gives its path and what to do, not a traceback; nothing is overwritten."""
    server = make_controller()
    server.stop()
    file = server.data / "zitilite.db"
    content = bytearray(file.read_bytes())
    start = {"header": 0, "schema": 100}[where]
    content[start : start + 4000] = os.urandom(4000)
    file.write_bytes(content)
    text = refused_start(server)
    assert str(file) in text
    assert "backup" in text
    assert file.read_bytes()[:4000] == content[:4000]


@pytest.mark.parametrize("name", ["intermediate.key", "server.key"])
def test_missing_key_is_named(make_controller, name):
    """A key that is gone is not silently made anew: open tokens and certificates hang on it."""
    server = make_controller()
    server.stop()
    (server.data / "pki" / name).unlink()
    text = refused_start(server)
    assert name in text
    assert "missing" in text
    assert not (server.data / "pki" / name).exists()


def test_root_key_may_be_kept_elsewhere(make_controller):
    """Once the intermediate exists, the root's key is not needed to run."""
    server = make_controller()
    server.stop()
    (server.data / "pki" / "root.key").unlink()
    server.start().admin().get("/version").ok()


# --- certificates of the server


def sans(certificate: x509.Certificate) -> set[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}


def test_advertised_addresses_become_names_of_the_certificate(make_controller):
    """Every advertised name and address is in the certificate; the first one is in the tokens."""
    server = make_controller("--advertise", "ziti.example.test", "--advertise", "192.0.2.7:8443")
    api = server.admin()
    assert {"127.0.0.1", "localhost", "ziti.example.test", "192.0.2.7"} <= sans(served_certificate(api))
    _, found = pending(api, "ott")
    claims = jwt.decode(found["jwt"], options={"verify_signature": False})
    assert claims["iss"] == f"https://127.0.0.1:{server.port}"


def test_renewed_server_certificate_keeps_its_key(make_controller):
    """When the addresses change the certificate is new, the key is not, and older tokens stay good."""
    server = make_controller()
    api = server.admin()
    before = served_certificate(api)
    _, found = pending(api, "ott")
    server.flags = ("--advertise", "added.example.test")
    server.restart()
    after = served_certificate(api)
    assert after != before
    assert "added.example.test" in sans(after)
    assert public_pem(after) == public_pem(before)
    assert jwt.decode(found["jwt"], public_pem(after), algorithms=["RS256"], audience="")["jti"] == found["token"]
    assert enroll(server.api(), "ott", found["token"], csr()[0], PEM).status == 200


def test_own_chain_is_used(make_controller, tmp_path):
    """A CA that the operator brings signs identities and the server's certificate, and is what clients trust."""
    root = CA.root("Own Root")
    signer = root.intermediate("Own Intermediate")
    chain, key = tmp_path / "signer.pem", tmp_path / "signer.key"
    chain.write_text(signer.pem + root.pem)
    key.write_text(signer.key_pem)
    server = make_controller("--signing-cert", str(chain), "--signing-key", str(key))
    api = server.admin()
    assert set(x509.load_pem_x509_certificates(server.ca_pem().encode())) == {signer.certificate, root.certificate}
    _, found = pending(api, "ott")
    issued = read_chain(enroll(api, "ott", found["token"], csr()[0], PEM).ok()["cert"])
    issued.certificate.verify_directly_issued_by(signer.certificate)
    assert issued.above[0] == signer.certificate
    served_certificate(api).verify_directly_issued_by(signer.certificate)


def test_own_server_certificate_is_served(make_controller, tmp_path):
    """A server certificate that the operator brings is served and its key signs the tokens."""
    root = CA.root("Web Root", kind="RSA-2048")
    leaf = root.leaf("web", kind="RSA-2048", sans=("127.0.0.1", "localhost"), usages=(SERVER_AUTH,))
    chain, key = tmp_path / "web.pem", tmp_path / "web.key"
    chain.write_text(leaf.pem + root.pem)
    key.write_text(leaf.key_pem)
    server = make_controller("--server-cert", str(chain), "--server-cert-key", str(key))
    api = server.admin()
    assert served_certificate(api) == leaf.certificate
    _, found = pending(api, "ott")
    assert jwt.decode(found["jwt"], public_pem(leaf.certificate), algorithms=["RS256"], audience="")


def test_half_of_an_own_chain_is_refused(tmp_path):
    """A certificate without its key is a mistake in the settings, said before anything is made."""
    done = run("--data", tmp_path / "data", "--listen", "127.0.0.1:0", "--signing-cert", "x.pem")
    assert done.returncode == 2
    assert "signing_key" in done.stderr


# --- settings


def test_flag_beats_environment_beats_file_beats_default(tmp_path):
    """Each setting comes from the strongest source, and the command tells which."""
    file = tmp_path / "zitilite.toml"
    file.write_text("threads = 3\nsession_minutes = 11\nenrollment_minutes = 12\n")
    done = run(
        "settings",
        *("--data", tmp_path, "--threads", "5"),
        ZITILITE_THREADS="4",
        ZITILITE_SESSION_MINUTES="21",
        ZITILITE_ADMIN_PASSWORD="not-to-be-shown",
    )
    assert done.returncode == 0, done.stderr
    shown = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert shown["threads"] == ["5", "flag", "--threads"]
    assert shown["session_minutes"] == ["21", "variable", "ZITILITE_SESSION_MINUTES"]
    assert shown["enrollment_minutes"] == ["12", str(file)]
    assert shown["body_limit"] == ["1048576", "default"]
    assert "not-to-be-shown" not in done.stdout + done.stderr


@pytest.mark.parametrize("flag", [["--session-minutes", "9"], []])
def test_flags_work_before_and_after_the_command(tmp_path, flag):
    """`--data X settings` and `settings --data X` mean the same."""
    done = run("--data", tmp_path, *flag, "settings")
    assert done.returncode == 0, done.stderr
    shown = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()}
    assert shown["data"] == str(tmp_path)
    assert shown["session_minutes"] == ("9" if flag else "30")


@pytest.mark.parametrize("setting", config.SETTINGS, ids=lambda s: s.name)
def test_every_setting_has_its_three_sources(setting, tmp_path):
    """The table gives each setting a flag, a variable and a key in the file."""
    flag, variable = setting.flag, setting.variable
    assert flag == "--" + setting.name.replace("_", "-")
    assert variable == "ZITILITE_" + setting.name.upper()
    assert config.load({}, {}).sources[setting.name] == "default"
    help_text = run_help()
    assert flag in help_text
    assert variable in help_text


_help: list[str] = []


def run_help() -> str:
    if not _help:
        _help.append(run("run", "--help").stdout + run("identity", "list", "--help").stdout)
    return _help[0]


WRONG = [
    ("session_minutes", "0"),
    ("session_minutes", "-1"),
    ("threads", "many"),
    ("listen", "no host:80"),
    ("listen", "127.0.0.1:70000"),
    ("advertise", "http://example.test"),
    ("trust_domain", "UPPER case"),
    ("ca_key", "RSA-512"),
    ("log_level", "loud"),
    ("log_format", "xml"),
    ("body_limit", "1MB"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_wrong_value_names_setting_and_source(name, value, tmp_path):
    """A value that cannot be used is refused wherever it comes from, with its name and source."""
    file = tmp_path / "zitilite.toml"
    data = {"data": str(tmp_path)}
    with pytest.raises(config.SettingError, match=rf"'{name}' from flag --{name.replace('_', '-')}"):
        config.load({**data, name: [value] if name == "advertise" else value}, {})
    with pytest.raises(config.SettingError, match=rf"'{name}' from variable ZITILITE_{name.upper()}"):
        config.load(data, {f"ZITILITE_{name.upper()}": value})
    file.write_text(f"{name} = '{value}'\n")
    with pytest.raises(config.SettingError, match=rf"'{name}' from {re.escape(str(file))}"):
        config.load(data, {})


def test_wrong_value_ends_with_2(tmp_path):
    """The command ends with 2 and says which setting is wrong, without a traceback."""
    done = run("--data", tmp_path / "data", ZITILITE_THREADS="many")
    assert done.returncode == 2
    assert "'threads' from variable ZITILITE_THREADS" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [("nonsense = 1\n", "nonsense"), ("threads = \n", "no valid TOML"), ("[threads]\nx = 1\n", "threads")],
)
def test_settings_file_with_mistakes_is_refused(tmp_path, content, words):
    """Unknown names, bad syntax and wrong shapes in the file are told, not ignored."""
    (tmp_path / "zitilite.toml").write_text(content)
    with pytest.raises(config.SettingError, match=words):
        config.load({"data": str(tmp_path)}, {})


def test_settings_file_that_is_named_must_exist(tmp_path):
    """A file given with --config that is not there is an error."""
    with pytest.raises(config.SettingError, match="cannot be read"):
        config.load({"data": str(tmp_path), "config": str(tmp_path / "gone.toml")}, {})


@pytest.mark.parametrize("password", ["abcd", "x" * 101])
def test_password_that_could_not_log_in_is_refused_and_not_echoed(tmp_path, password):
    """The first administrator's password obeys the rules of a login; the text does not repeat it."""
    done = run("--data", tmp_path / "data", "--listen", "127.0.0.1:0", "--admin-password", password)
    assert done.returncode == 2
    assert "admin_password" in done.stderr
    assert password not in done.stderr + done.stdout


def test_user_name_that_could_not_log_in_is_refused(tmp_path):
    """The first administrator's user name obeys the rules of a login."""
    done = run("--data", tmp_path / "data", "--listen", "127.0.0.1:0", "--admin-user", "abc")
    assert done.returncode == 2
    assert "admin_user" in done.stderr


# --- the way back in


def test_reset_password_while_the_server_runs(make_controller):
    """A new password on this machine ends old sessions and a lockout, and works at once."""
    server = make_controller()
    api = server.admin()
    policy = {"primary": {"updb": {"maxAttempts": 2, "lockoutDurationMinutes": 0}}}
    api.patch("/auth-policies/default", policy).ok()
    other_key, user, password = with_password(api)
    other = server.api().login(user, password)
    stranger = server.api()
    for _ in range(2):
        assert password_login(stranger, "admin", "wrong-password").status == 401
    assert password_login(stranger, "admin", server.admin_password).code == "INVALID_AUTH"

    done = run(
        *("admin", "reset-password", "--data", server.data, "--password", "the-new-password"), **server.environment()
    )
    assert done.returncode == 0, done.stderr
    assert api.get("/current-identity").status == 401
    assert password_login(stranger, "admin", server.admin_password).status == 401
    fresh = server.api().login("admin", "the-new-password")
    assert fresh.get("/current-identity").ok()["isAdmin"] is True
    assert other.get("/current-identity").ok()["id"] == other_key


def test_reset_password_makes_one_up(make_controller):
    """Without a password given a random one is printed, and it works."""
    server = make_controller()
    done = run("admin", "reset-password", "--data", server.data, **server.environment())
    found = re.search(r"user admin\s+password (\S+)", done.stdout)
    assert found, done.stderr
    server.api().login("admin", found[1])


@pytest.mark.parametrize(
    ("words", "status"),
    [(["--password", "abc"], 1), (["--user", "nobody"], 1), (["--data", "/nonexistent"], 1), (["--bogus"], 2)],
)
def test_reset_password_refuses_clearly(controller, api: Api, words, status):
    """A bad password, an unknown administrator and a wrong folder are told, and nothing changes."""
    done = run("admin", "reset-password", "--data", controller.data, *words)
    assert done.returncode == status
    assert done.stderr
    assert "Traceback" not in done.stderr
    api.get("/current-identity").ok()
