"""The rows of our own API that are about staying in service: addresses, certificates, what is blocked."""

from __future__ import annotations

from domain import ids
from domain.care import addresses, blocked, certificates
from models import Address, BlockedCertificate, Certificate, Identity, Router
from wire.resource import BOOL, OPTIONAL_TEXT, OWN, TIME, Association, Entity, Field, enum, text

REASON = text(0, 500)

ENTITIES: tuple[Entity, ...] = (
    Entity(
        "addresses",
        "address",
        Address,
        "Address",
        (
            Field("address", body="c", required="c"),
            Field("host", body=""),
            Field("followsPort", BOOL, body=""),
            Field("isIssuer", BOOL, body="cp"),
            Field("isAnnounced", BOOL, body="cp", default=True),
        ),
        bases=(OWN,),
        verbs="lgcpd",
        new_id=ids.short_id,
        links=("identities", "routers"),
        associations=(
            Association("identities", "identities", addresses.enrolled_by(Identity)),
            Association("routers", "routers", addresses.enrolled_by(Router)),
        ),
        before_save=addresses.before_save,
        after_save=addresses.after_save,
        before_delete=addresses.before_delete,
        extend=addresses.extend,
    ),
    Entity(
        "certificates",
        "certificate",
        Certificate,
        "Certificate",
        (
            Field("kind", enum(*certificates.KINDS), body=""),
            Field("fingerprint", body=""),
            Field("subject", body=""),
            Field("issuer", body=""),
            Field("serial", body=""),
            Field("notBefore", TIME, body=""),
            Field("notAfter", TIME, body=""),
            Field("ownerId", OPTIONAL_TEXT, body=""),
            Field("ownerName", OPTIONAL_TEXT, body=""),
            Field("isCurrent", BOOL, body=""),
            Field("state", enum(*certificates.STATES), body=""),
        ),
        bases=(OWN,),
        verbs="lg",
        symbols=certificates.SYMBOLS,
        scope=certificates.scope,
        extend=certificates.extend,
    ),
    Entity(
        "blocked-certificates",
        "blockedCertificate",
        BlockedCertificate,
        "BlockedCertificate",
        (
            Field("fingerprint", OPTIONAL_TEXT, body="c"),
            Field("sha256", OPTIONAL_TEXT, body=""),
            Field("serial", OPTIONAL_TEXT, body="c"),
            Field("issuer", OPTIONAL_TEXT, body="c"),
            Field("certPem", body="c", virtual=True),
            Field("reason", REASON, body="cp"),
            Field("subject", OPTIONAL_TEXT, body=""),
            Field("expiresAt", TIME, body=""),
            Field("blockedBy", OPTIONAL_TEXT, body=""),
        ),
        bases=(OWN,),
        verbs="lgcpd",
        new_id=ids.short_id,
        before_save=blocked.before_save,
        after_save=blocked.after_save,
        extend=blocked.extend,
    ),
)
