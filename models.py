"""What is stored: peewee models, one per table. The only module that names tables and columns.

Times are integers, milliseconds since the epoch (UTC). JSON documents are compact text. Role
attributes and policy memberships are index tables, so that filters on them are look-ups.

In tables without rowid the columns of the key come first and in its order: SQLite 3.40's integrity
check takes them for missing otherwise.
"""

from __future__ import annotations

from typing import Any

import peewee as pw

import compact
import store


class JsonField(pw.TextField):
    """A JSON document kept as compact text."""

    def db_value(self, value: Any) -> str | None:
        """The text to store."""
        return None if value is None else compact.text(value)

    def python_value(self, value: str | None) -> Any:
        """The document from its text."""
        if value is None:
            return None
        # Most are empty.
        return {} if value == "{}" else [] if value == "[]" else compact.load(value)


class Base(pw.Model):
    """What all tables share."""

    class Meta:
        database = store.database
        legacy_table_names = False


class Watched:
    """A table whose changes are noted in columns of others, by triggers, whoever makes them."""

    triggers: tuple[str, ...] = ()

    @classmethod
    def create_table(cls, safe: bool = True, **options: Any) -> None:  # noqa: FBT001, FBT002 - as peewee's own
        """Make the table, its indexes and its triggers."""
        model: Any = super()
        model.create_table(safe=safe, **options)
        for statement in cls.triggers:
            cls._meta.database.execute_sql(statement)  # type: ignore[attr-defined]


def _noting(table: str, columns: str, notes: dict[str, str]) -> tuple[str, ...]:
    """Triggers that keep columns of other tables right when rows of `table` come, change or go.

    columns: an update of any of these counts. notes: owner's table -> its columns as SQL, `{id}` is the owner.
    """
    found = []
    for event, row in (("INSERT", "NEW"), (f"UPDATE OF {columns}", "NEW"), ("DELETE", "OLD")):
        for owner, sets in notes.items():
            name = f"{table}_{event.split()[0].lower()}_{owner}"
            key = f'{row}."{owner}_id"'
            found.append(
                f'CREATE TRIGGER "{name}" AFTER {event} ON "{table}" WHEN {key} IS NOT NULL '  # noqa: S608 - our names
                f'BEGIN UPDATE "{owner}" SET {sets.format(id=key)} WHERE "id" = {key}; END'
            )
    return tuple(found)


class Meta(Base):
    """Facts about this installation, such as its instance id and trust domain."""

    key = pw.TextField(primary_key=True)
    value = pw.TextField()


class Entity(Base):
    """What every entity of the API has."""

    id = pw.TextField(primary_key=True)
    created_at = pw.BigIntegerField()
    updated_at = pw.BigIntegerField()
    tags = JsonField(default=dict)
    is_system = pw.BooleanField(default=False)


class AuthPolicy(Entity):
    """How identities may log in."""

    name = pw.TextField(unique=True)
    primary = JsonField()
    secondary = JsonField()


class Identity(Entity):
    """Who can log in: a person, a device, a router's tunneler."""

    name = pw.TextField(unique=True)
    type = pw.TextField(default="Default")
    is_admin = pw.BooleanField(default=False)
    is_default_admin = pw.BooleanField(default=False)
    external_id = pw.TextField(null=True, unique=True)
    auth_policy = pw.ForeignKeyField(AuthPolicy, default="default", on_delete="RESTRICT")
    app_data = JsonField(default=dict)
    default_hosting_cost = pw.IntegerField(default=0)
    default_hosting_precedence = pw.TextField(default="default")
    service_hosting_costs = JsonField(default=dict)
    service_hosting_precedences = JsonField(default=dict)
    permissions = JsonField(default=list)
    role_attributes = JsonField(default=list)
    env_info = JsonField(default=dict)
    sdk_info = JsonField(default=dict)
    disabled_at = pw.BigIntegerField(null=True)
    disabled_until = pw.BigIntegerField(null=True)
    failed_logins = pw.IntegerField(default=0)
    ca = pw.TextField(null=True)
    enrolled_address = pw.TextField(null=True, index=True)
    last_seen_at = pw.BigIntegerField(null=True)
    # Kept by the triggers of Enrollment and Authenticator, so that lists by state are one pass over an index.
    is_enrolled = pw.BooleanField(default=False)
    token_expires_at = pw.BigIntegerField(null=True)
    cert_expires_at = pw.BigIntegerField(null=True)

    class Meta:
        indexes = (
            (
                (
                    "type",
                    "disabled_at",
                    "disabled_until",
                    "is_enrolled",
                    "token_expires_at",
                    "cert_expires_at",
                    "external_id",
                    "id",
                ),
                False,
            ),
            # With the id behind them, as lists are sorted.
            (("created_at", "id"), False),
            (("last_seen_at", "id"), False),
            (("token_expires_at", "id"), False),
            (("cert_expires_at", "id"), False),
        )


