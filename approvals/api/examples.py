"""Examples of decisions in the OpenAPI document."""

from typing import Final

from drf_spectacular.utils import OpenApiExample

_DIGEST: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

APPROVE: Final = OpenApiExample(
    "An approval",
    value={"decision": "approve", "digest": _DIGEST, "stage": "security"},
    request_only=True,
)
REJECT: Final = OpenApiExample(
    "A rejection",
    value={"decision": "reject", "digest": _DIGEST, "comment": "The scan is a week old."},
    request_only=True,
)
SKIP: Final = OpenApiExample(
    "An answer to a question",
    value={"decision": "skip", "digest": _DIGEST, "comment": "The mirror is gone for good."},
    request_only=True,
)
STALE: Final = OpenApiExample(
    "A decision about something that has changed since",
    value={
        "type": "urn:countersign:error:approvals.subject_changed",
        "title": "The request is not what you saw any more.",
        "status": 412,
        "detail": "The request is not what you saw any more.",
        "code": "approvals.subject_changed",
        "instance": "/api/v1/requests/01890a5d-ac96-774b-bcce-b302099a8057/decide/",
        "request_id": "01890a5d-b1f2-7d7e-9a51-6a4c2d0e8f11",
    },
    response_only=True,
    status_codes=["412"],
)
