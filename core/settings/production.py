"""What a real deployment uses; `manage.py check --deploy` finds nothing.

It needs SECRET_KEY, SECRETS_KEYS, DATABASE_URL, REDIS_URL and PUBLIC_URL (https).
"""

from core.settings.base import *

SECURE_SSL_REDIRECT = True
# Probes come from the machine itself, over plain http.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 2 * 365 * 24 * 60 * 60
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
if TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
