"""A backup as one file: what is in it, how it is made, checked and put back.

The file is in the age format (https://age-encryption.org/v1) with a passphrase, so that the standard tool opens
it as well: `age -d FILE | tar x`. Inside is a tar: `manifest.json` with the size and SHA-256 of all others,
`zitilite.db`, the folder `pki`, `zitilite.toml` if there is a settings file, and `own/` with the files that the
settings `signing_*` and `server_cert*` name. Everything is held in memory while it is made or read.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import multiprocessing
import secrets
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pki
import store
from config import SETTINGS, Settings
from domain.context import VERSION, Controller
from files import sync as sync_folder
from files import write as write_file
from models import Identity
from wire.resource import now_ms, time_text

MANIFEST, DATABASE, SETTINGS_FILE = "manifest.json", "zitilite.db", "zitilite.toml"
FORMAT = 1
OWN_FILES = ("signing_cert", "signing_key", "server_cert", "server_cert_key")
# What a restore leaves where it is: not part of a backup, or needed while it runs.
_LEFT = ("backups", "snapshots", "lock")
_OLD, _NEW = "before-restore-", ".restore-"


class BackupError(Exception):
    """A backup cannot be made, read or put back; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a backup holds, and what is wrong with it (nothing, if it is good)."""

    manifest: dict[str, Any]
    problems: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report for people."""
        m = self.manifest
        size = sum(one["size"] for one in m["files"].values())
        return [
            f"made       {m['createdAt']} by zitilite {m['version']}, schema {m['schema']}",
            f"addresses  {', '.join(m['addresses']) or '-'}",
            f"content    {len(m['files'])} files, {size} bytes, {m['identities']} identities",
            *(f"           {name}" for name in sorted(m["files"])),
            *(f"PROBLEM    {problem}" for problem in self.problems),
            f"result     {'NOT usable' if self.problems else 'good: it can be restored'}",
        ]


# --- making


def create(ctrl: Controller, target: Path, passphrase: str) -> None:
    """Write a backup of the running controller to a new file with mode 0600.

    Raises BackupError; half a file is never left.
    """
    try:
        files = _collect(ctrl.settings)
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "createdAt": time_text(now_ms()),
            "schema": store.version(),
            "networkId": ctrl.network_id,
            "addresses": [str(a) for a in ctrl.addresses],
            "identities": Identity.select().count(),
            "settings": _plain_settings(ctrl.settings),
            "files": {name: {"size": len(data), "sha256": _sha256(data)} for name, data in files.items()},
        }
        files[MANIFEST] = json.dumps(manifest, indent=1).encode()
        write_file(target, _age("encrypt", _packed(files), passphrase))
    except OSError as e:
        raise BackupError(f"{target} cannot be written: {e.strerror}") from e


def _collect(settings: Settings) -> dict[str, bytes]:
    data: Path = settings.data
    with tempfile.TemporaryDirectory(dir=data, prefix=".backup-") as folder:
        copy = Path(folder) / DATABASE
        store.backup(copy)
        files = {DATABASE: copy.read_bytes()}
    for path in sorted((data / "pki").iterdir()):
        if path.is_file() and not path.name.startswith("."):
            files[f"pki/{path.name}"] = path.read_bytes()
    toml = settings.values["config"] or data / SETTINGS_FILE
    if toml.exists():
        files[SETTINGS_FILE] = toml.read_bytes()
    for name in OWN_FILES:
        if settings.values[name]:
            files[f"own/{name}.pem"] = Path(settings.values[name]).read_bytes()
    return files


def _plain_settings(settings: Settings) -> dict[str, Any]:
    """The settings that are not at their default; secrets are only named."""
    shown: dict[str, Any] = {}
    for s in SETTINGS:
        value = settings.values[s.name]
        if settings.sources.get(s.name) == "default":
            continue
        shown[s.name] = "(set)" if s.secret else [str(v) for v in value] if s.repeatable else str(value)
    return shown


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class _AgeError(BackupError):
    """The library's complaint."""


def _age(operation: str, data: bytes, passphrase: str) -> bytes:
    """Encrypt or decrypt, in a process of its own.

    Hashing the passphrase takes seconds and hundreds of megabytes on purpose: there nothing else waits for it,
    and what the memory does not allow ends that process, not the controller.
    """
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            return pool.submit(_age_here, operation, data, passphrase).result()
    except BrokenProcessPool:
        raise BackupError(f"the process that had to {operation} was ended: it needs up to 1 GiB of memory") from None


def _age_here(operation: str, data: bytes, passphrase: str) -> bytes:
    import pyrage  # noqa: PLC0415 - only this process needs it

    try:
        made: bytes = getattr(pyrage.passphrase, operation)(data, passphrase)
    except (pyrage.EncryptError, pyrage.DecryptError) as e:
        # The library's own exceptions do not travel between processes.
        raise _AgeError(str(e)) from None
    return made


def _packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        # The manifest first: whoever looks at the beginning sees what it is.
        for name in sorted(files, key=lambda n: (n != MANIFEST, n)):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(files[name]), 0o600, int(time.time())
            tar.addfile(info, io.BytesIO(files[name]))
    return buffer.getvalue()


# --- reading


