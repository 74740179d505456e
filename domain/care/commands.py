"""What the command line does for staying in service: doctor, backup, restore. Each gives its lines and exit code."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import store
from config import Settings
from domain.care import archive, doctor
from domain.care.archive import BackupError
from models import Address, Identity, Meta

Outcome = tuple[list[str], int]


def run_doctor(settings: Settings, known_schema: int, *, as_json: bool = False) -> Outcome:
    """`zitilite doctor [--json]`: exit code 0 nothing needs care, 1 something should be looked at, 2 is broken."""
    found = doctor.run_offline(settings, known_schema)
    if as_json:
        return [json.dumps([asdict(c) for c in found], indent=1)], doctor.exit_code(found)
    return doctor.lines(found), doctor.exit_code(found)


def backup(settings: Settings, target: Path, passphrase: str = "") -> Outcome:
    """`zitilite backup FILE`: one encrypted file of a controller, running or not. Raises BackupError, StoreError.

    passphrase: "" takes the setting `backup_passphrase`.
    """
    passphrase = _given(settings, passphrase)
    if target.exists():
        raise BackupError(f"{target} exists: name a new file")
    store.attach(settings.data / "zitilite.db")
    try:
        network = Meta.get_or_none(Meta.key == "network_id")
        facts = {
            "networkId": network.value if network else "",
            "addresses": [row.address for row in Address.select().order_by(Address.is_issuer.desc())],
            "identities": Identity.select().count(),
        }
        archive.create(settings, target, passphrase, facts)
    finally:
        store.database.close()
    return [f"backup     {target} ({target.stat().st_size} bytes)"], 0


def restore(
    settings: Settings,
    file: Path,
    known_schema: int,
    *,
    passphrase: str = "",
    only_check: bool = False,
    force: bool = False,
) -> Outcome:
    """`zitilite restore [--check] [--force] FILE`: put a backup back into the data folder, or only look at it.

    Exit code 0 when it is good, 1 when it is not. Raises BackupError, StoreError.
    """
    passphrase = _given(settings, passphrase)
    if only_check:
        report = archive.check(file, passphrase, known_schema)
        return report.lines(), 1 if report.problems else 0
    report = archive.restore(file, passphrase, settings.data, known_schema, force=force)
    shown = [*report.lines()[:-1], f"restored   to {settings.data.resolve()}"]
    own = sorted(name for name in report.manifest["files"] if name.startswith("own/"))
    if own:
        shown.append(f"note       the settings for your own certificates must name {settings.data}/own/…")
    changed = {k: v for k, v in report.manifest["settings"].items() if k not in ("data", "config")}
    if changed:
        shown.append(f"note       it ran with these settings: {json.dumps(changed)}")
    shown.append("next       start it; with a new address add --advertise NEW (the old ones stay in the certificate)")
    return shown, 0


def _given(settings: Settings, passphrase: str) -> str:
    passphrase = passphrase or settings.backup_passphrase
    if len(passphrase) < 8:
        raise BackupError("a passphrase of 8 characters or more is needed: setting backup_passphrase")
    return passphrase