class IdentityAttribute(Base):
    """Index of `Identity.role_attributes`."""

    attribute = pw.TextField()
    entity = pw.ForeignKeyField(Identity, on_delete="CASCADE", index=False)

    class Meta:
        primary_key = pw.CompositeKey("attribute", "entity")
        indexes = ((("entity",), False),)
        without_rowid = True


class Ca(Entity):
    """A third-party CA."""

    name = pw.TextField(unique=True)
    cert_pem = pw.TextField()
    fingerprint = pw.TextField(unique=True)
    is_verified = pw.BooleanField(default=False)
    verification_token = pw.TextField(unique=True)
    is_auth_enabled = pw.BooleanField()
    is_auto_ca_enrollment_enabled = pw.BooleanField()
    is_ott_ca_enrollment_enabled = pw.BooleanField()
    identity_roles = JsonField(default=list)
    identity_name_format = pw.TextField()
    external_id_claim = JsonField(null=True)


class NameCounter(Base):
    """The last number appended to a colliding name, so that the next one needs no search."""

    name = pw.TextField(primary_key=True)
    last = pw.IntegerField()


class Authenticator(Watched, Entity):
    """A password (updb) or a certificate (cert) of an identity."""

    triggers = _noting(
        "authenticator",
        '"cert_expires_at"',
        {
            "identity": '"is_enrolled" = EXISTS (SELECT 1 FROM "authenticator" WHERE "identity_id" = {id}), '
            '"cert_expires_at" = (SELECT MAX("cert_expires_at") FROM "authenticator" WHERE "identity_id" = {id})'
        },
    )

    identity = pw.ForeignKeyField(Identity, on_delete="CASCADE")
    method = pw.TextField()
    updb_username = pw.TextField(null=True, unique=True)
    updb_password = pw.TextField(null=True)
    cert_pem = pw.TextField(null=True)
    cert_fingerprint = pw.TextField(null=True, unique=True)
    public_key_print = pw.TextField(null=True)
    cert_expires_at = pw.BigIntegerField(null=True)
    is_issued_by_network = pw.BooleanField(default=False)
    ca = pw.ForeignKeyField(Ca, null=True, on_delete="SET NULL")
    extend_requested_at = pw.BigIntegerField(null=True)
    is_extend_requested = pw.BooleanField(default=False)
    is_key_roll_requested = pw.BooleanField(default=False)
    last_extend_rolled_keys = pw.BooleanField(default=False)
    last_auth_resolved_to_root = pw.BooleanField(default=False)
    unverified_cert_pem = pw.TextField(null=True)
    unverified_cert_fingerprint = pw.TextField(null=True)

    class Meta:
        indexes = ((("identity", "method"), True), (("created_at", "id"), False), (("updated_at",), False))


