"""What is stored: peewee models, one per table. The only module that names tables and columns.

Times are integers, milliseconds since the epoch (UTC). JSON documents are compact text. Role
attributes and policy memberships are index tables, so that filters on them are look-ups.

In tables without rowid the columns of the key come first and in its order: SQLite 3.40's integrity
check takes them for missing otherwise.
"""

from __future__ import annotations

import json
from typing import Any

import peewee as pw

import store


class JsonField(pw.TextField):
    """A JSON document kept as compact text."""

    def db_value(self, value: Any) -> str | None:
        """The text to store."""
        return None if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    def python_value(self, value: str | None) -> Any:
        """The document from its text."""
        return None if value is None else json.loads(value)


class Base(pw.Model):
    """What all tables share."""

    class Meta:
        database = store.database
        legacy_table_names = False


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


class Authenticator(Entity):
    """A password (updb) or a certificate (cert) of an identity."""

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
        indexes = ((("identity", "method"), True),)


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


class RouterAttribute(Base):
    """Index of `Router.role_attributes`."""

    attribute = pw.TextField()
    entity = pw.ForeignKeyField(Router, on_delete="CASCADE", index=False)

    class Meta:
        primary_key = pw.CompositeKey("attribute", "entity")
        indexes = ((("entity",), False),)
        without_rowid = True


class Enrollment(Entity):
    """A pending enrollment. It is deleted in the transaction that spends its token.

    The JWT is not stored: it is derived from this row, the advertised address and the server's key.
    """

    method = pw.TextField()
    token = pw.TextField(unique=True)
    expires_at = pw.BigIntegerField()
    issued_at = pw.BigIntegerField()
    identity = pw.ForeignKeyField(Identity, null=True, on_delete="CASCADE")
    router = pw.ForeignKeyField(Router, null=True, unique=True, on_delete="CASCADE")
    ca = pw.ForeignKeyField(Ca, null=True, on_delete="CASCADE")
    username = pw.TextField(null=True)

    class Meta:
        indexes = ((("identity", "method"), True),)


class ApiSession(Entity):
    """A login. A row, not memory: it survives a restart and is shared by worker processes."""

    token = pw.TextField(unique=True)
    identity = pw.ForeignKeyField(Identity, on_delete="CASCADE")
    authenticator = pw.TextField()
    ca = pw.TextField(null=True, index=True)
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
    Attempt,
    SpentToken,
    IdempotentAnswer,
    Audit,
)
