"""Certificates made with plain openssl commands, as people make them: little in them, sometimes odd."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.controllers import child_environment

Key = Literal["RSA", "EC", "Ed25519"]
KEY_OPTIONS: dict[Key, list[str]] = {
    "RSA": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "EC": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:named_curve"],
    "Ed25519": ["-algorithm", "ED25519"],
}


def openssl(*words: str | Path) -> None:
    """Run an openssl command. Skips the test where there is none."""
    command = ["openssl", *map(str, words)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=child_environment(), timeout=60, check=False)
    except FileNotFoundError:
        pytest.skip("no openssl command on this machine")
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"


@dataclass(frozen=True)
class Files:
    """A certificate and its key, as openssl wrote them."""

    certificate: Path
    key: Path

    @property
    def pem(self) -> str:
        return self.certificate.read_text()

    def with_chain(self, *above: Files) -> tuple[Path, Path]:
        """Files for a client: this certificate, those above it, and the key."""
        whole = self.certificate.with_suffix(".chain.pem")
        whole.write_text(self.pem + "".join(one.pem for one in above))
        return whole, self.key


@dataclass(frozen=True)
class Maker:
    """Makes keys and certificates in one folder."""

    folder: Path

    def key(self, name: str, kind: Key = "EC") -> Path:
        path = self.folder / f"{name}.key"
        openssl("genpkey", *KEY_OPTIONS[kind], "-out", path)
        return path

    def root(self, name: str = "root", kind: Key = "EC", subject: str = "") -> Files:
        """A self-signed CA, made by `openssl req -x509` with its defaults."""
        key, path = self.key(name, kind), self.folder / f"{name}.pem"
        openssl("req", "-x509", "-new", "-key", key, "-subj", subject or f"/CN={name}", "-days", "30", "-out", path)
        return Files(path, key)

    def issue(
        self, name: str, issuer: Files, *, subject: str = "", kind: Key = "EC", extensions: Sequence[str] = ()
    ) -> Files:
        """A certificate by `openssl x509 -req`; extensions: lines of an extension file."""
        key, request, path = self.key(name, kind), self.folder / f"{name}.csr", self.folder / f"{name}.pem"
        openssl("req", "-new", "-key", key, "-subj", subject or f"/CN={name}", "-out", request)
        options: list[str | Path] = []
        if extensions:
            file = self.folder / f"{name}.ext"
            file.write_text("\n".join(extensions) + "\n")
            options = ["-extfile", file]
        command: list[str | Path] = ["x509", "-req", "-in", request, "-CA", issuer.certificate, "-CAkey", issuer.key]
        openssl(*command, "-CAcreateserial", "-days", "30", *options, "-out", path)
        return Files(path, key)

    def intermediate(self, name: str, issuer: Files, kind: Key = "EC") -> Files:
        """A CA below another one."""
        return self.issue(name, issuer, kind=kind, extensions=["basicConstraints=critical,CA:TRUE"])

    def der(self, files: Files) -> bytes:
        """The certificate as DER."""
        path = files.certificate.with_suffix(".der")
        openssl("x509", "-in", files.certificate, "-outform", "DER", "-out", path)
        return path.read_bytes()