class Router(Entity):
    """Edge routers, transit routers and plain routers; `kind` tells which API made it."""

    kind = pw.TextField()
    name = pw.TextField(unique=True)
    cost = pw.IntegerField(default=0)
    no_traversal = pw.BooleanField(default=False)
    disabled = pw.BooleanField(default=False)
    app_data = JsonField(default=dict)
    configs = JsonField(default=list)
    ctrl_chan_listeners = JsonField(null=True)
    role_attributes = JsonField(default=list)
    is_tunneler_enabled = pw.BooleanField(default=False)
    is_verified = pw.BooleanField(default=False)
    fingerprint = pw.TextField(null=True, unique=True)
    cert_pem = pw.TextField(null=True)
    cert_expires_at = pw.BigIntegerField(null=True)
    last_seen_at = pw.BigIntegerField(null=True)
    # Kept by the triggers of Enrollment.
    token_expires_at = pw.BigIntegerField(null=True)
    enrolled_address = pw.TextField(null=True, index=True)


class RouterAttribute(Base):
    """Index of `Router.role_attributes`."""

    attribute = pw.TextField()
    entity = pw.ForeignKeyField(Router, on_delete="CASCADE", index=False)

    class Meta:
        primary_key = pw.CompositeKey("attribute", "entity")
        indexes = ((("entity",), False),)
        without_rowid = True


class Enrollment(Watched, Entity):
    """A pending enrollment. It is deleted in the transaction that spends its token.

    The JWT is not stored: it is derived from this row, the advertised address and the server's key.
    """

    triggers = _noting(
        "enrollment",
        '"expires_at"',
        {
            "identity": '"token_expires_at" = (SELECT MAX("expires_at") FROM "enrollment" WHERE "identity_id" = {id})',
            "router": '"token_expires_at" = (SELECT MAX("expires_at") FROM "enrollment" WHERE "router_id" = {id})',
        },
    )

    method = pw.TextField()
    token = pw.TextField(unique=True)
    expires_at = pw.BigIntegerField()
    issued_at = pw.BigIntegerField()
    identity = pw.ForeignKeyField(Identity, null=True, on_delete="CASCADE")
    router = pw.ForeignKeyField(Router, null=True, unique=True, on_delete="CASCADE")
    ca = pw.ForeignKeyField(Ca, null=True, on_delete="CASCADE")
    username = pw.TextField(null=True)

    class Meta:
        indexes = ((("identity", "method"), True), (("created_at", "id"), False))


class ApiSession(Entity):
    """A login. A row, not memory: it survives a restart and is shared by worker processes."""

    token = pw.TextField(unique=True)
    identity = pw.ForeignKeyField(Identity, on_delete="CASCADE")
    authenticator = pw.TextField()
    ca = pw.TextField(null=True)
    ip_address = pw.TextField()
    config_types = JsonField(default=list)
    last_activity_at = pw.BigIntegerField()
    expires_at = pw.BigIntegerField(index=True)
    improper_client_cert_chain = pw.BooleanField(default=False)
    is_cert_extendable = pw.BooleanField(default=False)
    mfa_required = pw.BooleanField(default=False)
    mfa_complete = pw.BooleanField(default=False)
    mfa_passed_at = pw.BigIntegerField(null=True)
    totp_pending = pw.BooleanField(default=False)
    signer_pending = pw.TextField(null=True)
    oidc_client = pw.TextField(null=True)

    class Meta:
        indexes = ((("last_activity_at", "id"), False),)


ApiSession.add_index(ApiSession.ca, where=ApiSession.ca.is_null(is_null=False))  # most come through none


class SessionCertificate(Entity):
    """A certificate that may speak for an API session: the one it was opened with, or a short-lived one of ours."""

    session = pw.ForeignKeyField(ApiSession, on_delete="CASCADE")
    certificate = pw.TextField()
    fingerprint = pw.TextField()
    subject = pw.TextField()
    valid_from = pw.BigIntegerField()
    valid_to = pw.BigIntegerField()


class Mfa(Entity):
    """An identity's second factor: the TOTP secret and the recovery codes that are left."""

    identity = pw.ForeignKeyField(Identity, unique=True, on_delete="CASCADE")
    secret = pw.TextField()
    recovery_codes = JsonField()
    is_verified = pw.BooleanField(default=False)
    failures = pw.IntegerField(default=0)
    failing_since = pw.BigIntegerField(null=True)


