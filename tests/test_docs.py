"""What the documentation says is so: its commands run, its tables are those of the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import config

ROOT = Path(__file__).resolve().parents[1]


def shell_blocks(page: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def test_settings_page_is_made_from_the_table():
    """docs/settings.md is what the table in config.py gives."""
    assert (ROOT / "docs/settings.md").read_text() == config.reference()


def test_readme_tour_runs(make_controller, tmp_path):
    """The README's tour works as it is printed, but for the port."""
    for program in ("bash", "curl", "openssl", "python3"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on this machine")
    controller = make_controller(admin_password="tour-secret")
    starts = ("./zitilite\n", "./zitilite --data /tmp/tour --listen", "make")
    tour = [b for b in shell_blocks("README.md") if not b.startswith(starts)]
    assert len(tour) == 6
    script = "set -eu\n" + "\n".join(tour).replace("https://127.0.0.1:1280", controller.url)
    script = script.replace("./zitilite", f"{sys.executable} {ROOT}/app.py").replace("/tmp/tour", str(controller.data))
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=controller.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "bench-box" in done.stdout.splitlines()
    assert "shelf-box" in done.stdout
    assert '"name":"lab-device-7"' in done.stdout


GUIDES = sorted((ROOT / "docs/guide").glob("*.md"))


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_guide_runs(guide, make_controller, tmp_path):
    """Every `sh` block of a guide works as printed, one after the other, in an empty folder.

    `$URL`, `$CA`, `$USER_NAME`, `$PASSWORD`, `$SESSION` and `$DATA` are set as docs/guide/README.md tells people to.
    """
    controller = make_controller()
    commands, place = tmp_path / "bin", tmp_path / "empty"
    commands.mkdir()
    place.mkdir()
    (commands / "zitilite").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/app.py" "$@"\n')
    (commands / "zitilite").chmod(0o755)
    session = controller.admin().http.headers["zt-session"]
    environment = {
        **({"ZITILITE_DATABASE": controller.database} if controller.database else {}),
        "PATH": f"{commands}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "URL": controller.url,
        "CA": str(controller.ca_file()),
        "USER_NAME": controller.admin_user,
        "PASSWORD": controller.admin_password,
        "SESSION": str(session),
        "DATA": str(controller.data),
    }
    script = "set -euo pipefail\n" + "\n".join(shell_blocks(f"docs/guide/{guide.name}"))
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n--- stderr\n{done.stderr}"


def test_links_lead_somewhere():
    """Each relative link of the top-level pages names a file that is there."""
    for page in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", *(f"docs/guide/{g.name}" for g in GUIDES)):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / page).read_text()):
            assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"
