"""requirements.lock is what requirements.txt asks for, with hashes, and says nothing about where it was made."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def pins(text: str) -> dict[str, str]:
    """Name and version of each line `name==version`."""
    found = re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[a-z]+\])?==(\S+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name.lower()): version for name, version in found}


def test_lock_has_all_that_is_asked_for():
    lock = (ROOT / "requirements.lock").read_text()
    locked = pins(lock)
    asked = pins((ROOT / "requirements.txt").read_text())
    assert asked
    assert {name: locked.get(name) for name in asked} == asked, "make it anew: docs/security.md"


def test_every_file_of_a_release_has_a_hash():
    """Two at least: source and wheel; where a wheel is made for each platform, many."""
    lock = (ROOT / "requirements.lock").read_text()
    blocks = re.split(r"\n(?=[a-z])", lock.partition("\nblinker")[2])
    assert len(blocks) > 10
    for block in blocks:
        assert block.count("--hash=sha256:") >= 2, block[:60]
    assert lock.partition("\ncryptography==")[2].partition("\n    # via")[0].count("--hash=") > 20


def test_lock_names_no_place():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--index-url" not in lock
