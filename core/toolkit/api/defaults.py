"""What the settings hand to DRF and drf-spectacular; plain values, no framework is imported.

Views say the same themselves (`core.toolkit.api.views`); this is for whatever view forgets to.
"""

from typing import Any, Final

REST_FRAMEWORK: Final[dict[str, Any]] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "core.toolkit.api.authentication.TokenAuthentication",
        "core.toolkit.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["core.toolkit.api.parsers.StrictJsonParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_THROTTLE_CLASSES": ["core.toolkit.api.throttling.CallerThrottle"],
    "DEFAULT_FILTER_BACKENDS": [],
    "DEFAULT_PAGINATION_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "core.toolkit.api.handler.handle_exception",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS: Final[dict[str, Any]] = {
    "TITLE": "Countersign",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "DESCRIPTION": (
        "Durable workflows that wait for people, with everything on record.\n\n"
        "Errors are `application/problem+json` (RFC 9457): branch on `code`. Reading what one may "
        "not see is 404; acting without permission is 403. Lists page by `cursor`. Every address "
        "works with and without the slash at its end."
    ),
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": False,  # inputs and outputs are classes of their own
    "PREPROCESSING_HOOKS": ["core.toolkit.api.schema.keep_canonical_addresses"],
}
