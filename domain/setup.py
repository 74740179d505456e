"""The first start, and the local way back in: what is written without a request."""

from __future__ import annotations

import json
import secrets
import uuid
from pathlib import Path
from typing import Any

from werkzeug.security import generate_password_hash

import store
from config import Settings
from domain import controller_settings, ids, policies, roles
from domain.care import audit
from domain.logins import credentials
from models import ApiSession, Authenticator, AuthPolicy, ConfigType, ControllerSetting, Identity, Meta, OwnCertificate
from pki import Authority
from wire.resource import now_ms

# The fact that holds the code of the first run (domain/care/first_run.py).
FIRST_RUN = "first_run"
_CONFIG_TYPES = Path(__file__).with_name("config_types.json")


def fact(key: str, make: Any) -> str:
    """A fact about this installation, made once."""
    row = Meta.get_or_none(Meta.key == key)
    if row is not None:
        return str(row.value)
    value = str(make())
    with store.write():
        Meta.insert(key=key, value=value).on_conflict_ignore().execute()
    return str(Meta.get_by_id(key).value)


def network_id() -> str:
    """A UUID that names this installation in network tokens."""
    return fact("network_id", uuid.uuid4)


def new_trust_domain() -> str:
    """A trust domain for an installation that was not given one."""
    return fact("trust_domain", lambda: f"zitilite-{secrets.token_hex(4)}")


def is_new() -> bool:
    """Whether nothing was ever set up in this database."""
    return not Identity.select().where(Identity.is_default_admin).exists()


def first_start(user: str, password: str) -> str:
    """Make the default policy, the built-in config types and the administrator.

    Returns the administrator's password, a random one when none was given.
    """
    password = password or ids.password()
    hashed = generate_password_hash(password, method=credentials.HASH_METHOD)
    now = now_ms()
    times = {"created_at": now, "updated_at": now}
    with store.write():
        AuthPolicy.create(
            id="default",
            name="Default",
            primary=policies.DEFAULT_PRIMARY,
            secondary={"requireTotp": False},
            is_system=True,
            **times,
        )
        for row in json.loads(_CONFIG_TYPES.read_text()):
            ConfigType.create(**row, is_system=False, **times)
        ControllerSetting.create(id=controller_settings.GLOBAL, **times)
        admin = Identity.create(id=ids.short_id(), name=user, is_admin=True, is_default_admin=True, **times)
        roles.set_attributes("identity", admin.id, [])
        _add_password(admin, user, hashed)
    return password


def _add_password(identity: Identity, user: str, hashed: str) -> None:
    now = now_ms()
    Authenticator.create(
        id=ids.short_id(),
        identity=identity,
        method="updb",
        updb_username=user,
        updb_password=hashed,
        created_at=now,
        updated_at=now,
    )


class SetupError(Exception):
    """What was asked for cannot be done; the text says why."""


def require_keys(settings: Settings) -> None:
    """Where several processes share a database, they need the same keys: making others would go unnoticed at first.

    Raises SetupError when the data folder has none while the database is in use already.
    """
    if settings.database and not settings.signing_cert and not (settings.data / "pki" / "intermediate.cert").exists():
        raise SetupError(
            f"the database is in use already, but its keys are not in {settings.data / 'pki'}: copy the folder `pki` "
            "of the process that has them, or name that data folder with --data (docs/guide/postgresql.md)"
        )


def require_known(authority: Authority) -> None:
    """The keys must be those the database knows as current; raises SetupError when they are another controller's."""
    mine = {one.cert.fingerprint for one in authority.own_certificates() if one.kind == "root" and one.is_current}
    known = {
        row.fingerprint
        for row in OwnCertificate.select().where(OwnCertificate.kind == "root", OwnCertificate.is_current)
    }
    if mine and known and not mine & known:
        raise SetupError(
            "the keys in the data folder are not those that the database knows: they are another controller's, or from "
            "before a roll-over. Copy the folder `pki` of a process that runs (docs/guide/postgresql.md)"
        )


def reset_password(user: str, password: str) -> tuple[str, str]:
    """Give an administrator a new password, unlock and enable it, and end its sessions.

    Args:
        user: login or identity name; "" takes the default administrator.
        password: "" makes a random one.

    Returns:
        The login and the new password.
    """
    password = password or ids.password()
    if not 5 <= len(password) <= 100:
        raise SetupError("a password has 5 to 100 characters")
    hashed = generate_password_hash(password, method=credentials.HASH_METHOD)
    with store.write():
        identity = _administrator(user)
        a = Authenticator.get_or_none(Authenticator.identity == identity.id, Authenticator.method == "updb")
        if a is None:
            login = _free_login(identity.name)
            _add_password(identity, login, hashed)
        else:
            login = a.updb_username
            Authenticator.update(updb_password=hashed, updated_at=now_ms()).where(Authenticator.id == a.id).execute()
        Identity.update(disabled_at=None, disabled_until=None, failed_logins=0).where(
            Identity.id == identity.id
        ).execute()
        ApiSession.delete().where(ApiSession.identity == identity.id).execute()
        audit.record_local("reset-password", "identities", identity.id, identity.name)
        Meta.delete().where(Meta.key == FIRST_RUN).execute()
    return login, password


def _free_login(wanted: str) -> str:
    """The identity's name as login, padded where it is too short, numbered where it is taken."""
    login = wanted if len(wanted) >= 4 else f"{wanted}-admin"
    number = 1
    while Authenticator.select().where(Authenticator.updb_username == login).exists():
        number += 1
        login = f"{wanted}-{number}"
    return login


def _administrator(user: str) -> Identity:
    query = Identity.select().where(Identity.is_admin | Identity.is_default_admin)
    if not user:
        found = query.where(Identity.is_default_admin).first()
    else:
        by_login = Authenticator.select(Authenticator.identity).where(Authenticator.updb_username == user)
        found = query.where((Identity.name == user) | Identity.id.in_(by_login)).first()
    if found is None:
        raise SetupError(f"there is no administrator '{user}'" if user else "nothing was set up here yet")
    identity: Identity = found
    return identity
