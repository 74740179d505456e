"""What the machine cannot do at the moment, said so that somebody can act: a full disk, a damaged file, an expired CA.

Such an answer is 503 and means that nothing was changed: a token is not spent, and works when the trouble is over.
"""

from __future__ import annotations

import errno

import pki
import store
from wire.errors import ApiError

RETRY_SECONDS = 10
_DATABASE = (
    ("disk is full", "the disk with the data folder is full: make room on it"),
    ("readonly", "the database cannot be written: its file or disk is read-only"),
    ("disk I/O error", "the disk with the data folder fails: look at the machine's log, restore a backup elsewhere"),
    ("malformed", "the database file is damaged: `zitilite doctor` says where; restore a backup"),
    ("not a database", "the database file is damaged: restore a backup"),
    ("locked", "another program holds the database: end it"),
    ("unable to open", "the database file cannot be opened: it is gone, or too many files are open"),
)
_DISK = {
    errno.ENOSPC: _DATABASE[0][1],
    errno.EDQUOT: "the quota of the data folder is used up: make room",
    errno.EROFS: "the disk with the data folder is read-only",
    errno.EIO: _DATABASE[2][1],
}


def explain(e: BaseException) -> ApiError | None:
    """The answer for an exception that has its cause outside the program; None for any other."""
    retry = {"Retry-After": str(RETRY_SECONDS)}
    found: BaseException | None = e
    while found is not None:
        # Not its kinds: what a client sent must have been refused before.
        if type(found) is pki.PkiError:
            return ApiError("CA_UNAVAILABLE", str(found), headers=retry, log=str(found))
        if cause := _cause(found):
            return ApiError("STORAGE_UNAVAILABLE", cause, headers=retry, log=f"{cause} ({found})")
        # SQLite rolls back by itself when the disk is full; that this cannot be done twice hides the reason.
        found = found.__context__
    return None


def _cause(e: BaseException) -> str | None:
    if isinstance(e, store.DatabaseError):
        return next((cause for sign, cause in _DATABASE if sign in str(e)), None)
    return _DISK.get(e.errno or 0) if isinstance(e, OSError) else None
