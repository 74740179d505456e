"""The table: one Entity a collection, one Field a JSON property.

Shapes, required properties and names are those of the recorded answers; hooks are functions of the
domain modules. Adding a property is a row here, a column in `models.py` and a migration.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from api import runtime
from domain import administrators, authenticators, cas, enrollment, identities, ids, policies, roles
from domain.care import handout, states
from domain.logins import auth, session_certificates, signers
from domain.network import routers, services, terminators
from models import (
    ApiSession,
    Authenticator,
    AuthPolicy,
    Ca,
    Config,
    ConfigType,
    EdgeRouterPolicy,
    Enrollment,
    ExternalJwtSigner,
    Identity,
    IdentityAttribute,
    PostureCheck,
    Router,
    RouterAttribute,
    Service,
    ServiceAttribute,
    ServiceConfig,
    ServiceEdgeRouterPolicy,
    ServicePolicy,
    SessionCertificate,
)
from wire.filter_sql import Symbol
from wire.resource import (
    ATTRIBUTES,
    BOOL,
    CLIENT,
    COST,
    IDENTITY_ATTRIBUTES,
    INT,
    MANAGEMENT,
    OBJECT,
    OPTIONAL_TEXT,
    PLAIN_ATTRIBUTES,
    ROLES,
    STRINGS,
    TAGS,
    TIME,
    Association,
    Entity,
    Field,
    Kind,
    enum,
    nested,
)

_ENTITIES_WITH_PERMISSIONS = (
    "auth-policy",
    "ca",
    "config",
    "config-type",
    "edge-router-policy",
    "enrollment",
    "external-jwt-signer",
    "identity",
    "ops",
    "posture-check",
    "router",
    "service",
    "service-edge-router-policy",
    "service-policy",
    "terminator",
)


def _permissions() -> list[str]:
    names = ["admin_readonly"]
    for entity in _ENTITIES_WITH_PERMISSIONS:
        verbs = ("read", "update", "delete") if entity == "ops" else ("read", "create", "update", "delete")
        names += [entity, *(f"{entity}.{verb}" for verb in verbs)]
    return names


PERMISSIONS = Kind(
    "strings",
    {"type": "array", "items": {"type": "string", "enum": _permissions()}},
    "rest_model.Permissions",
    encode=lambda v: v or None,
    symbol="set",
    empty=[],
)
LISTENERS = Kind(
    "map",
    {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
    "map[string][]string",
    symbol="map",
)
PRECEDENCE = enum("default", "required", "failed", go_type="rest_model.TerminatorPrecedence")
COST_MAP = Kind(
    "map", {"type": "object", "additionalProperties": COST.schema}, "rest_model.TerminatorCostMap", empty={}
)
PRECEDENCE_MAP = Kind(
    "map", {"type": "object", "additionalProperties": PRECEDENCE.schema}, "rest_model.TerminatorPrecedenceMap", empty={}
)
IDENTITY_TYPE = enum(*identities.TYPES, go_type="rest_model.IdentityType")
SEMANTIC = enum("AllOf", "AnyOf", go_type="rest_model.Semantic")
POLICY_TYPE = enum("Dial", "Bind", "Invalid", go_type="rest_model.DialBind")
_STRING = {"type": "string"}
WANTED_ENROLLMENT = nested(
    "IdentityCreateEnrollment",
    {"ott": {"type": "boolean"}, "ottca": _STRING, "updb": _STRING, "expiresAt": TIME.schema},
)
_CLAIM = {
    "location": {"type": "string", "enum": ["COMMON_NAME", "SAN_URI", "SAN_EMAIL"]},
    "matcher": {"type": "string", "enum": ["ALL", "PREFIX", "SUFFIX", "SCHEME"]},
    "matcherCriteria": _STRING,
    "parser": {"type": "string", "enum": ["NONE", "SPLIT"]},
    "parserCriteria": _STRING,
    "index": {"type": "integer", "minimum": 0, "maximum": 2**31},
}
CLAIM = nested("ExternalIDClaim", _CLAIM, tuple(_CLAIM))
CLAIM_PATCH = nested("ExternalIDClaimPatch", _CLAIM)
ANYTHING = Kind("any", {}, "interface {}", symbol="any")

NAME = Field("name", required="cu")
_SYSTEM_POLICY = Field("isSystem", BOOL, body="")


def _set(model: Any, index: Any) -> Symbol:
    return Symbol.set_of(model.id, index.entity, index.attribute)


def _member(side: str, model: Any) -> Any:
    """The condition of an association from a policy to the entities on one of its sides."""
    return lambda ctx, key: model.id.in_(roles.members_of(key, side))


def _policies(policy: Any, side: str) -> Any:
    """The condition of an association from an entity to its policies of one kind."""
    return lambda ctx, key: policy.id.in_(roles.policies_of(policy, side, key))


def _through(policy: Any, side: str, other: str, model: Any) -> Any:
    """The condition of an association from an entity, through policies, to entities on the other side."""
    return lambda ctx, key: model.id.in_(roles.reachable(policy, side, key, other))


def _policy(path: str, singular: str, model: Any, schema: str, fields: tuple[Field, ...], **more: Any) -> Entity:
    """A policy row: its members are kept by `domain.roles`."""
    lists = roles.LISTS[model]
    return Entity(
        path,
        singular,
        model,
        schema,
        (NAME, Field("semantic", SEMANTIC, required="cu"), *fields),
        param="policy",
        permission={"EdgeRouterPolicy": "edge-router-policy", "ServicePolicy": "service-policy"}.get(
            schema, "service-edge-router-policy"
        ),
        new_id=ids.long_id,
        symbols={name: Symbol.set_in_json(getattr(model, column)) for _, column, name in lists},
        before_save=roles.before_policy_save(model),
        after_save=roles.after_policy_save(model),
        before_delete=roles.before_policy_delete,
        extend=roles.extend_policy(model),
        **more,
    )


_TRANSIT_FIELDS = (
    NAME,
    Field("cost", COST),
    Field("noTraversal", BOOL),
    Field("disabled", BOOL),
    Field("configs", STRINGS, shown=False, filterable=False),
    Field("ctrlChanListeners", LISTENERS, omit=True),
    Field("isVerified", BOOL, body=""),
)


def _all_routers(path: str) -> Entity:
    """`/routers` and `/transit-routers` are the same list under two names."""
    return Entity(
        path,
        "router",
        Router,
        "Router",
        _TRANSIT_FIELDS,
        permission="router",
        new_id=ids.short_id,
        duplicate="duplicate value '{value}' in unique index on routers store",
        link_path="transit-routers",
        filterable=("configs", "cost", "ctrlChanListeners", "disabled", "fingerprint", "name", "noTraversal"),
        symbols={"fingerprint": Symbol("string", Router.fingerprint), "configs": Symbol.set_in_json(Router.configs)},
        before_save=routers.before_transit_save,
        after_save=routers.after_transit_save,
        before_delete=routers.before_delete,
        extend=routers.extend_transit,
        derived=states.of_routers,
        jwt=handout.of_router,
    )


_AUTHENTICATOR_FIELDS = (
    Field("method", body=""),
    Field("username", OPTIONAL_TEXT, body="", column="updb_username", filterable="updbUsername"),
    Field("certPem", OPTIONAL_TEXT, body=""),
    Field("fingerprint", OPTIONAL_TEXT, body="", column="cert_fingerprint", filterable="certFingerprint"),
    Field("isIssuedByNetwork", BOOL, body="", omit=True),
    Field("extendRequestedAt", TIME, body="", omit=True),
    Field("isExtendRequested", BOOL, body="", omit=True),
    Field("isKeyRollRequested", BOOL, body="", omit=True),
    Field("lastAuthResolvedToRoot", BOOL, body="", omit=True),
    Field("lastExtendRolledKeys", BOOL, body="", shown=False),
)
_AUTHENTICATOR_FILTERS = (
    "certFingerprint",
    "certPem",
    "extendRequestedAt",
    "identity",
    "isExtendRequested",
    "isIssuedByNetwork",
    "isKeyRollRequested",
    "lastAuthResolvedToRoot",
    "lastExtendRolledKeys",
    "method",
    "publicKeyPrint",
    "updbPassword",
    "updbSalt",
    "updbUsername",
)


def _authenticators(path: str, **more: Any) -> Entity:
    return Entity(
        path,
        "authenticator",
        Authenticator,
        "Authenticator",
        _AUTHENTICATOR_FIELDS,
        filterable=_AUTHENTICATOR_FILTERS,
        symbols={
            "identity": Symbol("string", Authenticator.identity),
            "publicKeyPrint": Symbol("string", Authenticator.public_key_print),
        },
        **more,
    )


_SIGNER_FIELDS = (
    NAME,
    Field("audience", required="cu"),
    Field("certPem", OPTIONAL_TEXT),
    Field("claimsProperty"),
    Field("clientId", OPTIONAL_TEXT),
    Field("commonName", OPTIONAL_TEXT, body=""),
    Field("enabled", BOOL, required="cu"),
    Field("enrollAttributeClaimsSelector", OPTIONAL_TEXT, omit=True),
    Field("enrollAuthPolicyId", column="enroll_auth_policy_id"),
    Field("enrollNameClaimsSelector"),
    Field("enrollToCertEnabled", BOOL, omit=True),
    Field("enrollToTokenEnabled", BOOL, omit=True),
    Field("externalAuthUrl", signers.URI),
    Field("fingerprint", OPTIONAL_TEXT, body=""),
    Field("issuer", required="cu"),
    Field("jwksEndpoint", signers.URI),
    Field("kid", OPTIONAL_TEXT),
    Field("notAfter", TIME, body=""),
    Field("notBefore", TIME, body=""),
    Field("scopes", signers.SCOPES),
    Field("targetToken", signers.TARGET_TOKEN, default="ACCESS"),
    Field("useExternalId", BOOL),
)
_SERVICE_FIELDS = (
    NAME,
    Field("encryptionRequired", BOOL, required="c", filterable=False),
    Field("maxIdleTimeMillis", INT, filterable=False),
    Field("terminatorStrategy", default="smartrouting"),
    Field("roleAttributes", PLAIN_ATTRIBUTES),
    Field("configs", STRINGS, virtual=True),
)
_SERVICE_SYMBOLS = {
    "roleAttributes": _set(Service, ServiceAttribute),
    "configs": Symbol.set_of(Service.id, ServiceConfig.service, ServiceConfig.config),
    "isFabricOnly": Symbol.nothing("bool"),
}
_IDENTITY_FIELDS = (
    NAME,
    Field("type", IDENTITY_TYPE, required="cu", virtual=True),
    Field("isAdmin", BOOL, required="cu"),
    Field("isDefaultAdmin", BOOL, body=""),
    Field("externalId", OPTIONAL_TEXT),
    Field("authPolicyId", OPTIONAL_TEXT, column="auth_policy", shown=False, filterable="authPolicyId"),
    Field("appData", TAGS, filterable=False),
    Field("defaultHostingCost", COST, filterable=False),
    Field("defaultHostingPrecedence", PRECEDENCE, default="default", filterable=False),
    Field("serviceHostingCosts", COST_MAP, filterable=False),
    Field("serviceHostingPrecedences", PRECEDENCE_MAP, filterable=False),
    Field("permissions", PERMISSIONS, filterable=False),
    Field("roleAttributes", IDENTITY_ATTRIBUTES),
    Field("envInfo", OBJECT, body="", filterable=False),
    Field("sdkInfo", OBJECT, body="", filterable=False),
    Field("enrollment", WANTED_ENROLLMENT, body="c", virtual=True),
)

ENTITIES: tuple[Entity, ...] = (
    Entity(
        "identities",
        "identity",
        Identity,
        "Identity",
        _IDENTITY_FIELDS,
        permission="identity",
        side="identity",
        quick="gc",
        new_id=ids.short_id,
        links=auth.IDENTITY_LINKS,
        duplicate="duplicate value '{value}' in unique index on identities store",
        filterable=("authPolicyId", "externalId", "isAdmin", "isDefaultAdmin", "name", "roleAttributes", "type"),
        symbols={
            "roleAttributes": _set(Identity, IdentityAttribute),
            "type": Symbol("string", Identity.type),
            "authPolicyId": Symbol("string", Identity.auth_policy),
        },
        scope=administrators.visible,
        derived=states.of_identities,
        jwt=handout.of_identity,
        before_save=identities.before_save,
        after_save=identities.after_save,
        before_delete=identities.before_delete,
        extend=identities.extend,
        associations=(
            Association("enrollments", "enrollments", lambda ctx, key: Enrollment.identity == key),
            Association("authenticators", "authenticators", lambda ctx, key: Authenticator.identity == key),
            Association("service-policies", "service-policies", _policies(ServicePolicy, "identity")),
            Association("edge-router-policies", "edge-router-policies", _policies(EdgeRouterPolicy, "identity")),
            Association("services", "services", _through(ServicePolicy, "identity", "service", Service)),
            Association("edge-routers", "edge-routers", _through(EdgeRouterPolicy, "identity", "router", Router)),
        ),
    ),
    Entity(
        "enrollments",
        "enrollment",
        Enrollment,
        "Enrollment",
        (
            Field("method", body="", filterable=False),
            Field("token", body=""),
            Field("expiresAt", TIME, body="", filterable=False),
        ),
        verbs="lgd",
        permission="enrollment",
        filterable=("caId", "edgeRouter", "identity", "token", "transitRouter"),
        symbols={
            "caId": Symbol("string", Enrollment.ca),
            "identity": Symbol("string", Enrollment.identity),
            "edgeRouter": Symbol("string", Enrollment.router),
            "transitRouter": Symbol("string", Enrollment.router),
        },
        scope=enrollment.scope,
        jwt=handout.of_enrollment,
        before_delete=enrollment.before_delete,
        extend=enrollment.extend,
        dates=False,
    ),
    _authenticators(
        "authenticators",
        verbs="lgd",
        permission="identity",
        before_delete=authenticators.before_delete,
        extend=authenticators.extend,
    ),
    _authenticators(
        "current-identity/authenticators",
        bases=(MANAGEMENT, CLIENT),
        verbs="lg",
        open_to="session",
        scope=authenticators.own,
        extend=authenticators.extend_own,
    ),
    Entity(
        "cas",
        "ca",
        Ca,
        "Ca",
        (
            NAME,
            Field("certPem", body="c", required="c", filterable=False),
            Field("fingerprint", body=""),
            Field("isVerified", BOOL, body=""),
            Field("verificationToken", body=""),
            Field("isAuthEnabled", BOOL, required="cu"),
            Field("isAutoCaEnrollmentEnabled", BOOL, required="cu"),
            Field("isOttCaEnrollmentEnabled", BOOL, required="cu"),
            Field("identityRoles", ROLES, required="cu", filterable=False),
            Field("identityNameFormat", required="u", filterable=False),
            Field("externalIdClaim", CLAIM, patch_kind=CLAIM_PATCH, omit=True, filterable=False),
        ),
        permission="ca",
        new_id=ids.long_id,
        duplicate="duplicate value '{value}' in unique index on cas store",
        jwt=handout.of_ca,
        before_save=cas.before_save,
        after_save=cas.after_save,
        before_delete=cas.before_delete,
        extend=cas.extend,
    ),
    Entity(
        "edge-routers",
        "router",
        Router,
        "EdgeRouter",
        (
            NAME,
            Field("appData", TAGS, filterable=False),
            Field("cost", COST),
            Field("disabled", BOOL),
            Field("noTraversal", BOOL),
            Field("isTunnelerEnabled", BOOL),
            Field("isVerified", BOOL, body=""),
            Field("roleAttributes", ATTRIBUTES),
            Field("configs", STRINGS, shown=False, filterable=False),
            Field("ctrlChanListeners", LISTENERS, omit=True),
        ),
        param="edgeRouter",
        permission="router",
        side="router",
        new_id=ids.short_id,
        links=("edge-router-policies",),
        filterable=routers.FILTERABLE,
        symbols={
            "roleAttributes": _set(Router, RouterAttribute),
            "configs": Symbol.set_in_json(Router.configs),
            "fingerprint": Symbol("string", Router.fingerprint),
            "connected": Symbol.nothing("bool"),
            "online": Symbol.nothing("bool"),
        },
        scope=routers.is_edge,
        derived=states.of_routers,
        jwt=handout.of_router,
        before_save=routers.before_edge_save,
        after_save=routers.after_edge_save,
        before_delete=routers.before_delete,
        extend=routers.extend_edge,
        associations=(
            Association("edge-router-policies", "edge-router-policies", _policies(EdgeRouterPolicy, "router")),
            Association(
                "service-edge-router-policies",
                "service-edge-router-policies",
                _policies(ServiceEdgeRouterPolicy, "router"),
            ),
            Association("identities", "identities", _through(EdgeRouterPolicy, "router", "identity", Identity)),
            Association("services", "services", _through(ServiceEdgeRouterPolicy, "router", "service", Service)),
        ),
    ),
    _all_routers("transit-routers"),
    _all_routers("routers"),
    Entity(
        "api-sessions",
        "apiSession",
        ApiSession,
        "ApiSession",
        (),
        verbs="lgd",
        permission="ops",
        filterable=(
            "authenticator",
            "identity",
            "improperClientCertChain",
            "ipAddress",
            "lastActivityAt",
            "mfaComplete",
            "mfaRequired",
            "token",
        ),
        symbols={
            "authenticator": Symbol("string", ApiSession.authenticator),
            "identity": Symbol("string", ApiSession.identity),
            "ipAddress": Symbol("string", ApiSession.ip_address),
            "lastActivityAt": Symbol("datetime", ApiSession.last_activity_at),
            "improperClientCertChain": Symbol("bool", ApiSession.improper_client_cert_chain),
            "token": Symbol("string", ApiSession.token),
            "mfaComplete": Symbol("bool", ApiSession.mfa_complete),
            "mfaRequired": Symbol("bool", ApiSession.mfa_required),
        },
        scope=auth.live,
        extend=auth.extend_sessions,
    ),
    Entity(
        session_certificates.PATH,
        "apiSessionCertificate",
        SessionCertificate,
        "CurrentAPISessionCertificate",
        (
            Field("certificate", body="", filterable=False),
            Field("fingerprint", body=""),
            Field("subject", body=""),
            Field("validFrom", TIME, body="", filterable=False),
            Field("validTo", TIME, body="", filterable=False),
        ),
        bases=(CLIENT,),
        verbs="lgd",
        open_to="session",
        symbols={"apiSession": Symbol("string", SessionCertificate.session)},
        scope=session_certificates.own,
    ),
    Entity(
        "external-jwt-signers",
        "externalJwtSigner",
        ExternalJwtSigner,
        "ExternalJWTSigner",
        _SIGNER_FIELDS,
        permission="external-jwt-signer",
        new_id=ids.long_id,
        filterable=signers.FILTERABLE,
        before_save=signers.before_save,
        before_delete=signers.before_delete,
    ),
    Entity(
        "external-jwt-signers",
        "externalJwtSigner",
        ExternalJwtSigner,
        "ExternalJWTSigner",
        tuple(replace(f, shown=f.name in signers.PUBLIC) for f in _SIGNER_FIELDS),
        bases=(CLIENT,),
        verbs="l",
        open_to="public",
        filterable=signers.FILTERABLE,
        scope=signers.enabled,
    ),
    Entity(
        "auth-policies",
        "authPolicy",
        AuthPolicy,
        "AuthPolicy",
        (
            NAME,
            Field("primary", policies.PRIMARY, required="cu", patch_kind=policies.PRIMARY_PATCH, filterable=False),
            Field(
                "secondary", policies.SECONDARY, required="cu", patch_kind=policies.SECONDARY_PATCH, filterable=False
            ),
        ),
        permission="auth-policy",
        new_id=ids.long_id,
        symbols={
            **{
                f"primary.{a}.{b}": Symbol.json_path("bool", AuthPolicy.primary, a, b)
                for a, b in (
                    ("cert", "allowExpiredCerts"),
                    ("cert", "allowed"),
                    ("extJwt", "allowed"),
                    ("updb", "allowed"),
                    ("updb", "requireMixedCase"),
                    ("updb", "requireNumberChar"),
                    ("updb", "requireSpecialChar"),
                )
            },
            **{
                f"primary.updb.{name}": Symbol.json_path("number", AuthPolicy.primary, "updb", name)
                for name in ("maxAttempts", "minPasswordLength")
            },
            "secondary.requireExtJwtSigner": Symbol.json_path("string", AuthPolicy.secondary, "requireExtJwtSigner"),
            "secondary.requireTotp": Symbol.json_path("bool", AuthPolicy.secondary, "requireTotp"),
        },
        before_save=policies.before_save,
        before_delete=policies.before_delete,
    ),
    Entity(
        "services",
        "service",
        Service,
        "Service",
        _SERVICE_FIELDS,
        permission="service",
        side="service",
        new_id=ids.long_id,
        links=identities.SERVICE_LINKS,
        symbols=_SERVICE_SYMBOLS,
        scope=services.edge_only,
        before_save=services.before_save,
        after_save=services.after_save,
        before_delete=services.before_delete,
        extend=services.extend,
        associations=(
            Association(
                "configs",
                "configs",
                lambda ctx, key: Config.id.in_(
                    ServiceConfig.select(ServiceConfig.config).where(ServiceConfig.service == key)
                ),
            ),
            Association("terminators", "terminators", terminators.of_service),
            Association("service-policies", "service-policies", _policies(ServicePolicy, "service")),
            Association(
                "service-edge-router-policies",
                "service-edge-router-policies",
                _policies(ServiceEdgeRouterPolicy, "service"),
            ),
            Association("identities", "identities", _through(ServicePolicy, "service", "identity", Identity)),
            Association("edge-routers", "edge-routers", _through(ServiceEdgeRouterPolicy, "service", "router", Router)),
        ),
    ),
    Entity(
        "services",
        "service",
        Service,
        "Service",
        _SERVICE_FIELDS,
        bases=(CLIENT,),
        verbs="lg",
        open_to="session",
        links=identities.SERVICE_LINKS,
        symbols=_SERVICE_SYMBOLS,
        scope=services.mine,
        extend=services.extend_mine,
        associations=(Association("terminators", "terminators", terminators.of_my_service),),
    ),
    Entity(
        "config-types",
        "configType",
        ConfigType,
        "ConfigType",
        (
            NAME,
            Field("schema", Kind("map", {}, "interface {}", symbol="map")),
            Field("target", enum("service", "router", "other"), body="c", default="service"),
        ),
        permission="config-type",
        new_id=ids.long_id,
        symbols={"schema": Symbol("map", ConfigType.schema)},
        before_save=services.before_type_save,
        before_delete=services.before_type_delete,
        associations=(Association("configs", "configs", lambda ctx, key: Config.config_type == key),),
    ),
    Entity(
        "configs",
        "config",
        Config,
        "Config",
        (
            NAME,
            Field("configTypeId", body="c", required="c", column="config_type", shown=False, filterable="type"),
            Field("data", ANYTHING, required="cu", filterable=False),
        ),
        permission="config",
        new_id=ids.long_id,
        symbols={"type": Symbol("string", Config.config_type)},
        before_save=services.before_config_save,
        after_save=services.after_config_save,
        before_delete=services.before_config_delete,
        extend=services.extend_config,
        associations=(
            Association(
                "services",
                "services",
                lambda ctx, key: Service.id.in_(
                    ServiceConfig.select(ServiceConfig.service).where(ServiceConfig.config == key)
                ),
            ),
        ),
    ),
    _policy(
        "service-policies",
        "servicePolicy",
        ServicePolicy,
        "ServicePolicy",
        (
            Field("type", POLICY_TYPE, required="cu"),
            Field("identityRoles", ROLES),
            Field("serviceRoles", ROLES),
            Field("postureCheckRoles", ROLES),
        ),
        links=("identities", "posture-checks", "services"),
        delete_name="servicePolicies",
        filterable=(
            "identities",
            "identityRoles",
            "name",
            "postureCheckRoles",
            "semantic",
            "serviceRoles",
            "services",
            "type",
        ),
        associations=(
            Association("identities", "identities", _member("identity", Identity)),
            Association("services", "services", _member("service", Service)),
            Association("posture-checks", "posture-checks", _member("posture", PostureCheck)),
        ),
    ),
    _policy(
        "edge-router-policies",
        "edgeRouterPolicy",
        EdgeRouterPolicy,
        "EdgeRouterPolicy",
        (Field("identityRoles", ROLES), Field("edgeRouterRoles", ROLES), _SYSTEM_POLICY),
        links=("identities", "edge-routers"),
        delete_name="edgeRouterPolicies",
        associations=(
            Association("identities", "identities", _member("identity", Identity)),
            Association("edge-routers", "edge-routers", _member("router", Router)),
        ),
    ),
    _policy(
        "service-edge-router-policies",
        "serviceEdgeRouterPolicy",
        ServiceEdgeRouterPolicy,
        "ServiceEdgeRouterPolicy",
        (Field("serviceRoles", ROLES), Field("edgeRouterRoles", ROLES)),
        links=("services", "edge-routers"),
        delete_name="serviceEdgeRouterPolicies",
        associations=(
            Association("services", "services", _member("service", Service)),
            Association("edge-routers", "edge-routers", _member("router", Router)),
        ),
    ),
    *runtime.ENTITIES,
)

TABLE: dict[str, Entity] = {}
for _entity in ENTITIES:
    TABLE.setdefault(_entity.path, _entity)