class OidcRequest(Base):
    """An OIDC login under way, from /oidc/authorize until its code is exchanged. Deleted by that exchange."""

    id = pw.TextField(primary_key=True)
    expires_at = pw.BigIntegerField(index=True)
    client = pw.TextField()
    redirect_uri = pw.TextField()
    scopes = JsonField()
    state = pw.TextField()
    nonce = pw.TextField()
    code_challenge = pw.TextField()
    config_types = JsonField(default=list)
    code_hash = pw.TextField(null=True, unique=True)
    identity = pw.ForeignKeyField(Identity, null=True, on_delete="CASCADE")
    authenticator = pw.TextField(default="")
    ca = pw.TextField(null=True)
    amr = JsonField(default=list)
    authenticated_at = pw.BigIntegerField(default=0)
    totp_pending = pw.BooleanField(default=False)
    signer_pending = pw.TextField(null=True)
    certificate = pw.TextField(null=True)
    is_cert_extendable = pw.BooleanField(default=False)
    improper_client_cert_chain = pw.BooleanField(default=False)
    csr = pw.TextField(null=True)
    env_info = JsonField(default=dict)
    sdk_info = JsonField(default=dict)


class ExternalJwtSigner(Entity):
    """Whose tokens are taken for a login or an enrollment: its certificate, or where its keys are."""

    name = pw.TextField(unique=True)
    issuer = pw.TextField(unique=True)
    audience = pw.TextField()
    enabled = pw.BooleanField()
    cert_pem = pw.TextField(null=True)
    fingerprint = pw.TextField(null=True, unique=True)
    common_name = pw.TextField(null=True)
    not_before = pw.BigIntegerField(null=True)
    not_after = pw.BigIntegerField(null=True)
    kid = pw.TextField(null=True, unique=True)
    jwks_endpoint = pw.TextField(null=True)
    claims_property = pw.TextField()
    use_external_id = pw.BooleanField(default=False)
    external_auth_url = pw.TextField(null=True)
    client_id = pw.TextField(null=True)
    scopes = JsonField(default=list)
    target_token = pw.TextField()
    enroll_to_cert_enabled = pw.BooleanField(default=False)
    enroll_to_token_enabled = pw.BooleanField(default=False)
    enroll_name_claims_selector = pw.TextField()
    enroll_attribute_claims_selector = pw.TextField(null=True)
    enroll_auth_policy = pw.ForeignKeyField(AuthPolicy, on_delete="RESTRICT")


class ConfigType(Entity):
    """A kind of config, and the JSON Schema of its data."""

    name = pw.TextField(unique=True)
    schema = JsonField(null=True)
    target = pw.TextField(null=True)


class Config(Entity):
    """Data for the clients of services."""

    name = pw.TextField(unique=True)
    config_type = pw.ForeignKeyField(ConfigType, on_delete="RESTRICT")
    data = JsonField()


class Service(Entity):
    """What can be dialed and bound."""

    name = pw.TextField(unique=True)
    encryption_required = pw.BooleanField(default=True)
    max_idle_time_millis = pw.BigIntegerField(default=0)
    terminator_strategy = pw.TextField(default="smartrouting")
    role_attributes = JsonField(default=list)
    is_fabric_only = pw.BooleanField(default=False)


class ServiceAttribute(Base):
    """Index of `Service.role_attributes`."""

    attribute = pw.TextField()
    entity = pw.ForeignKeyField(Service, on_delete="CASCADE", index=False)

    class Meta:
        primary_key = pw.CompositeKey("attribute", "entity")
        indexes = ((("entity",), False),)
        without_rowid = True


class Terminator(Entity):
    """Where a service ends: a router, and the address that the router hands its traffic to."""

    service = pw.ForeignKeyField(Service, on_delete="CASCADE")
    router = pw.ForeignKeyField(Router, on_delete="CASCADE")
    binding = pw.TextField()
    address = pw.TextField()
    cost = pw.IntegerField(default=0)
    precedence = pw.TextField(default="default")
    instance_id = pw.TextField(default="")
    instance_secret = pw.TextField(default="")
    host_id = pw.TextField(default="")


