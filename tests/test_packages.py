"""What is installed is what is here: the lists in pyproject.toml hold every room, and no more."""

from __future__ import annotations

import tomllib
from pathlib import Path

from domain.context import VERSION

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def rooms() -> set[str]:
    tops = ("api", "bench", "certs", "cli", "domain", "wire")
    return {
        str(file.parent.relative_to(ROOT)).replace("/", ".")
        for top in tops
        for file in ROOT.glob(f"{top}/**/__init__.py")
    }


def test_each_room_is_in_the_package():
    listed = PROJECT["tool"]["setuptools"]
    wanted = {"zitilite", "zitilite._app"} | {f"zitilite._app.{room}" for room in rooms()}
    assert set(listed["packages"]) == wanted == set(listed["package-dir"])


def test_each_package_is_found_where_its_name_says():
    for package, folder in PROJECT["tool"]["setuptools"]["package-dir"].items():
        assert (ROOT / folder).is_dir(), package


def test_the_version_is_one():
    assert PROJECT["project"]["version"] == VERSION
