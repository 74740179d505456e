"""What the documentation says is so: its commands run, its tables are those of the code."""

from __future__ import annotations

import re
import shutil
import subprocess
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
    tour = [b for b in shell_blocks("README.md") if not b.startswith(("./zitilite", "make"))]
    assert len(tour) == 5
    script = "set -eu\n" + "\n".join(tour).replace("https://127.0.0.1:1280", controller.url)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "bench-box" in done.stdout.splitlines()
    assert '"name":"lab-device-7"' in done.stdout


def test_links_lead_somewhere():
    """Each relative link of the top-level pages names a file that is there."""
    for page in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / page).read_text()):
            assert (ROOT / target).exists(), f"{page} links to {target}"