class Session(Entity):
    """A service session: within an API session, leave to dial or to bind one service."""

    api_session = pw.ForeignKeyField(ApiSession, on_delete="CASCADE", index=False)
    service = pw.ForeignKeyField(Service, on_delete="CASCADE")
    type = pw.TextField()

    class Meta:
        indexes = ((("api_session", "service", "type"), True),)


class ServiceConfig(Base):
    """Which configs a service has."""

    service = pw.ForeignKeyField(Service, on_delete="CASCADE", index=False)
    config = pw.ForeignKeyField(Config, on_delete="CASCADE")

    class Meta:
        primary_key = pw.CompositeKey("service", "config")
        without_rowid = True


class IdentityServiceConfig(Base):
    """A config that one identity gets for one service instead of the service's own."""

    identity = pw.ForeignKeyField(Identity, on_delete="CASCADE", index=False)
    service = pw.ForeignKeyField(Service, on_delete="CASCADE")
    config = pw.ForeignKeyField(Config, on_delete="CASCADE")

    class Meta:
        primary_key = pw.CompositeKey("identity", "service", "config")
        without_rowid = True


class PostureCheck(Entity):
    """A demand on the device of whoever dials or binds."""

    name = pw.TextField(unique=True)
    type = pw.TextField()
    version = pw.IntegerField(default=1)
    role_attributes = JsonField(default=list)
    properties = JsonField(default=dict)


class PostureCheckAttribute(Base):
    """Index of `PostureCheck.role_attributes`."""

    attribute = pw.TextField()
    entity = pw.ForeignKeyField(PostureCheck, on_delete="CASCADE", index=False)

    class Meta:
        primary_key = pw.CompositeKey("attribute", "entity")
        indexes = ((("entity",), False),)
        without_rowid = True


class ServicePolicy(Entity):
    """Who may dial or bind which services."""

    name = pw.TextField(unique=True)
    type = pw.TextField()
    semantic = pw.TextField()
    identity_roles = JsonField(default=list)
    service_roles = JsonField(default=list)
    posture_check_roles = JsonField(default=list)


class EdgeRouterPolicy(Entity):
    """Which identities may use which edge routers."""

    name = pw.TextField(unique=True)
    semantic = pw.TextField()
    identity_roles = JsonField(default=list)
    edge_router_roles = JsonField(default=list)


class ServiceEdgeRouterPolicy(Entity):
    """Which services may be offered on which edge routers."""

    name = pw.TextField(unique=True)
    semantic = pw.TextField()
    service_roles = JsonField(default=list)
    edge_router_roles = JsonField(default=list)


class PolicyRole(Base):
    """Index of every role that a policy names: `#attribute`, `@id`, `#all`.

    `side` is which of the policy's lists it stands in: identity, service, router or posture.
    """

    side = pw.TextField()
    role = pw.TextField()
    policy = pw.TextField()
    policy_kind = pw.TextField()
    match_all = pw.BooleanField()

    class Meta:
        primary_key = pw.CompositeKey("side", "role", "policy")
        indexes = ((("policy",), False),)
        without_rowid = True


class PolicyMember(Base):
    """Who a policy's lists stand for, kept up to date under every change (domain/roles.py)."""

    policy = pw.TextField()
    side = pw.TextField()
    entity = pw.TextField()
    policy_kind = pw.TextField()

    class Meta:
        primary_key = pw.CompositeKey("policy", "side", "entity")
        indexes = ((("side", "entity", "policy"), True),)
        without_rowid = True


class PostureReport(Base):
    """What an identity's endpoint last reported about itself: `domain`, `mac`, `os`, `process:PATH`."""

    identity = pw.ForeignKeyField(Identity, on_delete="CASCADE", index=False)
    subject = pw.TextField()
    check_id = pw.TextField()
    value = JsonField()
    updated_at = pw.BigIntegerField()

    class Meta:
        primary_key = pw.CompositeKey("identity", "subject")
        without_rowid = True


