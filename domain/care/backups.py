"""Backups of the running controller: made on request and by the clock, listed, checked, fetched, forgotten.

They are files in one folder and nowhere else: what lies there is what is listed, whoever put it there.
The passphrase comes from the request or from the setting `backup_passphrase`; it is stored nowhere else.
"""

from __future__ import annotations

import calendar
import logging
import re
import secrets
import threading
import time
from pathlib import Path
from typing import Any

import store
from config import SettingError, Settings
from domain import chosen
from domain.care import archive, plain_lists
from domain.care.archive import BackupError
from domain.context import Context, Controller
from wire.errors import ApiError, field_error, not_found
from wire.filters import Kind
from wire.resource import OWN, Action, Body, Field, Param, Result, links, now_ms, time_text
from wire.resource import text as text_kind

log = logging.getLogger("zitilite.backups")
_NAME = re.compile(r"(\d{8}-\d{6})-(auto|manual)-[0-9a-f]{4}\Z")
_KINDS: dict[str, Kind] = {
    "id": "string",
    "createdAt": "datetime",
    "updatedAt": "datetime",
    "tags": "map",
    "kind": "string",
    "size": "number",
}
_HOUR_MS = 3_600_000
_one_at_a_time = threading.Lock()


def folder_of(settings: Settings) -> Path:
    """Where the backups are."""
    return Path(settings.backup_folder or settings.data / "backups")


def check_settings(settings: Settings) -> None:
    """A schedule without a passphrase would only ever fail. Raises SettingError."""
    if settings.backup_hours and not settings.backup_passphrase:
        raise SettingError("setting 'backup_hours' needs 'backup_passphrase': backups are encrypted with it")


def found(settings: Settings) -> list[dict[str, Any]]:
    """The backups there are, the newest first: id, createdAt (milliseconds), kind (auto, manual), size (bytes)."""
    folder = folder_of(settings)
    rows = []
    for path in folder.glob("*.age") if folder.is_dir() else ():
        named = _NAME.match(path.stem)
        if named:
            made = calendar.timegm(time.strptime(named[1], "%Y%m%d-%H%M%S")) * 1000
            rows.append({"id": path.stem, "createdAt": made, "kind": named[2], "size": path.stat().st_size})
    return sorted(rows, key=lambda row: (row["createdAt"], row["id"]), reverse=True)


def make(ctrl: Controller, passphrase: str, kind: str) -> str:
    """Write a backup into the folder; gives its id. Raises BackupError."""
    folder = folder_of(ctrl.settings)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise BackupError(f"{folder} cannot be used for backups: {e.strerror}") from e
    key = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{kind}-{secrets.token_hex(2)}"
    archive.create(ctrl, folder / f"{key}.age", passphrase)
    log.info("backup %s was written to %s", key, folder)
    return key


# --- by the clock


def make_if_due(ctrl: Controller) -> None:
    """Make the scheduled backup when the last one is old enough, and forget the oldest scheduled ones."""
    settings = ctrl.settings
    hours = chosen.value(settings, "backup_hours")
    if not hours or not settings.backup_passphrase:
        return
    last = next((row["createdAt"] for row in found(settings) if row["kind"] == "auto"), 0)
    if 0 <= now_ms() - last < hours * _HOUR_MS:
        return
    with _one_at_a_time:
        make(ctrl, settings.backup_passphrase, "auto")
    for row in [row for row in found(settings) if row["kind"] == "auto"][chosen.value(settings, "backup_keep") :]:
        (folder_of(settings) / f"{row['id']}.age").unlink(missing_ok=True)


# --- the API


def _document(row: dict[str, Any]) -> dict[str, Any]:
    made = time_text(row["createdAt"])
    return {
        "_links": links("backups", row["id"], ("content",)),
        "createdAt": made,
        "id": row["id"],
        "tags": {},
        "updatedAt": made,
        "kind": row["kind"],
        "size": row["size"],
    }


def _path(ctx: Context, key: str) -> Path:
    path = folder_of(ctx.ctrl.settings) / f"{key}.age"
    if not _NAME.match(key) or not path.is_file():
        raise not_found("backup", key)
    return path


def listing(ctx: Context) -> Result:
    """GET /backups, the newest first unless the filter sorts."""
    rows = [{**row, "updatedAt": row["createdAt"], "tags": {}} for row in found(ctx.ctrl.settings)]
    return plain_lists.page(ctx, rows, _KINDS, _document)


def detail(ctx: Context, id: str) -> Any:
    """GET /backups/{id}."""
    _path(ctx, id)
    return _document(next(row for row in found(ctx.ctrl.settings) if row["id"] == id))


def create(ctx: Context) -> Result:
    """POST /backups: make one now, while everything goes on."""
    passphrase = _passphrase(ctx)
    if not _one_at_a_time.acquire(blocking=False):
        raise ApiError("RATE_LIMITED", log="another backup is being made")
    try:
        key = make(ctx.ctrl, passphrase, "manual")
    except BackupError as e:
        raise ApiError("BACKUP_FAILED", str(e)) from None
    finally:
        _one_at_a_time.release()
    return Result({"_links": links("backups", key, ("content",)), "id": key}, status=201)


def _passphrase(ctx: Context) -> str:
    given = ctx.body.get("passphrase") or ctx.ctrl.settings.backup_passphrase
    if not given:
        raise field_error("passphrase", "is required, because the setting backup_passphrase is not set", None)
    return str(given)


def content(ctx: Context, id: str) -> Result:
    """GET /backups/{id}/content: the file."""
    name = f"attachment; filename=zitilite-{id}.age"
    return Result(
        raw=_path(ctx, id).read_bytes(),
        content_type="application/octet-stream",
        headers={"Content-Disposition": name},
    )


def check(ctx: Context, id: str) -> Any:
    """POST /backups/{id}/check: open it and look at all of it, as a restore would."""
    path, passphrase = _path(ctx, id), _passphrase(ctx)
    try:
        report = archive.check(path, passphrase, store.version())
    except BackupError as e:
        return {"good": False, "manifest": None, "problems": [str(e)]}
    return {"good": not report.problems, "manifest": report.manifest, "problems": report.problems}


def delete(ctx: Context, id: str) -> Any:
    """DELETE /backups/{id}."""
    _path(ctx, id).unlink(missing_ok=True)
    return {}


BODY = Body("backup", "BackupCreate", (Field("passphrase", text_kind(8, 200)),), optional=True)
_BINARY = ("application/octet-stream", "application/json")
_ITEM = "/backups/{id}"
_PAGING = (Param("limit", "int64"), Param("offset", "int64"))

ACTIONS = (
    Action("GET", "/backups", listing, bases=(OWN,), query=_PAGING, summary="The backups there are"),
    Action("POST", "/backups", create, bases=(OWN,), body=BODY, summary="Make a backup now"),
    Action("GET", _ITEM, detail, bases=(OWN,), summary="One backup"),
    Action("DELETE", _ITEM, delete, bases=(OWN,), summary="Forget a backup"),
    Action("GET", f"{_ITEM}/content", content, bases=(OWN,), produces=_BINARY, summary="The encrypted file"),
    Action("POST", f"{_ITEM}/check", check, bases=(OWN,), body=BODY, summary="Whether it can be restored"),
)
