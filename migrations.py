"""Schema migrations: append-only. The database's `user_version` says how many were applied.

A released migration is never edited; `tests/test_store.py` holds their sum against `models.py` and
upgrades a database of every released version.
"""

from __future__ import annotations

_V1 = (
    'CREATE TABLE "meta" ("key" TEXT NOT NULL PRIMARY KEY, "value" TEXT NOT NULL)',
    'CREATE TABLE "auth_policy" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "name" TEXT '
    'NOT NULL, "primary" TEXT NOT NULL, "secondary" TEXT NOT NULL)',
    'CREATE UNIQUE INDEX "auth_policy_name" ON "auth_policy" ("name")',
    'CREATE TABLE "identity" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "name" TEXT '
    'NOT NULL, "type" TEXT NOT NULL, "is_admin" BOOLEAN NOT NULL, "is_default_admin" BOOLEAN NOT '
    'NULL, "external_id" TEXT, "auth_policy_id" TEXT NOT NULL, "app_data" TEXT NOT NULL, '
    '"default_hosting_cost" INTEGER NOT NULL, "default_hosting_precedence" TEXT NOT NULL, '
    '"service_hosting_costs" TEXT NOT NULL, "service_hosting_precedences" TEXT NOT NULL, '
    '"permissions" TEXT NOT NULL, "role_attributes" TEXT NOT NULL, "env_info" TEXT NOT NULL, '
    '"sdk_info" TEXT NOT NULL, "disabled_at" INTEGER, "disabled_until" INTEGER, "failed_logins" '
    'INTEGER NOT NULL, "ca" TEXT, "enrolled_address" TEXT, "last_seen_at" INTEGER, "is_enrolled" '
    'BOOLEAN NOT NULL, "token_expires_at" INTEGER, "cert_expires_at" INTEGER, FOREIGN KEY '
    '("auth_policy_id") REFERENCES "auth_policy" ("id") ON DELETE RESTRICT)',
    'CREATE UNIQUE INDEX "identity_name" ON "identity" ("name")',
    'CREATE UNIQUE INDEX "identity_external_id" ON "identity" ("external_id")',
    'CREATE INDEX "identity_auth_policy_id" ON "identity" ("auth_policy_id")',
    'CREATE INDEX "identity_enrolled_address" ON "identity" ("enrolled_address")',
    'CREATE INDEX "identity_type_disabled_at_disabled_until_is_enrolled_tok_05dd778" ON "identity" '
    '("type", "disabled_at", "disabled_until", "is_enrolled", "token_expires_at", "cert_expires_at", '
    '"external_id", "id")',
    'CREATE INDEX "identity_created_at_id" ON "identity" ("created_at", "id")',
    'CREATE INDEX "identity_last_seen_at_id" ON "identity" ("last_seen_at", "id")',
    'CREATE INDEX "identity_token_expires_at_id" ON "identity" ("token_expires_at", "id")',
    'CREATE INDEX "identity_cert_expires_at_id" ON "identity" ("cert_expires_at", "id")',
    'CREATE TABLE "identity_attribute" ("attribute" TEXT NOT NULL, "entity_id" TEXT NOT NULL, PRIMARY '
    'KEY ("attribute", "entity_id"), FOREIGN KEY ("entity_id") REFERENCES "identity" ("id") ON DELETE '
    "CASCADE) WITHOUT ROWID",
    'CREATE INDEX "identity_attribute_entity_id" ON "identity_attribute" ("entity_id")',
    'CREATE TABLE "ca" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, "updated_at" '
    'INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "name" TEXT NOT NULL, '
    '"cert_pem" TEXT NOT NULL, "fingerprint" TEXT NOT NULL, "is_verified" BOOLEAN NOT NULL, '
    '"verification_token" TEXT NOT NULL, "is_auth_enabled" BOOLEAN NOT NULL, '
    '"is_auto_ca_enrollment_enabled" BOOLEAN NOT NULL, "is_ott_ca_enrollment_enabled" BOOLEAN NOT '
    'NULL, "identity_roles" TEXT NOT NULL, "identity_name_format" TEXT NOT NULL, "external_id_claim" '
    "TEXT)",
    'CREATE UNIQUE INDEX "ca_name" ON "ca" ("name")',
    'CREATE UNIQUE INDEX "ca_fingerprint" ON "ca" ("fingerprint")',
    'CREATE UNIQUE INDEX "ca_verification_token" ON "ca" ("verification_token")',
    'CREATE TABLE "name_counter" ("name" TEXT NOT NULL PRIMARY KEY, "last" INTEGER NOT NULL)',
    'CREATE TABLE "authenticator" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "identity_id" '
    'TEXT NOT NULL, "method" TEXT NOT NULL, "updb_username" TEXT, "updb_password" TEXT, "cert_pem" '
    'TEXT, "cert_fingerprint" TEXT, "public_key_print" TEXT, "cert_expires_at" INTEGER, '
    '"is_issued_by_network" BOOLEAN NOT NULL, "ca_id" TEXT, "extend_requested_at" INTEGER, '
    '"is_extend_requested" BOOLEAN NOT NULL, "is_key_roll_requested" BOOLEAN NOT NULL, '
    '"last_extend_rolled_keys" BOOLEAN NOT NULL, "last_auth_resolved_to_root" BOOLEAN NOT NULL, '
    '"unverified_cert_pem" TEXT, "unverified_cert_fingerprint" TEXT, FOREIGN KEY ("identity_id") '
    'REFERENCES "identity" ("id") ON DELETE CASCADE, FOREIGN KEY ("ca_id") REFERENCES "ca" ("id") ON '
    "DELETE SET NULL)",
    'CREATE INDEX "authenticator_identity_id" ON "authenticator" ("identity_id")',
    'CREATE UNIQUE INDEX "authenticator_updb_username" ON "authenticator" ("updb_username")',
    'CREATE UNIQUE INDEX "authenticator_cert_fingerprint" ON "authenticator" ("cert_fingerprint")',
    'CREATE INDEX "authenticator_ca_id" ON "authenticator" ("ca_id")',
    'CREATE UNIQUE INDEX "authenticator_identity_id_method" ON "authenticator" ("identity_id", "method")',
    'CREATE INDEX "authenticator_created_at_id" ON "authenticator" ("created_at", "id")',
    'CREATE INDEX "authenticator_updated_at" ON "authenticator" ("updated_at")',
    'CREATE TRIGGER "authenticator_insert_identity" AFTER INSERT ON "authenticator" WHEN '
    'NEW."identity_id" IS NOT NULL BEGIN UPDATE "identity" SET "is_enrolled" = EXISTS (SELECT 1 FROM '
    '"authenticator" WHERE "identity_id" = NEW."identity_id"), "cert_expires_at" = (SELECT '
    'MAX("cert_expires_at") FROM "authenticator" WHERE "identity_id" = NEW."identity_id") WHERE "id" '
    '= NEW."identity_id"; END',
    'CREATE TRIGGER "authenticator_update_identity" AFTER UPDATE OF "cert_expires_at" ON '
    '"authenticator" WHEN NEW."identity_id" IS NOT NULL BEGIN UPDATE "identity" SET "is_enrolled" = '
    'EXISTS (SELECT 1 FROM "authenticator" WHERE "identity_id" = NEW."identity_id"), '
    '"cert_expires_at" = (SELECT MAX("cert_expires_at") FROM "authenticator" WHERE "identity_id" = '
    'NEW."identity_id") WHERE "id" = NEW."identity_id"; END',
    'CREATE TRIGGER "authenticator_delete_identity" AFTER DELETE ON "authenticator" WHEN '
    'OLD."identity_id" IS NOT NULL BEGIN UPDATE "identity" SET "is_enrolled" = EXISTS (SELECT 1 FROM '
    '"authenticator" WHERE "identity_id" = OLD."identity_id"), "cert_expires_at" = (SELECT '
    'MAX("cert_expires_at") FROM "authenticator" WHERE "identity_id" = OLD."identity_id") WHERE "id" '
    '= OLD."identity_id"; END',
    'CREATE TABLE "router" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "kind" TEXT '
    'NOT NULL, "name" TEXT NOT NULL, "cost" INTEGER NOT NULL, "no_traversal" BOOLEAN NOT NULL, '
    '"disabled" BOOLEAN NOT NULL, "app_data" TEXT NOT NULL, "configs" TEXT NOT NULL, '
    '"ctrl_chan_listeners" TEXT, "role_attributes" TEXT NOT NULL, "is_tunneler_enabled" BOOLEAN NOT '
    'NULL, "is_verified" BOOLEAN NOT NULL, "fingerprint" TEXT, "cert_pem" TEXT, "cert_expires_at" '
    'INTEGER, "last_seen_at" INTEGER, "token_expires_at" INTEGER, "enrolled_address" TEXT)',
    'CREATE UNIQUE INDEX "router_name" ON "router" ("name")',
    'CREATE UNIQUE INDEX "router_fingerprint" ON "router" ("fingerprint")',
    'CREATE INDEX "router_enrolled_address" ON "router" ("enrolled_address")',
    'CREATE TABLE "router_attribute" ("attribute" TEXT NOT NULL, "entity_id" TEXT NOT NULL, PRIMARY '
    'KEY ("attribute", "entity_id"), FOREIGN KEY ("entity_id") REFERENCES "router" ("id") ON DELETE '
    "CASCADE) WITHOUT ROWID",
    'CREATE INDEX "router_attribute_entity_id" ON "router_attribute" ("entity_id")',
    'CREATE TABLE "enrollment" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "method" TEXT '
    'NOT NULL, "token" TEXT NOT NULL, "expires_at" INTEGER NOT NULL, "issued_at" INTEGER NOT NULL, '
    '"identity_id" TEXT, "router_id" TEXT, "ca_id" TEXT, "username" TEXT, FOREIGN KEY ("identity_id") '
    'REFERENCES "identity" ("id") ON DELETE CASCADE, FOREIGN KEY ("router_id") REFERENCES "router" '
    '("id") ON DELETE CASCADE, FOREIGN KEY ("ca_id") REFERENCES "ca" ("id") ON DELETE CASCADE)',
    'CREATE UNIQUE INDEX "enrollment_token" ON "enrollment" ("token")',
    'CREATE INDEX "enrollment_identity_id" ON "enrollment" ("identity_id")',
    'CREATE UNIQUE INDEX "enrollment_router_id" ON "enrollment" ("router_id")',
    'CREATE INDEX "enrollment_ca_id" ON "enrollment" ("ca_id")',
    'CREATE UNIQUE INDEX "enrollment_identity_id_method" ON "enrollment" ("identity_id", "method")',
    'CREATE INDEX "enrollment_created_at_id" ON "enrollment" ("created_at", "id")',
    'CREATE TRIGGER "enrollment_insert_identity" AFTER INSERT ON "enrollment" WHEN NEW."identity_id" '
    'IS NOT NULL BEGIN UPDATE "identity" SET "token_expires_at" = (SELECT MAX("expires_at") FROM '
    '"enrollment" WHERE "identity_id" = NEW."identity_id") WHERE "id" = NEW."identity_id"; END',
    'CREATE TRIGGER "enrollment_insert_router" AFTER INSERT ON "enrollment" WHEN NEW."router_id" IS '
    'NOT NULL BEGIN UPDATE "router" SET "token_expires_at" = (SELECT MAX("expires_at") FROM '
    '"enrollment" WHERE "router_id" = NEW."router_id") WHERE "id" = NEW."router_id"; END',
    'CREATE TRIGGER "enrollment_update_identity" AFTER UPDATE OF "expires_at" ON "enrollment" WHEN '
    'NEW."identity_id" IS NOT NULL BEGIN UPDATE "identity" SET "token_expires_at" = (SELECT '
    'MAX("expires_at") FROM "enrollment" WHERE "identity_id" = NEW."identity_id") WHERE "id" = '
    'NEW."identity_id"; END',
    'CREATE TRIGGER "enrollment_update_router" AFTER UPDATE OF "expires_at" ON "enrollment" WHEN '
    'NEW."router_id" IS NOT NULL BEGIN UPDATE "router" SET "token_expires_at" = (SELECT '
    'MAX("expires_at") FROM "enrollment" WHERE "router_id" = NEW."router_id") WHERE "id" = '
    'NEW."router_id"; END',
    'CREATE TRIGGER "enrollment_delete_identity" AFTER DELETE ON "enrollment" WHEN OLD."identity_id" '
    'IS NOT NULL BEGIN UPDATE "identity" SET "token_expires_at" = (SELECT MAX("expires_at") FROM '
    '"enrollment" WHERE "identity_id" = OLD."identity_id") WHERE "id" = OLD."identity_id"; END',
    'CREATE TRIGGER "enrollment_delete_router" AFTER DELETE ON "enrollment" WHEN OLD."router_id" IS '
    'NOT NULL BEGIN UPDATE "router" SET "token_expires_at" = (SELECT MAX("expires_at") FROM '
    '"enrollment" WHERE "router_id" = OLD."router_id") WHERE "id" = OLD."router_id"; END',
    'CREATE TABLE "api_session" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "token" TEXT '
    'NOT NULL, "identity_id" TEXT NOT NULL, "authenticator" TEXT NOT NULL, "ca" TEXT, "ip_address" '
    'TEXT NOT NULL, "config_types" TEXT NOT NULL, "last_activity_at" INTEGER NOT NULL, "expires_at" '
    'INTEGER NOT NULL, "improper_client_cert_chain" BOOLEAN NOT NULL, "is_cert_extendable" BOOLEAN '
    'NOT NULL, "mfa_required" BOOLEAN NOT NULL, "mfa_complete" BOOLEAN NOT NULL, "mfa_passed_at" '
    'INTEGER, "totp_pending" BOOLEAN NOT NULL, "signer_pending" TEXT, "oidc_client" TEXT, FOREIGN KEY '
    '("identity_id") REFERENCES "identity" ("id") ON DELETE CASCADE)',
    'CREATE UNIQUE INDEX "api_session_token" ON "api_session" ("token")',
    'CREATE INDEX "api_session_identity_id" ON "api_session" ("identity_id")',
    'CREATE INDEX "api_session_expires_at" ON "api_session" ("expires_at")',
    'CREATE INDEX "api_session_last_activity_at_id" ON "api_session" ("last_activity_at", "id")',
    'CREATE INDEX "api_session_ca" ON "api_session" ("ca") WHERE ("ca" IS NOT NULL)',
    'CREATE TABLE "session_certificate" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT '
    'NULL, "updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, '
    '"session_id" TEXT NOT NULL, "certificate" TEXT NOT NULL, "fingerprint" TEXT NOT NULL, "subject" '
    'TEXT NOT NULL, "valid_from" INTEGER NOT NULL, "valid_to" INTEGER NOT NULL, FOREIGN KEY '
    '("session_id") REFERENCES "api_session" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "session_certificate_session_id" ON "session_certificate" ("session_id")',
    'CREATE TABLE "mfa" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, "updated_at" '
    'INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "identity_id" TEXT NOT '
    'NULL, "secret" TEXT NOT NULL, "recovery_codes" TEXT NOT NULL, "is_verified" BOOLEAN NOT NULL, '
    '"failures" INTEGER NOT NULL, "failing_since" INTEGER, FOREIGN KEY ("identity_id") REFERENCES '
    '"identity" ("id") ON DELETE CASCADE)',
    'CREATE UNIQUE INDEX "mfa_identity_id" ON "mfa" ("identity_id")',
    'CREATE TABLE "oidc_request" ("id" TEXT NOT NULL PRIMARY KEY, "expires_at" INTEGER NOT NULL, '
    '"client" TEXT NOT NULL, "redirect_uri" TEXT NOT NULL, "scopes" TEXT NOT NULL, "state" TEXT NOT '
    'NULL, "nonce" TEXT NOT NULL, "code_challenge" TEXT NOT NULL, "config_types" TEXT NOT NULL, '
    '"code_hash" TEXT, "identity_id" TEXT, "authenticator" TEXT NOT NULL, "ca" TEXT, "amr" TEXT NOT '
    'NULL, "authenticated_at" INTEGER NOT NULL, "totp_pending" BOOLEAN NOT NULL, "signer_pending" '
    'TEXT, "certificate" TEXT, "is_cert_extendable" BOOLEAN NOT NULL, "improper_client_cert_chain" '
    'BOOLEAN NOT NULL, "csr" TEXT, "env_info" TEXT NOT NULL, "sdk_info" TEXT NOT NULL, FOREIGN KEY '
    '("identity_id") REFERENCES "identity" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "oidc_request_expires_at" ON "oidc_request" ("expires_at")',
    'CREATE UNIQUE INDEX "oidc_request_code_hash" ON "oidc_request" ("code_hash")',
    'CREATE INDEX "oidc_request_identity_id" ON "oidc_request" ("identity_id")',
    'CREATE TABLE "external_jwt_signer" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT '
    'NULL, "updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "name" '
    'TEXT NOT NULL, "issuer" TEXT NOT NULL, "audience" TEXT NOT NULL, "enabled" BOOLEAN NOT NULL, '
    '"cert_pem" TEXT, "fingerprint" TEXT, "common_name" TEXT, "not_before" INTEGER, "not_after" '
    'INTEGER, "kid" TEXT, "jwks_endpoint" TEXT, "claims_property" TEXT NOT NULL, "use_external_id" '
    'BOOLEAN NOT NULL, "external_auth_url" TEXT, "client_id" TEXT, "scopes" TEXT NOT NULL, '
    '"target_token" TEXT NOT NULL, "enroll_to_cert_enabled" BOOLEAN NOT NULL, '
    '"enroll_to_token_enabled" BOOLEAN NOT NULL, "enroll_name_claims_selector" TEXT NOT NULL, '
    '"enroll_attribute_claims_selector" TEXT, "enroll_auth_policy_id" TEXT NOT NULL, FOREIGN KEY '
    '("enroll_auth_policy_id") REFERENCES "auth_policy" ("id") ON DELETE RESTRICT)',
    'CREATE UNIQUE INDEX "external_jwt_signer_name" ON "external_jwt_signer" ("name")',
    'CREATE UNIQUE INDEX "external_jwt_signer_issuer" ON "external_jwt_signer" ("issuer")',
    'CREATE UNIQUE INDEX "external_jwt_signer_fingerprint" ON "external_jwt_signer" ("fingerprint")',
    'CREATE UNIQUE INDEX "external_jwt_signer_kid" ON "external_jwt_signer" ("kid")',
    'CREATE INDEX "external_jwt_signer_enroll_auth_policy_id" ON "external_jwt_signer" ("enroll_auth_policy_id")',
    'CREATE TABLE "config_type" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "name" TEXT '
    'NOT NULL, "schema" TEXT, "target" TEXT)',
    'CREATE UNIQUE INDEX "config_type_name" ON "config_type" ("name")',
    'CREATE TABLE "config" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "name" TEXT '
    'NOT NULL, "config_type_id" TEXT NOT NULL, "data" TEXT NOT NULL, FOREIGN KEY ("config_type_id") '
    'REFERENCES "config_type" ("id") ON DELETE RESTRICT)',
    'CREATE UNIQUE INDEX "config_name" ON "config" ("name")',
    'CREATE INDEX "config_config_type_id" ON "config" ("config_type_id")',
    'CREATE TABLE "service" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "name" TEXT '
    'NOT NULL, "encryption_required" BOOLEAN NOT NULL, "max_idle_time_millis" INTEGER NOT NULL, '
    '"terminator_strategy" TEXT NOT NULL, "role_attributes" TEXT NOT NULL, "is_fabric_only" BOOLEAN '
    "NOT NULL)",
    'CREATE UNIQUE INDEX "service_name" ON "service" ("name")',
    'CREATE TABLE "service_attribute" ("attribute" TEXT NOT NULL, "entity_id" TEXT NOT NULL, PRIMARY '
    'KEY ("attribute", "entity_id"), FOREIGN KEY ("entity_id") REFERENCES "service" ("id") ON DELETE '
    "CASCADE) WITHOUT ROWID",
    'CREATE INDEX "service_attribute_entity_id" ON "service_attribute" ("entity_id")',
    'CREATE TABLE "service_config" ("service_id" TEXT NOT NULL, "config_id" TEXT NOT NULL, PRIMARY '
    'KEY ("service_id", "config_id"), FOREIGN KEY ("service_id") REFERENCES "service" ("id") ON '
    'DELETE CASCADE, FOREIGN KEY ("config_id") REFERENCES "config" ("id") ON DELETE CASCADE) WITHOUT '
    "ROWID",
    'CREATE INDEX "service_config_config_id" ON "service_config" ("config_id")',
    'CREATE TABLE "identity_service_config" ("identity_id" TEXT NOT NULL, "service_id" TEXT NOT NULL, '
    '"config_id" TEXT NOT NULL, PRIMARY KEY ("identity_id", "service_id", "config_id"), FOREIGN KEY '
    '("identity_id") REFERENCES "identity" ("id") ON DELETE CASCADE, FOREIGN KEY ("service_id") '
    'REFERENCES "service" ("id") ON DELETE CASCADE, FOREIGN KEY ("config_id") REFERENCES "config" '
    '("id") ON DELETE CASCADE) WITHOUT ROWID',
    'CREATE INDEX "identity_service_config_service_id" ON "identity_service_config" ("service_id")',
    'CREATE INDEX "identity_service_config_config_id" ON "identity_service_config" ("config_id")',
    'CREATE TABLE "posture_check" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "name" TEXT '
    'NOT NULL, "type" TEXT NOT NULL, "version" INTEGER NOT NULL, "role_attributes" TEXT NOT NULL, '
    '"properties" TEXT NOT NULL)',
    'CREATE UNIQUE INDEX "posture_check_name" ON "posture_check" ("name")',
    'CREATE TABLE "posture_check_attribute" ("attribute" TEXT NOT NULL, "entity_id" TEXT NOT NULL, '
    'PRIMARY KEY ("attribute", "entity_id"), FOREIGN KEY ("entity_id") REFERENCES "posture_check" '
    '("id") ON DELETE CASCADE) WITHOUT ROWID',
    'CREATE INDEX "posture_check_attribute_entity_id" ON "posture_check_attribute" ("entity_id")',
    'CREATE TABLE "service_policy" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "name" TEXT '
    'NOT NULL, "type" TEXT NOT NULL, "semantic" TEXT NOT NULL, "identity_roles" TEXT NOT NULL, '
    '"service_roles" TEXT NOT NULL, "posture_check_roles" TEXT NOT NULL)',
    'CREATE UNIQUE INDEX "service_policy_name" ON "service_policy" ("name")',
    'CREATE TABLE "edge_router_policy" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT '
    'NULL, "updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "name" '
    'TEXT NOT NULL, "semantic" TEXT NOT NULL, "identity_roles" TEXT NOT NULL, "edge_router_roles" '
    "TEXT NOT NULL)",
    'CREATE UNIQUE INDEX "edge_router_policy_name" ON "edge_router_policy" ("name")',
    'CREATE TABLE "service_edge_router_policy" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER '
    'NOT NULL, "updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, '
    '"name" TEXT NOT NULL, "semantic" TEXT NOT NULL, "service_roles" TEXT NOT NULL, '
    '"edge_router_roles" TEXT NOT NULL)',
    'CREATE UNIQUE INDEX "service_edge_router_policy_name" ON "service_edge_router_policy" ("name")',
    'CREATE TABLE "policy_role" ("side" TEXT NOT NULL, "role" TEXT NOT NULL, "policy" TEXT NOT NULL, '
    '"policy_kind" TEXT NOT NULL, "match_all" BOOLEAN NOT NULL, PRIMARY KEY ("side", "role", '
    '"policy")) WITHOUT ROWID',
    'CREATE INDEX "policy_role_policy" ON "policy_role" ("policy")',
    'CREATE TABLE "policy_member" ("policy" TEXT NOT NULL, "side" TEXT NOT NULL, "entity" TEXT NOT '
    'NULL, "policy_kind" TEXT NOT NULL, PRIMARY KEY ("policy", "side", "entity")) WITHOUT ROWID',
    'CREATE UNIQUE INDEX "policy_member_side_entity_policy" ON "policy_member" ("side", "entity", "policy")',
    'CREATE TABLE "terminator" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "service_id" '
    'TEXT NOT NULL, "router_id" TEXT NOT NULL, "binding" TEXT NOT NULL, "address" TEXT NOT NULL, '
    '"cost" INTEGER NOT NULL, "precedence" TEXT NOT NULL, "instance_id" TEXT NOT NULL, '
    '"instance_secret" TEXT NOT NULL, "host_id" TEXT NOT NULL, FOREIGN KEY ("service_id") REFERENCES '
    '"service" ("id") ON DELETE CASCADE, FOREIGN KEY ("router_id") REFERENCES "router" ("id") ON '
    "DELETE CASCADE)",
    'CREATE INDEX "terminator_service_id" ON "terminator" ("service_id")',
    'CREATE INDEX "terminator_router_id" ON "terminator" ("router_id")',
    'CREATE TABLE "session" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, '
    '"api_session_id" TEXT NOT NULL, "service_id" TEXT NOT NULL, "type" TEXT NOT NULL, FOREIGN KEY '
    '("api_session_id") REFERENCES "api_session" ("id") ON DELETE CASCADE, FOREIGN KEY ("service_id") '
    'REFERENCES "service" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "session_service_id" ON "session" ("service_id")',
    'CREATE UNIQUE INDEX "session_api_session_id_service_id_type" ON "session" ("api_session_id", '
    '"service_id", "type")',
    'CREATE TABLE "posture_report" ("identity_id" TEXT NOT NULL, "subject" TEXT NOT NULL, "check_id" '
    'TEXT NOT NULL, "value" TEXT NOT NULL, "updated_at" INTEGER NOT NULL, PRIMARY KEY ("identity_id", '
    '"subject"), FOREIGN KEY ("identity_id") REFERENCES "identity" ("id") ON DELETE CASCADE) WITHOUT '
    "ROWID",
    'CREATE TABLE "endpoint_state" ("api_session_id" TEXT NOT NULL PRIMARY KEY, "woken_at" INTEGER, '
    '"unlocked_at" INTEGER, FOREIGN KEY ("api_session_id") REFERENCES "api_session" ("id") ON DELETE '
    "CASCADE)",
    'CREATE TABLE "failed_service_request" ("id" INTEGER NOT NULL PRIMARY KEY, "identity_id" TEXT NOT '
    'NULL, "at" INTEGER NOT NULL, "document" TEXT NOT NULL, FOREIGN KEY ("identity_id") REFERENCES '
    '"identity" ("id") ON DELETE CASCADE)',
    'CREATE INDEX "failed_service_request_identity_id" ON "failed_service_request" ("identity_id")',
    'CREATE TABLE "controller_setting" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT '
    'NULL, "updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "oidc" '
    "TEXT)",
    'CREATE TABLE "revocation" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "type" TEXT '
    'NOT NULL, "expires_at" INTEGER NOT NULL)',
    'CREATE TABLE "api_token" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "name" TEXT '
    'NOT NULL, "scope" TEXT NOT NULL, "identity_id" TEXT NOT NULL, "hash" TEXT NOT NULL, "prefix" '
    'TEXT NOT NULL, "expires_at" INTEGER NOT NULL, "last_used_at" INTEGER, "last_used_from" TEXT, '
    '"created_by" TEXT NOT NULL, FOREIGN KEY ("identity_id") REFERENCES "identity" ("id") ON DELETE '
    "CASCADE)",
    'CREATE UNIQUE INDEX "api_token_name" ON "api_token" ("name")',
    'CREATE INDEX "api_token_identity_id" ON "api_token" ("identity_id")',
    'CREATE UNIQUE INDEX "api_token_hash" ON "api_token" ("hash")',
    'CREATE TABLE "share" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "hash" TEXT '
    'NOT NULL, "enrollment_id" TEXT NOT NULL, "token_hash" TEXT NOT NULL, "expires_at" INTEGER NOT '
    'NULL, "created_by" TEXT NOT NULL, "opened_count" INTEGER NOT NULL, "opened_at" INTEGER, '
    '"opened_from" TEXT, FOREIGN KEY ("enrollment_id") REFERENCES "enrollment" ("id") ON DELETE '
    "CASCADE)",
    'CREATE UNIQUE INDEX "share_hash" ON "share" ("hash")',
    'CREATE INDEX "share_enrollment_id" ON "share" ("enrollment_id")',
    'CREATE TABLE "address" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "address" '
    'TEXT NOT NULL, "host" TEXT NOT NULL, "follows_port" BOOLEAN NOT NULL, "is_issuer" BOOLEAN NOT '
    'NULL, "is_announced" BOOLEAN NOT NULL)',
    'CREATE UNIQUE INDEX "address_address" ON "address" ("address")',
    'CREATE TABLE "blocked_certificate" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT '
    'NULL, "updated_at" INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, '
    '"fingerprint" TEXT, "sha256" TEXT, "issuer" TEXT, "serial" TEXT, "subject" TEXT, "expires_at" '
    'INTEGER, "reason" TEXT NOT NULL, "blocked_by" TEXT)',
    'CREATE UNIQUE INDEX "blocked_certificate_fingerprint" ON "blocked_certificate" ("fingerprint")',
    'CREATE UNIQUE INDEX "blocked_certificate_sha256" ON "blocked_certificate" ("sha256")',
    'CREATE UNIQUE INDEX "blocked_certificate_serial_issuer" ON "blocked_certificate" ("serial", "issuer")',
    'CREATE TABLE "crl" ("id" TEXT NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, "updated_at" '
    'INTEGER NOT NULL, "tags" TEXT NOT NULL, "is_system" BOOLEAN NOT NULL, "ca_id" TEXT NOT NULL, '
    '"number" TEXT, "this_update" INTEGER, "next_update" INTEGER, "revoked_count" INTEGER NOT NULL, '
    '"received_at" INTEGER, "source" TEXT NOT NULL, "url" TEXT, "tried_at" INTEGER, "problem" TEXT, '
    'FOREIGN KEY ("ca_id") REFERENCES "ca" ("id") ON DELETE CASCADE)',
    'CREATE UNIQUE INDEX "crl_ca_id" ON "crl" ("ca_id")',
    'CREATE TABLE "revoked_serial" ("crl_id" TEXT NOT NULL, "serial" TEXT NOT NULL, "revoked_at" '
    'INTEGER NOT NULL, PRIMARY KEY ("crl_id", "serial"), FOREIGN KEY ("crl_id") REFERENCES "crl" '
    '("id") ON DELETE CASCADE) WITHOUT ROWID',
    'CREATE TABLE "own_certificate" ("fingerprint" TEXT NOT NULL PRIMARY KEY, "kind" TEXT NOT NULL, '
    '"pem" TEXT NOT NULL, "created_at" INTEGER NOT NULL, "is_current" BOOLEAN NOT NULL)',
    'CREATE TABLE "certificate_fact" ("fingerprint" TEXT NOT NULL PRIMARY KEY, "subject" TEXT NOT '
    'NULL, "issuer" TEXT NOT NULL, "serial" TEXT NOT NULL, "not_before" INTEGER NOT NULL, "not_after" '
    "INTEGER NOT NULL)",
    'CREATE INDEX "certificate_fact_not_after" ON "certificate_fact" ("not_after")',
    'CREATE INDEX "certificate_fact_serial_issuer" ON "certificate_fact" ("serial", "issuer")',
    'CREATE TABLE "attempt" ("id" INTEGER NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, "kind" '
    'TEXT NOT NULL, "method" TEXT NOT NULL, "outcome" TEXT NOT NULL, "code" TEXT NOT NULL, "reason" '
    'TEXT NOT NULL, "source_address" TEXT NOT NULL, "identity" TEXT, "identity_name" TEXT, "router" '
    'TEXT, "router_name" TEXT, "ca" TEXT, "ca_name" TEXT, "enrollment" TEXT, "token_print" TEXT, '
    '"subject" TEXT, "issuer" TEXT, "fingerprint" TEXT, "serial" TEXT, "duration_us" INTEGER NOT '
    'NULL, "request_id" TEXT NOT NULL)',
    'CREATE INDEX "attempt_created_at_id" ON "attempt" ("created_at", "id")',
    'CREATE INDEX "attempt_identity" ON "attempt" ("identity")',
    'CREATE INDEX "attempt_router" ON "attempt" ("router") WHERE ("router" IS NOT NULL)',
    'CREATE INDEX "attempt_ca" ON "attempt" ("ca") WHERE ("ca" IS NOT NULL)',
    'CREATE TABLE "spent_token" ("token_hash" TEXT NOT NULL PRIMARY KEY, "spent_at" INTEGER NOT NULL, '
    '"method" TEXT NOT NULL, "source_address" TEXT NOT NULL, "owner_name" TEXT NOT NULL, "identity" '
    'TEXT, "router" TEXT, "key_print" TEXT, "fingerprint" TEXT, "answer" TEXT, "replay_until" INTEGER '
    "NOT NULL) WITHOUT ROWID",
    'CREATE TABLE "idempotent_answer" ("key_hash" TEXT NOT NULL PRIMARY KEY, "expires_at" INTEGER NOT '
    'NULL, "body_hash" TEXT NOT NULL, "status" INTEGER NOT NULL, "data" TEXT) WITHOUT ROWID',
    'CREATE INDEX "idempotent_answer_expires_at" ON "idempotent_answer" ("expires_at")',
    'CREATE TABLE "audit" ("id" INTEGER NOT NULL PRIMARY KEY, "created_at" INTEGER NOT NULL, '
    '"actor_kind" TEXT NOT NULL, "actor" TEXT, "actor_name" TEXT, "source_address" TEXT NOT NULL, '
    '"method" TEXT NOT NULL, "path" TEXT NOT NULL, "entity" TEXT NOT NULL, "entity_id" TEXT, '
    '"entity_name" TEXT, "verb" TEXT NOT NULL, "before" TEXT, "after" TEXT, "request_id" TEXT NOT '
    "NULL)",
    'CREATE INDEX "audit_created_at_id" ON "audit" ("created_at", "id")',
    'CREATE INDEX "audit_entity_id" ON "audit" ("entity_id")',
    "CREATE VIEW certificate AS SELECT k.id, k.created_at, k.updated_at, '{}' AS tags, k.owner_id IS "
    "NULL AS is_system, k.kind, k.fingerprint, f.subject, f.issuer, f.serial, f.not_before, "
    "f.not_after, k.owner_id, k.owner_name, k.is_current, CASE WHEN EXISTS (SELECT 1 FROM "
    "blocked_certificate b WHERE b.fingerprint = k.fingerprint) THEN 'blocked' WHEN EXISTS (SELECT 1 "
    "FROM blocked_certificate b WHERE b.serial = f.serial AND b.issuer = f.issuer) THEN 'blocked' "
    "WHEN EXISTS (SELECT 1 FROM revoked_serial r JOIN ca ON ca.id = r.crl_id JOIN certificate_fact c "
    "ON c.fingerprint = ca.fingerprint WHERE r.crl_id = k.ca_id AND r.serial = f.serial AND c.subject "
    "= f.issuer) THEN 'revoked' WHEN f.not_after < strftime('%s', 'now') * 1000 THEN 'expired' WHEN "
    "f.not_after < strftime('%s', 'now') * 1000 + min(2592000000, (f.not_after - f.not_before) / 3) "
    "THEN 'expiring' ELSE 'ok' END AS state FROM ( SELECT fingerprint AS id, created_at, created_at "
    "AS updated_at, kind, fingerprint, NULL AS owner_id, NULL AS owner_name, is_current, NULL AS "
    "ca_id FROM own_certificate UNION ALL SELECT id, created_at, updated_at, 'ca', fingerprint, id, "
    "name, TRUE, NULL FROM ca UNION ALL SELECT a.id, a.created_at, a.updated_at, 'identity', "
    "a.cert_fingerprint, i.id, i.name, TRUE, a.ca_id FROM authenticator a JOIN identity i ON i.id = "
    "a.identity_id WHERE a.cert_fingerprint IS NOT NULL UNION ALL SELECT id, created_at, updated_at, "
    "'router', fingerprint, id, name, TRUE, NULL FROM router WHERE fingerprint IS NOT NULL UNION ALL "
    "SELECT id, created_at, updated_at, 'signer', fingerprint, id, name, enabled, NULL FROM "
    "external_jwt_signer WHERE fingerprint IS NOT NULL ) k JOIN certificate_fact f ON f.fingerprint = "
    "k.fingerprint",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_V1,)