class EndpointState(Base):
    """When the endpoint of an API session last woke up or was unlocked."""

    api_session = pw.ForeignKeyField(ApiSession, on_delete="CASCADE", primary_key=True)
    woken_at = pw.BigIntegerField(null=True)
    unlocked_at = pw.BigIntegerField(null=True)


class FailedServiceRequest(Base):
    """A service session that posture checks refused; the last ones of each identity are kept."""

    identity = pw.ForeignKeyField(Identity, on_delete="CASCADE")
    at = pw.BigIntegerField()
    document = JsonField()


class ControllerSetting(Entity):
    """Settings of one controller, or of all (`global`)."""

    oidc = JsonField(null=True)


class Revocation(Entity):
    """What must no longer be accepted: an identity, an API session or a token."""

    type = pw.TextField()
    expires_at = pw.BigIntegerField()


class ApiToken(Entity):
    """A named key for scripts: only the SHA-256 of its text is kept. Whoever owns it is the one who acts."""

    name = pw.TextField(unique=True)
    scope = pw.TextField()
    identity = pw.ForeignKeyField(Identity, on_delete="CASCADE")
    hash = pw.TextField(unique=True)
    prefix = pw.TextField()
    expires_at = pw.BigIntegerField()
    last_used_at = pw.BigIntegerField(null=True)
    last_used_from = pw.TextField(null=True)
    created_by = pw.TextField()


class Share(Entity):
    """A link that shows one pending enrollment to whoever has its secret; only the secret's SHA-256 is kept.

    `token_hash` is that of the token it was made for: a renewed one is another.
    """

    hash = pw.TextField(unique=True)
    enrollment = pw.ForeignKeyField(Enrollment, on_delete="CASCADE")
    token_hash = pw.TextField()
    expires_at = pw.BigIntegerField()
    created_by = pw.TextField()
    opened_count = pw.IntegerField(default=0)
    opened_at = pw.BigIntegerField(null=True)
    opened_from = pw.TextField(null=True)


class Address(Entity):
    """An address by which clients reach the controller; the issuer of tokens is one of them.

    `follows_port`: it was given without a port, so that it has the one that is listened on.
    """

    address = pw.TextField(unique=True)
    host = pw.TextField()
    follows_port = pw.BooleanField(default=False)
    is_issuer = pw.BooleanField(default=False)
    is_announced = pw.BooleanField(default=True)


class BlockedCertificate(Entity):
    """A certificate that is no longer taken, by its fingerprint, or by its issuer and serial number (hex)."""

    fingerprint = pw.TextField(null=True, unique=True)
    sha256 = pw.TextField(null=True, unique=True)
    issuer = pw.TextField(null=True)
    serial = pw.TextField(null=True)
    subject = pw.TextField(null=True)
    expires_at = pw.BigIntegerField(null=True)
    reason = pw.TextField(default="")
    blocked_by = pw.TextField(null=True)

    class Meta:
        indexes = ((("serial", "issuer"), True),)


class Crl(Entity):
    """The newest revocation list of a third-party CA; its id is the CA's."""

    ca = pw.ForeignKeyField(Ca, unique=True, on_delete="CASCADE")
    number = pw.TextField(null=True)
    this_update = pw.BigIntegerField(null=True)
    next_update = pw.BigIntegerField(null=True)
    revoked_count = pw.IntegerField(default=0)
    received_at = pw.BigIntegerField(null=True)
    source = pw.TextField(default="upload")
    url = pw.TextField(null=True)
    tried_at = pw.BigIntegerField(null=True)
    problem = pw.TextField(null=True)


class RevokedSerial(Base):
    """A serial number (hex) in a revocation list."""

    crl = pw.ForeignKeyField(Crl, on_delete="CASCADE", index=False)
    serial = pw.TextField()
    revoked_at = pw.BigIntegerField()

    class Meta:
        primary_key = pw.CompositeKey("crl", "serial")
        without_rowid = True


class OwnCertificate(Base):
    """A certificate of the controller itself: root, intermediate, cross, server; also those it had before."""

    fingerprint = pw.TextField(primary_key=True)
    kind = pw.TextField()
    pem = pw.TextField()
    created_at = pw.BigIntegerField()
    is_current = pw.BooleanField(default=True)


