"""The recovery kit: in one file what somebody needs to put this controller up again, and to know that it is the same.

A zip with an encrypted backup, the root certificate, and a page in plain words. It is made on request and kept
nowhere; the passphrase is not in it.
"""

from __future__ import annotations

import io
import tempfile
import time
import zipfile
from pathlib import Path

import pki
from domain.care import archive
from domain.care.archive import BackupError
from domain.context import VERSION, Context, Controller
from wire.errors import ApiError
from wire.resource import OWN, Action, Body, Field, Result, text

BACKUP, ROOT, PAGE = "backup.age", "root.pem", "README.txt"


def kit(ctx: Context) -> Result:
    """POST /recovery-kit {passphrase}: the zip. Raises BACKUP_FAILED with the reason."""
    ctrl = ctx.ctrl
    made = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    root = _root(ctrl)
    with tempfile.TemporaryDirectory() as folder:
        backup = Path(folder) / BACKUP
        try:
            archive.create(ctrl, backup, ctx.body["passphrase"])
        except BackupError as e:
            raise ApiError("BACKUP_FAILED", str(e)) from None
        content = _zipped({BACKUP: backup.read_bytes(), ROOT: root.pem.encode(), PAGE: page(ctrl, made).encode()})
    name = f"zitilite-recovery-kit-{time.strftime('%Y%m%d', time.gmtime())}.zip"
    headers = {"Content-Disposition": f"attachment; filename={name}", "Cache-Control": "no-store"}
    return Result(raw=content, content_type="application/zip", headers=headers)


def _root(ctrl: Controller) -> pki.Cert:
    """What is to be trusted: our root, or the highest CA we have where the root is the operator's own."""
    held = [one.cert for one in ctrl.authority.own_certificates() if one.kind == "root" and one.is_current]
    return held[0] if held else ctrl.authority.bundle[-1]


def _zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archived:
        for name, body in files.items():
            archived.writestr(name, body)
    return packed.getvalue()


def page(ctrl: Controller, made: str) -> str:
    """What lies in the kit, and what to do with it, for somebody who has never seen it."""
    root = _root(ctrl)
    print_ = root.sha256
    shown = f"    {print_[:47]}\n    {print_[48:]}"
    return f"""Recovery kit of a Zitilite controller
=====================================

Made {made} by zitilite {VERSION}.
Clients reach this controller at: {", ".join(str(a) for a in ctrl.addresses)}
Its network id: {ctrl.network_id}

Keep this kit away from the machine that the controller runs on.
The passphrase is not in it. Without the passphrase the backup is of no use.

What is in it
-------------
{BACKUP}
    The database and all keys, encrypted with the passphrase.

{ROOT}
    The root certificate. It is no secret. Whoever installs it trusts this controller.
    Its subject: {root.subject}
    Its SHA-256 fingerprint, to be compared before it is trusted:

{shown}

To put the controller up again
------------------------------
On any machine with zitilite {VERSION} or later, with the passphrase in the file "passphrase":

    zitilite restore --passphrase-file passphrase --data NEW_FOLDER {BACKUP}
    zitilite --data NEW_FOLDER

Devices find it again if it answers at the same address. Nobody has to enroll anew.
To see first whether the backup is whole:

    zitilite restore --check --passphrase-file passphrase {BACKUP}

To see whose certificate a machine presents:

    openssl x509 -in {ROOT} -noout -subject -fingerprint -sha256
"""


BODY = Body("recoveryKit", "RecoveryKit", (Field("passphrase", text(8, 200), required="c"),))
ACTIONS = (
    Action(
        "POST",
        "/recovery-kit",
        kit,
        bases=(OWN,),
        body=BODY,
        produces=("application/zip", "application/json"),
        summary="An encrypted backup, the root certificate and how to use them, in one zip",
    ),
)
