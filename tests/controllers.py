"""The real server as a child process, and a thin client for its API."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import secrets
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7

from tests import cluster, contract

ROOT = Path(__file__).resolve().parent.parent
MANAGEMENT, CLIENT = "/edge/management/v1", "/edge/client/v1"
START_SECONDS = 30.0
STOP_SECONDS = 15.0
_URL = re.compile(r"https://[^\s/]+:\d+")


class Controller:
    """One server on its own data folder, on a free port of 127.0.0.1 that it keeps when restarted."""

    def __init__(
        self, folder: Path, *flags: str, admin_password: str | None = None, database: str | None = None
    ) -> None:
        self.data = folder / "data"
        self.log = folder / "stderr.log"
        self.flags = flags
        # Further variables of its environment.
        self.variables: dict[str, str] = {}
        self.advertise = ["127.0.0.1"]
        self.admin_user = "admin"
        self.admin_password = admin_password or secrets.token_hex(9)
        self.url = ""
        # The URL of its PostgreSQL database, "" for the SQLite file in its data folder.
        self.database = (
            database if database is not None else cluster.shared().new_database() if cluster.wanted() else ""
        )
        self._process: subprocess.Popen[str] | None = None
        self._knows_ca = False
        self._lines: queue.Queue[str] = queue.Queue()
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> Controller:
        """Start the server and wait until it says where it listens. Raises RuntimeError with its stderr."""
        port = self.url.rpartition(":")[2] or "0"
        self._knows_ca = False
        command = [sys.executable, "app.py", "run", "--data", str(self.data), "--listen", f"127.0.0.1:{port}"]
        command += [word for name in self.advertise for word in ("--advertise", name)]
        command += ["--admin-user", self.admin_user]
        command += ["--admin-password", self.admin_password, "--log-format", "json", *self.flags]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, env=self.environment()
            )
        self.url = self._wait_for_url(self._process)
        return self

    def environment(self) -> dict[str, str]:
        """What its process and commands on its data get to know from the environment: the database's URL."""
        found = {**os.environ, **self.variables}
        return {**found, "ZITILITE_DATABASE": self.database} if self.database else found

    def _wait_for_url(self, process: subprocess.Popen[str]) -> str:
        lines = self._lines = queue.Queue()
        threading.Thread(target=_drain, args=(process, lines), daemon=True).start()
        seen, deadline = "", time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and not seen.endswith("\0"):
            with contextlib.suppress(queue.Empty):
                seen += lines.get(timeout=max(0.0, deadline - time.monotonic()))
            if found := _URL.search(seen):
                return found[0]
        self.kill()
        raise RuntimeError(f"the server named no address\n--- stdout\n{seen}\n--- stderr\n{self.stderr()}")

    def first_run_link(self) -> str:
        """The link that the first start printed after its address. Raises queue.Empty where there is none."""
        while True:
            line = self._lines.get(timeout=5)
            if line.startswith("first run"):
                return line.split()[2]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def stderr(self) -> str:
        """Give what the server has logged so far, over all its starts."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def stop(self) -> int | None:
        """Ask the server to end (SIGTERM) and wait; gives its exit code, None if it did not run."""
        if self._process is None:
            return None
        self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self._forget()

    def kill(self) -> None:
        """End the server at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
            self._forget()

    def _forget(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    def restart(self) -> Controller:
        """Stop the server and start it on the same data and port."""
        self.stop()
        return self.start()

    def ca_pem(self) -> str:
        """Fetch the CA certificates without trusting anything yet, as a client does on first contact."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(self.url + "/.well-known/est/cacerts", timeout=10) as answer:
            certificates = pkcs7.load_der_pkcs7_certificates(b64decode(answer.read()))
        return "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in certificates)

    def ca_file(self) -> Path:
        """Write the CA certificates beside the data folder, for clients that want a file."""
        file = self.data.parent / "ca.pem"
        if not self._knows_ca:
            file.write_text(self.ca_pem())
            self._knows_ca = True
        return file

    def admin(self) -> Api:
        """Log in as the administrator."""
        return self.api().login(self.admin_user, self.admin_password)

    def api(self, certificate: tuple[Path, Path] | None = None) -> Api:
        """Make a client without a session; certificate: files with certificate (and chain) and key."""
        return Api(self.url, self.ca_file(), certificate)


def _drain(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    """Pass the server's output on until it ends, so that it never waits for a reader; `\\0` marks the end."""
    assert process.stdout is not None
    with contextlib.suppress(ValueError):
        for line in process.stdout:
            lines.put(line)
    lines.put("\0")


@dataclass(frozen=True)
class Answer:
    """What came back: status, body (parsed if it is JSON, else the text, None if empty), headers."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def data(self) -> Any:
        return self.body["data"]

    @property
    def error(self) -> Any:
        return self.body["error"]

    @property
    def code(self) -> str | None:
        """The error's code, None if there is no error envelope."""
        return self.body["error"]["code"] if isinstance(self.body, dict) and "error" in self.body else None

    def ok(self, status: int = 200) -> Any:
        """Give `data` after making sure of the status."""
        assert self.status == status, f"{self.status} instead of {status}: {self.body}"
        return self.body.get("data") if isinstance(self.body, dict) else self.body


class Api:
    """A client on one base path. Paths are relative to it unless they begin with a base path themselves."""

    def __init__(self, url: str, ca_file: Path, certificate: tuple[Path, Path] | None = None) -> None:
        self.url = url
        self.base = MANAGEMENT
        self.ca_file = ca_file
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.verify = str(ca_file)
        if certificate is not None:
            self.http.cert = (str(certificate[0]), str(certificate[1]))

    def on(self, base: str) -> Api:
        """Give a client with the same session and certificate on another base path."""
        other = Api(self.url, self.ca_file)
        other.base = base
        other.http.cert = self.http.cert
        other.http.headers.update(self.http.headers)
        return other

    def login(self, username: str, password: str) -> Api:
        """Open a session by password; later calls carry it."""
        body = {"username": username, "password": password}
        return self._keep(self.post("/authenticate", body, params={"method": "password"}))

    def login_by_certificate(self) -> Api:
        """Open a session by the client certificate; later calls carry it."""
        return self._keep(self.post("/authenticate", {}, params={"method": "cert"}))

    def _keep(self, answer: Answer) -> Api:
        self.http.headers["zt-session"] = answer.ok()["token"]
        return self

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """Send a request; body: sent as JSON, str and bytes as they are; options: those of requests.

        The answer must be as the upstream documents say, whatever the test is about.
        """
        absolute = path.startswith(("/edge/", "/fabric/", "/oidc", "/.well-known", "//"))
        url = self.url + (path.replace("//", "/", 1) if absolute else self.base + path)
        content = {"data": body} if isinstance(body, str | bytes) else {"json": body}
        answer = self.http.request(method, url, timeout=20, **{**content, **options})
        body = _parsed(answer)
        found = contract.violations(method, urlsplit(url).path, answer.status_code, body)
        assert not found, found
        return Answer(answer.status_code, body, answer.headers)

    def get(self, path: str, **params: Any) -> Answer:
        """GET; keyword arguments are query parameters."""
        return self.call("GET", path, params=params)

    def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.call("POST", path, body, **options)

    def put(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.call("PUT", path, body, **options)

    def patch(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.call("PATCH", path, body, **options)

    def delete(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.call("DELETE", path, body, **options)

    def create(self, path: str, body: Any) -> str:
        """POST what must succeed; gives the new id."""
        identifier = self.post(path, body).ok(201)["id"]
        assert isinstance(identifier, str)
        return identifier

    def detail(self, path: str, identifier: str) -> Any:
        """GET one item that must exist."""
        return self.get(f"{path}/{identifier}").ok()

    def every(self, path: str) -> list[Any]:
        """All items of a list, however many pages they take."""
        found: list[Any] = []
        while page := self.get(path, filter="true sort by id", limit=500, offset=len(found)).ok():
            found += page
        return found


def _parsed(answer: requests.Response) -> Any:
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError:
        return answer.text


def child_environment() -> dict[str, str]:
    """Give the environment for child processes: without proxies, which would catch calls to 127.0.0.1."""
    return {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