class CertificateFact(Base):
    """What stands in a certificate, by its fingerprint: read once, so that lists need not parse (care/certificates)."""

    fingerprint = pw.TextField(primary_key=True)
    subject = pw.TextField()
    issuer = pw.TextField()
    serial = pw.TextField()
    not_before = pw.BigIntegerField()
    not_after = pw.BigIntegerField(index=True)

    class Meta:
        indexes = ((("serial", "issuer"), False),)


class Certificate(Entity):
    """Every certificate that matters here, whoever's it is. A view: see VIEWS."""

    kind = pw.TextField()
    fingerprint = pw.TextField()
    subject = pw.TextField()
    issuer = pw.TextField()
    serial = pw.TextField()
    not_before = pw.BigIntegerField()
    not_after = pw.BigIntegerField()
    owner_id = pw.TextField(null=True)
    owner_name = pw.TextField(null=True)
    is_current = pw.BooleanField()
    state = pw.TextField()


# "expiring" is the last month, of short lives the last third.
VIEWS: dict[type[Base], str] = {
    Certificate: """
CREATE VIEW certificate AS
SELECT k.id, k.created_at, k.updated_at, '{}' AS tags, k.owner_id IS NULL AS is_system, k.kind, k.fingerprint,
  f.subject, f.issuer, f.serial, f.not_before, f.not_after, k.owner_id, k.owner_name, k.is_current,
  CASE
    WHEN EXISTS (SELECT 1 FROM blocked_certificate b WHERE b.fingerprint = k.fingerprint) THEN 'blocked'
    WHEN EXISTS (SELECT 1 FROM blocked_certificate b WHERE b.serial = f.serial AND b.issuer = f.issuer) THEN 'blocked'
    WHEN EXISTS (SELECT 1 FROM revoked_serial r JOIN ca ON ca.id = r.crl_id
      JOIN certificate_fact c ON c.fingerprint = ca.fingerprint
      WHERE r.crl_id = k.ca_id AND r.serial = f.serial AND c.subject = f.issuer) THEN 'revoked'
    WHEN f.not_after < strftime('%s', 'now') * 1000 THEN 'expired'
    WHEN f.not_after < strftime('%s', 'now') * 1000 + min(2592000000, (f.not_after - f.not_before) / 3) THEN 'expiring'
    ELSE 'ok'
  END AS state
FROM (
  SELECT fingerprint AS id, created_at, created_at AS updated_at, kind, fingerprint, NULL AS owner_id,
    NULL AS owner_name, is_current, NULL AS ca_id FROM own_certificate
  UNION ALL
  SELECT id, created_at, updated_at, 'ca', fingerprint, id, name, TRUE, NULL FROM ca
  UNION ALL
  SELECT a.id, a.created_at, a.updated_at, 'identity', a.cert_fingerprint, i.id, i.name, TRUE, a.ca_id
    FROM authenticator a JOIN identity i ON i.id = a.identity_id WHERE a.cert_fingerprint IS NOT NULL
  UNION ALL
  SELECT id, created_at, updated_at, 'router', fingerprint, id, name, TRUE, NULL FROM router
    WHERE fingerprint IS NOT NULL
  UNION ALL
  SELECT id, created_at, updated_at, 'signer', fingerprint, id, name, enabled, NULL FROM external_jwt_signer
    WHERE fingerprint IS NOT NULL
) k JOIN certificate_fact f ON f.fingerprint = k.fingerprint
""",
}


