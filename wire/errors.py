"""Every error the API can answer: the exception, the table of codes, the causes.

Domain rules raise `ApiError` (or one of the builders below) and never build an answer;
`api.engine` turns it into the envelope. Imports nothing of ours. Codes, messages and causes
follow the recorded answers of the real controller.
"""

from __future__ import annotations

from typing import Any

# code -> (usual HTTP status, message). An ApiError may override both where the recordings do.
CODES: dict[str, tuple[int, str]] = {
    "ADVERTISED_KEY_MISMATCH": (409, "The advertised address does not serve this controller's key"),
    "BACKUP_FAILED": (409, "The backup could not be made"),
    "BAD_REQUEST": (400, "The request could not be understood"),
    "BULK_ABORTED": (409, "Some rows were refused, so nothing was written"),
    "CAN_NOT_DELETE_REFERENCED_ENTITY": (
        409,
        "the entity cannot be deleted because it is referenced by another entity, see cause",
    ),
    "CAN_NOT_UPDATE_AUTHENTICATOR": (409, "The authenticator cannot be updated in this fashion"),
    "CAN_NOT_UPDATE_ROUTER": (409, "The router was not added via the Edge API and cannot be updated"),
    "CA_ALREADY_VERIFIED": (409, "CA has already been verified"),
    "CA_UNAVAILABLE": (503, "The controller cannot issue certificates at the moment"),
    "CERTIFICATE_FAILED_VALIDATION": (
        400,
        "The supplied certificate failed to validate against the CA's certificate chain",
    ),
    "CERT_FAILED_VALIDATION": (400, "certificate failed to validate against CA"),
    "CERT_IN_USE": (409, "The certificate supplied is already associated with another identity"),
    "COULD_NOT_PARSE_BODY": (400, "The body of the request could not be parsed"),
    "COULD_NOT_PARSE_DER_BLOCK": (400, "The certificate's DER block could not be parsed"),
    "COULD_NOT_PROCESS_CSR": (400, "The supplied csr could not be processed"),
    "COULD_NOT_VALIDATE": (
        400,
        "The supplied request contains an invalid document or no valid accept content were available, see cause",
    ),
    "CRL_REFUSED": (400, "The revocation list is not accepted"),
    "DATABASE_UNAVAILABLE": (503, "The database cannot be reached"),
    "EDGE_ROUTER_ENROLL_COMMON_NAME_INVALID": (
        400,
        "The edge router CSR enrollment must have a common name that matches the edge router's id",
    ),
    "ENROLLMENT_CA_NOT_VALID": (400, "The CA tied to the supplied token is no longer valid"),
    "ENROLLMENT_EXISTS": (409, "ENROLLMENT_EXISTS"),
    "ENROLLMENT_EXPIRED": (400, "The window for this enrollment has expired"),
    "ENROLLMENT_IDENTITY_ALREADY_ENROLLED": (
        409,
        "The token supplied for this enrollment already has a matching identity, cannot enroll a new identity",
    ),
    "ENTITY_CAN_NOT_BE_DELETED": (400, "The entity requested for delete can not be deleted"),
    "ENTITY_CAN_NOT_BE_UPDATED": (400, "The entity requested for update can not be updated"),
    "EXPECTED_PEM_CERTIFICATE": (400, "expected PEM block type 'CERTIFICATE'"),
    "IDEMPOTENCY_KEY_REUSED": (409, "The idempotency key stands for another request"),
    "INVALID_BACKING_TOKEN_TYPE": (400, "The backing token type is invalid"),
    "INVALID_CERT_PEM": (
        400,
        "the supplied certificate PEM is either invalid or contains the incorrect number of certificates",
    ),
    "INVALID_AUTH": (401, "The authentication request failed"),
    "INVALID_CLIENT_CERT": (400, "The provided client certificate is invalid"),
    "INVALID_COMMON_NAME": (400, "The common name of the supplied certificate is invalid"),
    "INVALID_ENROLLMENT_NOT_ALLOWED": (409, "The configuration does not allow this enrollment"),
    "INVALID_ENROLLMENT_TOKEN": (400, "The supplied token is not valid"),
    "INVALID_ENROLL_METHOD": (400, "The supplied enrollment method is not valid"),
    "INVALID_FIELD": (400, "The field contains an invalid value"),
    "INVALID_FILTER": (400, "The filter query supplied is invalid"),
    "INVALID_POSTURE": (409, "Posture response data is missing or wrong"),
    "MAX_AUTHENTICATOR_METHODS_REACHED": (
        409,
        "The identity already has the maximum authenticators of the specified method",
    ),
    "METHOD_NOT_ALLOWED": (405, "The resource requested does not support this HTTP verb"),
    "MFA_EXISTS": (409, "An MFA record already exists, try removing it"),
    "MFA_INVALID_TOKEN": (400, "An invalid token/code was provided"),
    "MFA_NOT_ENROLLED": (409, "The current identity is not enrolled in MFA"),
    "MISSING_CERT_CLAIM": (400, "The certificate is expected to contain and externalId, which was not found"),
    "MISSING_OR_INVALID_CSR": (400, "The supplied enrollment request is missing or contains an invalid CSR"),
    "NOT_FOUND": (404, "The resource requested was not found or is no longer available"),
    "NOT_IMPLEMENTED": (501, "The operation is not served by this controller"),
    "NO_EDGE_ROUTERS_AVAILABLE": (
        400,
        "No edge routers are assigned and online to handle the requested connection",
    ),
    "PRECONDITION_FAILED": (412, "The resource has changed since the version named by If-Match"),
    "RATE_LIMITED": (
        429,
        "The requested operation is rate limited and the rate limit has been exceeded. Please try again later",
    ),
    "ROLLOVER_FAILED": (409, "The certificate could not be replaced"),
    "SERVER_NOT_RUNNING_IN_HA_MODE": (
        400,
        "The server is not running in HA mode. HA operations are not permitted",
    ),
    "STORAGE_UNAVAILABLE": (503, "The controller cannot read or write its data at the moment; nothing was changed"),
    "UNAUTHORIZED": (
        401,
        "The request could not be completed. The session is not authorized or the credentials are invalid",
    ),
    "UNHANDLED": (500, "An unhandled error occurred"),
    "UNSUPPORTED_MEDIA": (415, "No suitable accept media types were detected, supports: application/json"),
}


