"""The recovery kit: one zip from which the controller is put up again, by what its page says."""

from __future__ import annotations

import hashlib
import io
import re
import ssl
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.controllers import ROOT, Api, Controller
from tests.flows import unique
from wire.resource import OWN


def kit(controller: Controller, api: Api) -> zipfile.ZipFile:
    answer = api.http.post(f"{controller.url}{OWN}/recovery-kit", json={"passphrase": "correct horse"}, timeout=60)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip"), answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return zipfile.ZipFile(io.BytesIO(answer.content))


def test_the_page_names_the_root_and_how_to_restore(controller: Controller, api: Api):
    held = kit(controller, api)
    assert sorted(held.namelist()) == ["README.txt", "backup.age", "root.pem"]
    page = held.read("README.txt").decode()
    assert "correct horse" not in page
    root = held.read("root.pem").decode()
    assert root in controller.ca_pem()
    shown = "".join(re.findall(r"\b[0-9A-F]{2}\b(?=:|\n)", page)).lower()
    assert hashlib.sha256(ssl.PEM_cert_to_DER_cert(root)).hexdigest() in shown
    assert held.read("backup.age").startswith(b"age-encryption.org/")


def test_its_own_words_put_the_controller_up_again(make_controller, tmp_path: Path):
    server = make_controller()
    api = server.admin()
    name = unique("kept")
    api.create("/services", {"name": name, "encryptionRequired": True})
    kit(server, api).extractall(tmp_path)
    (tmp_path / "passphrase").write_text("correct horse")
    page = (tmp_path / "README.txt").read_text()
    lines = [line.split() for line in page.splitlines() if line.startswith("    zitilite restore")]
    assert len(lines) == 2
    for _, *words in lines:
        done = subprocess.run(
            [sys.executable, str(ROOT / "app.py"), *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    server.stop()
    again = Controller(tmp_path, admin_password=server.admin_password)
    again.data, again.url = tmp_path / "NEW_FOLDER", server.url
    again.start()
    try:
        assert again.admin().get("/services", filter=f'name = "{name}"').ok()
    finally:
        again.stop()


def test_a_kit_needs_a_passphrase_and_an_administrator(controller: Controller, api: Api):
    assert api.on(OWN).post("/recovery-kit", {"passphrase": "short"}).status == 400
    assert api.on(OWN).post("/recovery-kit", {}).status == 400
    assert controller.api().on(OWN).post("/recovery-kit", {"passphrase": "correct horse"}).status == 401