class Attempt(Base):
    """One attempt to enroll, extend, verify or log in, whatever came of it (domain/care/attempts.py).

    The id is the time in microseconds, made unique; attempts and audit rows share the sequence.
    """

    id = pw.IntegerField(primary_key=True)
    created_at = pw.BigIntegerField()
    kind = pw.TextField()
    method = pw.TextField()
    outcome = pw.TextField()
    code = pw.TextField()
    reason = pw.TextField()
    source_address = pw.TextField()
    identity = pw.TextField(null=True)
    identity_name = pw.TextField(null=True)
    router = pw.TextField(null=True)
    router_name = pw.TextField(null=True)
    ca = pw.TextField(null=True)
    ca_name = pw.TextField(null=True)
    enrollment = pw.TextField(null=True)
    token_print = pw.TextField(null=True)
    subject = pw.TextField(null=True)
    issuer = pw.TextField(null=True)
    fingerprint = pw.TextField(null=True)
    serial = pw.TextField(null=True)
    duration_us = pw.IntegerField()
    request_id = pw.TextField()

    class Meta:
        indexes = ((("created_at", "id"), False), (("identity",), False))


# Most attempts are no router's and come through no CA: those need no place in an index.
for _column in (Attempt.router, Attempt.ca):
    Attempt.add_index(_column, where=_column.is_null(is_null=False))


class SpentToken(Base):
    """What became of an enrollment token, known by its hash.

    `method` is `renewed` or `revoked` for one that ended unused. `key_print` is what a repeated request must show
    until `replay_until` (domain/enrolling/replay.py), `answer` what it gets besides the certificate of `fingerprint`.
    """

    token_hash = pw.TextField(primary_key=True)
    spent_at = pw.BigIntegerField()
    method = pw.TextField()
    source_address = pw.TextField()
    owner_name = pw.TextField()
    identity = pw.TextField(null=True)
    router = pw.TextField(null=True)
    key_print = pw.TextField(null=True)
    fingerprint = pw.TextField(null=True)
    answer = JsonField(null=True)
    replay_until = pw.BigIntegerField(default=0)

    class Meta:
        without_rowid = True


class IdempotentAnswer(Base):
    """The answer of a create that came with an Idempotency-Key, for whoever repeats it."""

    key_hash = pw.TextField(primary_key=True)
    expires_at = pw.BigIntegerField(index=True)
    body_hash = pw.TextField()
    status = pw.IntegerField()
    data = JsonField(null=True)

    class Meta:
        without_rowid = True


class Audit(Base):
    """Who changed what, from where, before and after. Only ever added to (domain/care/audit.py)."""

    id = pw.IntegerField(primary_key=True)
    created_at = pw.BigIntegerField()
    actor_kind = pw.TextField()
    actor = pw.TextField(null=True)
    actor_name = pw.TextField(null=True)
    source_address = pw.TextField()
    method = pw.TextField()
    path = pw.TextField()
    entity = pw.TextField()
    entity_id = pw.TextField(null=True)
    entity_name = pw.TextField(null=True)
    verb = pw.TextField()
    before = JsonField(null=True)
    after = JsonField(null=True)
    request_id = pw.TextField()

    class Meta:
        indexes = ((("created_at", "id"), False), (("entity_id",), False))


TABLES: tuple[type[Base], ...] = (
    Meta,
    AuthPolicy,
    Identity,
    IdentityAttribute,
    Ca,
    NameCounter,
    Authenticator,
    Router,
    RouterAttribute,
    Enrollment,
    ApiSession,
    SessionCertificate,
    Mfa,
    OidcRequest,
    ExternalJwtSigner,
    ConfigType,
    Config,
    Service,
    ServiceAttribute,
    ServiceConfig,
    IdentityServiceConfig,
    PostureCheck,
    PostureCheckAttribute,
    ServicePolicy,
    EdgeRouterPolicy,
    ServiceEdgeRouterPolicy,
    PolicyRole,
    PolicyMember,
    Terminator,
    Session,
    PostureReport,
    EndpointState,
    FailedServiceRequest,
    ControllerSetting,
    Revocation,
    ApiToken,
    Share,
    Address,
    BlockedCertificate,
    Crl,
    RevokedSerial,
    OwnCertificate,
    CertificateFact,
    Attempt,
    SpentToken,
    IdempotentAnswer,
    Audit,
)


def _use(database: Any) -> None:
    for model in (*TABLES, *VIEWS):
        model._meta.set_database(database)  # noqa: SLF001 - peewee's own registry


store.follow(_use)
