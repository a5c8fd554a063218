"""What the tests use: real PostgreSQL and Redis (see `tests/embedded_servers.py`), nothing slow."""

from core.settings.base import *

if ENVIRONMENT.database_url:
    # The usual flush is refused by the triggers that protect evidence; see that module.
    DATABASES["default"]["ENGINE"] = "tests.database_backend"
    # A thread that keeps its connection would keep the test database from being dropped.
    DATABASES["default"]["CONN_MAX_AGE"] = 0
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # slow ones test our patience
# The throttle itself is on; tests of it set their own rates.
API_THROTTLE_RATES = dict.fromkeys(("any", "start", "hook", "decide", "login"))
WHITENOISE_AUTOREFRESH = True
API_PASSWORD_TOKENS = True
# Pages in tests need no collected files; those that start a system collect them as it does.
STORAGES = {
    **STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
