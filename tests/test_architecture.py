"""Imports point one way, and each outside library has its place."""

from __future__ import annotations

import ast
import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(
        [
            *ROOT.glob("*.py"),
            *ROOT.glob("api/**/*.py"),
            *ROOT.glob("certs/*.py"),
            *ROOT.glob("cli/*.py"),
            *ROOT.glob("domain/**/*.py"),
            *ROOT.glob("wire/*.py"),
        ]
    )
}
WIRE = ["wire", "wire.accept", "wire.errors", "wire.filter_rows", "wire.filter_sql", "wire.filters", "wire.resource"]
BELOW_DOMAIN = ["models", "compact", "prepared", "pki", "tokens", "store", "config", "files", "company"]
# who (the first pattern that fits) may import what of ours
ARROWS = {
    "app": ["*"],
    "cli": [],
    # What is only there where the data is in PostgreSQL.
    "cli.database": ["cli.transport", "config", "store", "migrations", "database_copy", "postgres"],
    "cli.*": ["cli", "cli.*", "domain", "domain.*", *WIRE, *BELOW_DOMAIN, "migrations", "bench", "bench.*"],
    "wire": [],
    "wire.accept": ["wire.resource"],
    "wire.filter_*": ["wire.filters", "wire.filter_sql"],
    "wire.*": [],
    "api": [],
    "api.*": ["api.*", "domain", "domain.*", *WIRE, *BELOW_DOMAIN],
    "domain": [],
    "domain.*": ["domain", "domain.*", *WIRE, *BELOW_DOMAIN],
    "tokens": ["pki", "store"],
    "tls": ["pki", "config", "dispatch"],
    "dispatch": [],
    "company": [],
    "workers": [],
    "models": ["store", "compact"],
    "compact": [],
    "pki": ["certs.*"],
    "certs": [],
    "certs.reading": [],
    "certs.chains": ["certs.reading"],
    "certs.issuing": ["certs.reading"],
    "certs.folder": ["certs.*", "files"],
    "files": [],
    "prepared": ["store"],
    "store": ["migrations", "postgres", "database_copy"],
    "database_copy": ["postgres"],
    "postgres": [],
    "migrations": [],
    "config": [],
}
# outside libraries with one place each
LIBRARIES = {
    "cryptography": {"pki", "certs.reading", "certs.chains", "certs.issuing", "certs.folder", "cli.keys"},
    "OpenSSL": {"tls"},
    "orjson": {"compact"},
    "jwt": {"tokens"},
    "peewee": {
        "models",
        "prepared",
        "store",
        "postgres",
        "database_copy",
        "wire.filter_sql",
        "api.rows",
        "domain.care.states",
        "domain.roles",
    },
    "playhouse": {"models", "store"},
    "prometheus_client": {"domain.metrics"},
    "pyrage": {"domain.care.archive"},
    "psycopg": {"postgres"},
    "sqlite3": {"store", "database_copy"},
    "waitress": {"tls", "dispatch", "app"},
}


def imports(path: Path) -> set[str]:
    """Give what a module imports anywhere in it: `a.b` for `import a.b` and for `from a import b`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ours(name: str) -> str | None:
    """Give the module of ours that a name is or is in."""
    parts = name.split(".")
    candidates = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((candidate for candidate in candidates if candidate in MODULES), None)


def allowed(module: str) -> list[str]:
    return next(targets for pattern, targets in ARROWS.items() if fnmatch.fnmatchcase(module, pattern))


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module):
    targets = {target for name in imports(MODULES[module]) if (target := ours(name))} - {module}
    assert any(fnmatch.fnmatchcase(module, pattern) for pattern in ARROWS), "a module without a place in ARROWS"
    wrong = {target for target in targets if not any(fnmatch.fnmatchcase(target, one) for one in allowed(module))}
    assert not wrong, f"{module} may not import {sorted(wrong)}"


@pytest.mark.parametrize("module", MODULES)
def test_libraries_stay_in_their_places(module):
    used = {name.partition(".")[0] for name in imports(MODULES[module])}
    wrong = {library for library in used & LIBRARIES.keys() if module not in LIBRARIES[library]}
    assert not wrong, f"{module} may not import {sorted(wrong)}"


def test_no_module_is_a_drawer_for_everything():
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
    assert not {name for name in MODULES if name.rpartition(".")[2] in drawers}
