"""Real clients, each in a child process with a time limit: the Python wheel, the Go SDK, openssl, curl."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.controllers import Api, child_environment

CLIENT_SECONDS = 25
BUILD_SECONDS = 600
GO_SOURCE = Path(__file__).parent / "goclient"


class ClientError(AssertionError):
    """A client ended badly or not in time; the text is what it said."""


def run(
    command: list[str | Path], *, seconds: float = CLIENT_SECONDS, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a client to its end. Raises ClientError with its output if it fails or hangs."""
    words = [str(word) for word in command]
    options.setdefault("env", child_environment())
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False, **options)
    except subprocess.TimeoutExpired as late:
        raise ClientError(f"{words[0]} did not end within {seconds} s\n{_tail(late.stderr)}") from None
    if done.returncode:
        raise ClientError(
            f"{' '.join(words[:3])} ended with {done.returncode}\n{_tail(done.stdout)}\n{_tail(done.stderr)}"
        )
    return done


def _tail(text: str | bytes | None) -> str:
    return (text.decode(errors="replace") if isinstance(text, bytes) else text or "")[-4000:]


# --- the Python wheel (a C SDK of 2022 with mbedTLS, TLS 1.2 and RS256 only)

_ENROLL = (
    "import sys, openziti; a = sys.argv[1:]; sys.stdout.write(openziti.enroll(a[0], *[x.encode() for x in a[1:]]))"
)
_LOAD = "import sys, time, openziti; openziti.load(sys.argv[1]); time.sleep(float(sys.argv[2])); openziti.shutdown()"


def need_wheel() -> None:
    """Skip the test where the wheel is not installed."""
    if importlib.util.find_spec("openziti") is None:
        pytest.skip("no Python client: the package openziti is not installed (requirements-dev.txt)")


def real_enroll(jwt_file: Path, key: Path | None = None, cert: Path | None = None) -> dict[str, Any]:
    """Enroll with the wheel: ott, or ottca and ca with the files of a client certificate.

    Gives the identity (`ztAPI`, `id`). Raises ClientError on refusal; for a bad signature or a TLS failure
    this client waits for ever, so that the time limit is the verdict.
    """
    need_wheel()
    files = [file for file in (key, cert) if file is not None]
    identity = json.loads(run([sys.executable, "-c", _ENROLL, jwt_file, *files]).stdout)
    assert isinstance(identity, dict)
    return identity


def real_load(identity_file: Path, seconds: float = 2) -> str:
    """Log in with the wheel by certificate, fetch services and edge routers, log out; gives its log.

    The identity needs a service: without one the client waits for ever.
    """
    need_wheel()
    environment = {**child_environment(), "ZITI_LOG": "6"}
    return run([sys.executable, "-c", _LOAD, identity_file, str(seconds)], env=environment).stderr


def assert_complete(log: str) -> None:
    """The client got at least one service and ended its session."""
    assert re.search(r"service event [1-9][0-9]* added", log)
    assert "DELETE[/current-api-session]" in log


# --- the Go SDK


@dataclass(frozen=True)
class GoClient:
    """The program in goclient/, built."""

    program: Path

    def run(self, *words: str | Path) -> list[dict[str, Any]]:
        """Run a command; gives the JSON objects it prints. Raises ClientError with its complaint."""
        lines = run([self.program, *words, "--timeout", f"{CLIENT_SECONDS - 5}s"]).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def enroll(self, jwt_file: Path, out: Path, **options: str | Path) -> dict[str, Any]:
        """Enroll; options: cert, key, name, username, password, alg."""
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return self.run("enroll", "--jwt", jwt_file, "--out", out, *words)[0]

    def services(self, identity_file: Path) -> tuple[dict[str, Any], list[str]]:
        """Log in by certificate; gives the session's identity and the names of the services."""
        return _session_and_names(self.run("services", "--identity", identity_file))

    def login(self, url: str, username: str, password: str, ca_file: Path) -> tuple[dict[str, Any], list[str]]:
        """Log in by password; gives the same."""
        words = ("--username", username, "--password", password, "--ca", ca_file)
        return _session_and_names(self.run("login", "--url", url, *words))