class ApiError(Exception):
    """An answer that is an error.

    Args:
        code: a key of `CODES`.
        cause: what went wrong in detail, as JSON; a str becomes `{"code": "UNHANDLED", "message": str}`.
        status: HTTP status when it is not the code's usual one (the API also uses 601, 602 and 606).
        headers: extra response headers.
        log: a sentence for the log only.
    """

    def __init__(
        self,
        code: str,
        cause: dict[str, Any] | str | None = None,
        *,
        status: int | None = None,
        headers: dict[str, str] | None = None,
        log: str = "",
    ) -> None:
        usual, self.message = CODES[code]
        self.code = code
        self.status = status or usual
        self.cause = {"code": "UNHANDLED", "message": cause} if isinstance(cause, str) else cause
        self.headers = headers or {}
        self.log = log
        super().__init__(f"{self.status} {code}: {self.cause or self.message}")


def reason_of(e: ApiError) -> str:
    """The cause of an error as text: field and reason. No values: they may be secrets."""
    cause = e.cause or {}
    parts = [cause.get(name) for name in ("field", "reason", "message")]
    return " ".join(": ".join(str(part) for part in parts if part).split())


def one_line(e: ApiError, request_id: str) -> str:
    """`CODE: message: cause (request id)`, for people who read it in a terminal."""
    parts = [e.code, e.message, reason_of(e)]
    return " ".join(f"{': '.join(part for part in parts if part)} (request {request_id})".split()) + "\n"


def go_text(value: object) -> str:
    """Write a JSON value the way the API prints it in a cause: `<nil>`, `[a b]`, `map[k:v]`, `true`."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return "[" + " ".join(go_text(v) for v in value) + "]"
        case dict():
            return "map[" + " ".join(f"{k}:{go_text(value[k])}" for k in sorted(value)) + "]"
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)


def field_error(
    field: str, reason: str, value: object, *, status: int | None = None, code: str = "COULD_NOT_VALIDATE"
) -> ApiError:
    """A value that a rule refuses, with the field's JSON name, the reason and the value itself."""
    return ApiError(code, {"field": field, "reason": reason, "value": go_text(value)}, status=status)


def invalid_field(field: str, value: object, reason: str) -> ApiError:
    """`INVALID_FIELD`, the form that enrollments, authenticators and claims use."""
    return ApiError("INVALID_FIELD", f"the value '{go_text(value)}' for '{field}' is invalid: {reason}")


def not_found(singular: str, key: str, *, by: str = "id") -> ApiError:
    """404 for one entity, e.g. `identity with id X not found`."""
    return ApiError("NOT_FOUND", f"{singular} with {by} {key} not found")
