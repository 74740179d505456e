"""The database from outside: snapshots, and the check of what is stored.

Source: /database/… of the management API and of the fabric API, recorded answers of topics `misc`
and `fabric`. A snapshot lies in DATA/snapshots, whatever path a caller names.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import store
from domain import integrity
from domain.context import Context
from models import Meta
from wire.errors import ApiError, field_error
from wire.resource import FABRIC, MANAGEMENT, Action, Body, Field, Result, now_ms, time_text

SNAPSHOT_EVERY_MS = 60_000
CHECK_EVERY_MS = 1_000
MAX_RESULTS = 1_000
_LAST_SNAPSHOT, _LAST_CHECK = "snapshot_at", "integrity"
_NEVER: dict[str, Any] = {
    "endTime": None,
    "error": None,
    "fixingErrors": False,
    "inProgress": False,
    "results": None,
    "startTime": None,
    "tooManyErrors": False,
}


# --- snapshots


def snapshot(ctx: Context) -> Any:
    """POST /database/snapshot (management) and POST /database (fabric): a copy under a name with the time."""
    _take(ctx, "__DB_FILE__-__DATE__-__TIME__")
    return {}


def snapshot_to(ctx: Context) -> Any:
    """POST /database/snapshot (fabric): the caller chooses the name, but not the folder."""
    return {"path": str(_take(ctx, ctx.body.get("path") or "__DB_FILE__-__DATE__-__TIME__"))}


def _take(ctx: Context, path: str) -> Path:
    folder = ctx.ctrl.settings.data.resolve() / "snapshots"
    with store.write():
        _limit(_LAST_SNAPSHOT, SNAPSHOT_EVERY_MS)
        target = _target(folder, path)
        Meta.replace(key=_LAST_SNAPSHOT, value=str(now_ms())).execute()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        store.backup(target)
    except OSError as e:
        with store.write():
            Meta.delete().where(Meta.key == _LAST_SNAPSHOT).execute()
        raise field_error("path", f"the snapshot cannot be written: {e.strerror}", path) from None
    return target


def _target(folder: Path, path: str) -> Path:
    """The file for a snapshot; only names right inside the folder are accepted."""
    now = time.gmtime()
    known = {
        "__DB_DIR__": str(folder),
        "__DB_FILE__": "zitilite.db",
        "__DATE__": time.strftime("%Y%m%d", now),
        "__TIME__": time.strftime("%H%M%S", now),
    }
    text = path
    for placeholder, value in known.items():
        text = text.replace(placeholder, value)
    name = Path(text).name
    if "\0" in text or not name or name in {".", ".."} or len(name.encode()) > 200 or folder / text != folder / name:
        raise field_error("path", f"snapshots are written to {folder} only: give a file name", path)
    return folder / name


def _limit(key: str, every_ms: int) -> None:
    row = Meta.get_or_none(Meta.key == key)
    last = json.loads(row.value) if row else 0
    began = last["began"] if isinstance(last, dict) else last
    if 0 <= now_ms() - began < every_ms:
        raise ApiError("RATE_LIMITED")


# --- integrity


def check(ctx: Context) -> Result:
    """POST /database/check-data-integrity: look, change nothing. Done when the answer comes."""
    return _run(fix=False)


def fix(ctx: Context) -> Result:
    """POST /database/fix-data-integrity: look, and put right what can be."""
    return _run(fix=True)


def _run(*, fix: bool) -> Result:
    began = now_ms()
    document = {**_NEVER, "fixingErrors": fix, "startTime": time_text(began)}
    with store.write():
        _limit(_LAST_CHECK, CHECK_EVERY_MS)
        _note(began, {**document, "inProgress": True})
    try:
        with store.write() if fix else store.read():
            found = integrity.examine(fix=fix)
        shown = [{"description": f.description, "fixed": f.fixed} for f in found[:MAX_RESULTS]]
        document |= {"results": shown or None, "tooManyErrors": len(found) > MAX_RESULTS}
    except Exception as e:
        document["error"] = f"the check was cut off: {type(e).__name__}"
        raise
    finally:
        with store.write():
            _note(began, {**document, "endTime": time_text(now_ms())})
    return Result({}, status=202)


def _note(began: int, document: dict[str, Any]) -> None:
    Meta.replace(key=_LAST_CHECK, value=json.dumps({"began": began, "document": document})).execute()


def results(ctx: Context) -> Result:
    """GET /database/data-integrity-results: what the last check found."""
    row = Meta.get_or_none(Meta.key == _LAST_CHECK)
    document = json.loads(row.value)["document"] if row else _NEVER
    total = len(document["results"] or ())
    return Result(document, meta={"pagination": {"limit": -1, "offset": 0, "totalCount": total}})


SNAPSHOT = Body("snapshot", "DatabaseSnapshotCreate", (Field("path"),))
_EDGE, _FABRIC, _BOTH = (MANAGEMENT,), (FABRIC,), (MANAGEMENT, FABRIC)
_PATH = "/database"

ACTIONS = (
    Action("POST", f"{_PATH}/snapshot", snapshot, bases=_EDGE, summary="Copy the database"),
    Action("POST", _PATH, snapshot, bases=_FABRIC, summary="Copy the database"),
    Action("POST", f"{_PATH}/snapshot", snapshot_to, "admin", _FABRIC, SNAPSHOT, summary="Copy under a name"),
    Action("POST", f"{_PATH}/check-data-integrity", check, bases=_BOTH, summary="Check what is stored"),
    Action("POST", f"{_PATH}/fix-data-integrity", fix, bases=_BOTH, summary="Repair what is stored"),
    Action("GET", f"{_PATH}/data-integrity-results", results, bases=_BOTH, summary="What the last check found"),
)