def _session_and_names(lines: list[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    return lines[0], [line["name"] for line in lines[1:]]


def build_go_client(folder: Path) -> GoClient:
    """Build the program into a folder; skips the test where Go or its modules cannot be had."""
    if shutil.which("go") is None:
        pytest.skip("no Go client: the compiler `go` is not on the PATH")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    fetched = _go(["mod", "download"], environment)
    if fetched.returncode:
        pytest.skip(f"no Go client: its modules cannot be fetched: {_tail(fetched.stderr)[-500:]}")
    program = folder / "goclient"
    built = _go(["build", "-trimpath", "-o", str(program), "."], environment)
    if built.returncode:
        raise ClientError(f"the Go client does not build\n{_tail(built.stderr)}")
    return GoClient(program)


def _go(words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["go", *words],
        cwd=GO_SOURCE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )


# --- openssl and curl


@dataclass(frozen=True)
class Pair:
    """A certificate file (PEM, followed by those above it less the root) and its key file."""

    cert: Path
    key: Path


class OpenSsl:
    """Certificates made with plain openssl commands, all in one folder."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("the program `openssl` is not on the PATH")
        self.folder = folder

    def run(self, *words: str | Path) -> str:
        """Run openssl in the folder; gives its output."""
        return run(["openssl", *words], cwd=self.folder).stdout

    def key(self, name: str, kind: str = "P-256") -> Path:
        """Make a key file; kind: P-256, P-384 or RSA-2048."""
        file = self.folder / f"{name}.key"
        family, size = kind.split("-")
        option = f"rsa_keygen_bits:{size}" if family == "RSA" else f"ec_paramgen_curve:P-{size}"
        self.run("genpkey", "-algorithm", "RSA" if family == "RSA" else "EC", "-pkeyopt", option, "-out", file)
        return file

    def root(self, name: str = "root", kind: str = "P-256") -> Pair:
        """Make a self-signed CA."""
        pair = Pair(self.folder / f"{name}.crt", self.key(name, kind))
        words = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.run(
            "req", "-x509", "-new", "-key", pair.key, "-subj", f"/CN={name}", "-days", "30", *words, "-out", pair.cert
        )
        return pair

    def request(self, name: str, key: Path, subject: str | None = None) -> Path:
        """Make a certificate request; subject: as openssl writes it, `/CN=name` unless given."""
        file = self.folder / f"{name}.csr"
        self.run("req", "-new", "-key", key, "-subj", subject or f"/CN={name}", "-out", file)
        return file

    def intermediate(self, issuer: Pair, name: str = "intermediate") -> Pair:
        """Make a CA below another."""
        lines = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
        return self._issue(issuer, name, "P-256", lines)

    def leaf(self, issuer: Pair, name: str, *, kind: str = "P-256", usage: str = "clientAuth", names: str = "") -> Pair:
        """Issue a certificate; usage: extended key usage ("" for none); names: SANs such as `email:a@b.c,URI:x://y`."""
        lines = "basicConstraints=CA:FALSE\n"
        lines += f"extendedKeyUsage={usage}\n" if usage else ""
        lines += f"subjectAltName={names}\n" if names else ""
        return self._issue(issuer, name, kind, lines)

    def _issue(self, issuer: Pair, name: str, kind: str, extensions: str) -> Pair:
        stem = secrets.token_hex(4)
        pair = Pair(self.folder / f"{stem}.crt", self.key(stem, kind))
        settings = self.folder / f"{stem}.cnf"
        settings.write_text(extensions)
        request = self.request(stem, pair.key, f"/CN={name}")
        signer = ("-CA", issuer.cert, "-CAkey", issuer.key, "-CAcreateserial", "-days", "20", "-extfile", settings)
        self.run("x509", "-req", "-in", request, *signer, "-out", pair.cert)
        if not self._is_self_signed(issuer.cert):
            pair.cert.write_text(pair.cert.read_text() + issuer.cert.read_text())
        return pair

    def _is_self_signed(self, cert: Path) -> bool:
        names = self.run("x509", "-in", cert, "-noout", "-subject", "-issuer", "-nameopt", "RFC2253").splitlines()
        return names[0].removeprefix("subject=") == names[1].removeprefix("issuer=")


class Curl:
    """curl on one server, trusting the CA certificates in a file."""

    def __init__(self, url: str, ca_file: Path) -> None:
        if shutil.which("curl") is None:
            pytest.skip("the program `curl` is not on the PATH")
        self.url = url
        self.ca_file = ca_file

    def send(self, path: str, *words: str | Path, pair: Pair | None = None) -> tuple[int, str]:
        """Send a request with the given options; gives status and body."""
        identity: list[str | Path] = ["--cert", pair.cert, "--key", pair.key] if pair else []
        fixed: list[str | Path] = [
            "curl",
            "-sS",
            "-q",
            "--max-time",
            "20",
            "--cacert",
            self.ca_file,
            "-w",
            "\n%{http_code}",
        ]
        body, _, status = run([*fixed, *identity, *words, self.url + path]).stdout.rpartition("\n")
        return int(status), body


# --- what the tests prepare through the API


@dataclass(frozen=True)
class Preparation:
    """An administrator's session and a folder for files."""

    api: Api
    folder: Path

    def jwt(self, enrollment: dict[str, Any], roles: tuple[str, ...] = ()) -> tuple[str, Path]:
        """Make an identity with one way to enroll; gives its id and the file with the token."""
        name = f"real-{secrets.token_hex(4)}"
        body = {
            "name": name,
            "type": "Default",
            "isAdmin": False,
            "roleAttributes": list(roles),
            "enrollment": enrollment,
        }
        identifier = self.api.create("/identities", body)
        method = next(iter(enrollment))
        text = self.api.detail("/identities", identifier)["enrollment"][method]["jwt"]
        return identifier, self.file(f"{name}.jwt", text)

    def file(self, name: str, text: str) -> Path:
        """Write a file for a client."""
        file = self.folder / name
        file.write_text(text)
        return file

    def identity_file(self, identity: dict[str, Any]) -> Path:
        """Write an identity as the wheel gives it."""
        return self.file(f"identity-{secrets.token_hex(4)}.json", json.dumps(identity))

    def ca(self, openssl: OpenSsl, root: Pair, **options: Any) -> str:
        """Upload a CA and prove that its key is ours; gives its id."""
        allowed = dict.fromkeys(("isAutoCaEnrollmentEnabled", "isOttCaEnrollmentEnabled", "isAuthEnabled"), True)
        name = f"ca-{secrets.token_hex(4)}"
        body = {"name": name, "certPem": root.cert.read_text(), "identityRoles": [], **allowed, **options}
        identifier = self.api.create("/cas", body)
        token = self.api.detail("/cas", identifier)["verificationToken"]
        proof = openssl.leaf(root, token).cert.read_text()
        self.api.post(f"/cas/{identifier}/verify", proof, headers={"content-type": "text/plain"}).ok()
        return identifier

    def ca_jwt(self, ca: str) -> Path:
        """Fetch the token that any certificate of a CA enrolls with."""
        answer = self.api.get(f"/cas/{ca}/jwt")
        assert answer.status == 200
        return self.file(f"{ca}.jwt", answer.body)

    def authenticators(self, identity: str) -> list[dict[str, Any]]:
        """Give the authenticators of an identity."""
        found = self.api.get(f"/identities/{identity}/authenticators").ok()
        assert isinstance(found, list)
        return found