def read(file: Path, passphrase: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest and the files of a backup, their hashes verified. Raises BackupError."""
    try:
        sealed = file.read_bytes()
    except OSError as e:
        raise BackupError(f"{file} cannot be read: {e.strerror}") from e
    try:
        plain = _age("decrypt", sealed, passphrase)
    except _AgeError as e:
        text = f"{file} cannot be opened ({e}): wrong passphrase, or the file is damaged or no backup"
        raise BackupError(text) from None
    files = _unpacked(plain)
    try:
        manifest = json.loads(files.pop(MANIFEST))
        wanted = {name: one["sha256"] for name, one in manifest["files"].items()}
    except (KeyError, ValueError, TypeError, AttributeError):
        raise BackupError(f"{file} holds no backup of zitilite: its {MANIFEST} is missing or damaged") from None
    if manifest.get("format") != FORMAT:
        raise BackupError(f"{file} has format {manifest.get('format')}: a newer zitilite made it; restore with that")
    found = {name: _sha256(data) for name, data in files.items()}
    if found != wanted or DATABASE not in files:
        wrong = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        raise BackupError(f"{file} is damaged: {', '.join(wrong) or DATABASE} is not what its manifest says")
    return manifest, files


def _unpacked(plain: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is None or not _is_known(member.name):
                    raise BackupError(f"the backup holds '{member.name[:80]}', which is no part of one")
                files[member.name] = content.read()
    except tarfile.TarError as e:
        raise BackupError(f"the content is no tar archive: {e}") from None
    return files


def _is_known(name: str) -> bool:
    """Only names that we write: nothing that leads out of the folder."""
    folder, _, rest = name.rpartition("/")
    plain = bool(rest) and not rest.startswith(".") and "\\" not in rest and "\0" not in rest
    return plain and (folder in ("pki", "own") or name in (MANIFEST, DATABASE, SETTINGS_FILE))


def check(file: Path, passphrase: str, known_schema: int) -> Report:
    """Open a backup and look at all of it, as a restore would. Raises BackupError when it cannot be read."""
    manifest, files = read(file, passphrase)
    with tempfile.TemporaryDirectory(prefix="zitilite-check-") as name:
        return Report(manifest, _examine(_write_all(Path(name), files), known_schema))


def _write_all(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_file(path, data)
    return folder


def _examine(folder: Path, known_schema: int) -> list[str]:
    problems = []
    version, integrity = store.examine(folder / DATABASE)
    if version > known_schema:
        problems.append(f"the database has schema {version}, this version knows {known_schema}: install a newer one")
    if integrity != "ok":
        problems.append(f"the database is damaged: {integrity}")
    return problems + pki.folder_problems(folder / "pki")


# --- putting back


def restore(file: Path, passphrase: str, folder: Path, known_schema: int, *, force: bool = False) -> Report:
    """Put a backup back as a data folder. Nothing is touched unless all of it is good.

    A folder that is in use is refused, and one that holds anything, unless `force` is given: what was there
    is then moved to `before-restore-TIME` inside it. The database comes last, so that a restore which was cut
    off is noticed at the next start (`unfinished`). Raises BackupError and store.StoreError.
    """
    manifest, files = read(file, passphrase)
    is_new = not folder.exists()
    home = folder.parent if is_new else folder
    try:
        home.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            if not is_new:
                stack.callback(store.FolderLock(folder).release)
                _require_room(folder, force=force)
            fresh = Path(tempfile.mkdtemp(dir=home, prefix=_NEW))
            stack.callback(shutil.rmtree, fresh, ignore_errors=True)
            problems = _examine(_write_all(fresh, files), known_schema)
            if problems:
                raise BackupError(f"{file} is not good: " + "; ".join(problems))
            if is_new:
                fresh.rename(folder)
            else:
                _exchange(folder, fresh, {name.partition("/")[0] for name in files})
            sync_folder(home)
    except OSError as e:
        raise BackupError(f"{folder} cannot be restored to: {e.strerror}") from e
    return Report(manifest)


def _contents(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.name not in _LEFT and not p.name.startswith((_OLD, _NEW))]


def _require_room(folder: Path, *, force: bool) -> None:
    if unfinished(folder) or force:
        return
    if _contents(folder):
        raise BackupError(f"{folder} is not empty: name another folder, or use --force to move aside what is there")


def _exchange(folder: Path, fresh: Path, names: set[str]) -> None:
    order: Callable[[str], bool] = lambda name: name == DATABASE  # noqa: E731 - last in, first out
    old = _contents(folder)
    if old:
        aside = folder / (_OLD + time.strftime("%Y%m%d-%H%M%S", time.gmtime()) + "-" + secrets.token_hex(2))
        aside.mkdir(mode=0o700)
        for path in sorted(old, key=lambda p: not order(p.name)):
            path.rename(aside / path.name)
    for name in sorted(names, key=order):
        (fresh / name).rename(folder / name)


def unfinished(folder: Path) -> bool:
    """Whether a restore into this folder was cut off: files wait to be put in place, and the database is missing."""
    waiting: Sequence[Path] = list(folder.glob(f"{_NEW}*/{DATABASE}"))
    return bool(waiting) and not (folder / DATABASE).exists()
