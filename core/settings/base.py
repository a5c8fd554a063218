"""Settings that hold for every profile, as strict as production needs them.

A profile (`local`, `demo`, `test`, `production`) changes what its place needs and nothing else.
The environment is read by `core.settings.env` alone; apps read settings through their `conf.py`.
"""

import re
from pathlib import Path
from typing import Any

from core.kernel import limits
from core.settings import connections
from core.settings.env import BASE_DIR, MailDelivery, load
from core.settings.logs import configure_structlog, logging_settings
from core.toolkit.api import defaults as api_defaults

ENVIRONMENT = load()
PROFILE = ENVIRONMENT.profile.value
VAR: Path = ENVIRONMENT.var

# --- applications ------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_cotton.apps.SimpleAppConfig",
    "rest_framework",
    "drf_spectacular",
    "django_filters",
    "guardian",
    "knox",
    "auditlog",
    "csp",
    "channels",
    "core.apps.CoreConfig",
    "core.identity.apps.IdentityConfig",
    "audit.apps.AuditConfig",
    "engine.apps.EngineConfig",
    "approvals.apps.ApprovalsConfig",
]
ROOT_URLCONF = "core.urls"
ASGI_APPLICATION = "core.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
USE_I18N = False

# --- ports: who does for a lower package what only an upper one can ------------------------------
LEDGER_SINK = "audit.sink.LedgerSink"

# --- web -----------------------------------------------------------------------------------------
DEBUG = ENVIRONMENT.debug
SECRET_KEY = ENVIRONMENT.secret_key
SECRET_KEY_FALLBACKS = list(ENVIRONMENT.secret_key_fallbacks)
SECRETS_KEYS = list(ENVIRONMENT.secrets_keys)
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)
PUBLIC_URL = ENVIRONMENT.public_url
TRUSTED_ORIGINS = [PUBLIC_URL, *ENVIRONMENT.trusted_origins]
TRUSTED_PROXY_COUNT = ENVIRONMENT.proxy_count
# Both spellings of an API path work by themselves: a redirect would drop the body of a POST.
APPEND_SLASH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = limits.BODY_BYTES_MAX

MIDDLEWARE = [
    "core.toolkit.request_log.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    # Its random padding is what makes compressing pages with a CSRF token safe (BREACH).
    "core.toolkit.compression.CompressionMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    # In place of django-auditlog's, which knows no tokens and connects a signal per request.
    "core.identity.middleware.AccessMiddleware",
]
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    [
                        "django_cotton.cotton_loader.Loader",
                        "django.template.loaders.filesystem.Loader",
                        "django.template.loaders.app_directories.Loader",
                    ],
                )
            ],
            "builtins": ["django_cotton.templatetags.cotton"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "core.toolkit.portal.frame.describe_frame",
            ],
        },
    }
]
STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
STATICFILES_DIRS = [path for path in (BASE_DIR / "static",) if path.is_dir()]
WHITENOISE_USE_FINDERS = False
WHITENOISE_ALLOW_ALL_ORIGINS = False  # nobody else builds pages of our files
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "core.toolkit.portal.static_files.StaticStorage"},
}

# --- what a browser may do -----------------------------------------------------------------------
_SOCKET_ORIGIN = re.sub(r"^http", "ws", PUBLIC_URL)  # old Safari does not count it as 'self'
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'", _SOCKET_ORIGIN],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# The prefix makes browsers refuse the cookie unless it is Secure, for this host, at path "/".
SESSION_COOKIE_NAME = "__Host-session"
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 60 * 60
CSRF_COOKIE_NAME = "__Host-csrf"
CSRF_COOKIE_SECURE = True
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_TRUSTED_ORIGINS = TRUSTED_ORIGINS
CSRF_FAILURE_VIEW = "core.toolkit.portal.pages.refuse_csrf"
LOGIN_URL = "/sign-in/"

# --- who people are ------------------------------------------------------------------------------
AUTH_USER_MODEL = "identity.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        # The forms offer and recommend 15 characters or more; ASVS 5.0 §6.2.1 refuses under 8.
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 8},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ANONYMOUS_USER_NAME = None  # guardian: nobody is nobody, not a row
KNOX_TOKEN_MODEL = "identity.ApiToken"  # noqa: S105  # the name of a model
REST_KNOX = {"TOKEN_PREFIX": "cs_", "AUTO_REFRESH": False}
AUDITLOG_DISABLE_REMOTE_ADDR = True  # it believes any X-Forwarded-For

# --- database ------------------------------------------------------------------------------------
DATABASES: dict[str, dict[str, Any]] = {
    "default": connections.database(
        url=ENVIRONMENT.database_url,
        role=ENVIRONMENT.role,
        plan_cache_mode=ENVIRONMENT.plan_cache_mode,
        pool_size_max=ENVIRONMENT.database_pool_size_max,
    )
    if ENVIRONMENT.database_url
    else {"ENGINE": "django.db.backends.dummy"}
}

# --- Redis: broker, channel layer, cache ----------------------------------------------------------
# Without an address (test profile, no server touched) nothing listens there, so any use says so.
REDIS_URL = ENVIRONMENT.redis_url or "unix:///nonexistent/redis.sock"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {
            # Sockets wait 5 s at a time for signals: the client's own timeout, 5 s too where
            # nothing is said, would race that and close them.
            "hosts": [{"address": REDIS_URL, "socket_timeout": 20, "socket_connect_timeout": 2}],
            "prefix": "countersign:ws",
        },
    }
}
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "countersign:cache",
        "OPTIONS": {"socket_timeout": 1.0, "socket_connect_timeout": 1.0},
    }
}

# --- Celery: a message is only a hint, the database is the truth ---------------------------------
_VISIBILITY_SECONDS = int(limits.STEP_TIMEOUT_MAX.total_seconds()) + 3600  # over the longest task
CELERY_BROKER_URL = connections.celery_broker(redis_url=REDIS_URL)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": _VISIBILITY_SECONDS,
    "global_keyprefix": "countersign:queue:",
    "socket_timeout": 5.0,
    "socket_connect_timeout": 1.0,
    "retry_on_timeout": False,
    "max_retries": 0,
}
CELERY_VISIBILITY_TIMEOUT = _VISIBILITY_SECONDS
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "engine"
CELERY_TASK_ROUTES = (
    [
        # Deliveries to the outside wait on slow servers; runs do not wait behind them.
        (re.compile(r"[a-z_]+\.deliver.*"), {"queue": "mail"}),
        # Nor behind exports, which take turns of some seconds on the workers of the same queue.
        ("audit.export", {"queue": "mail"}),
        ("*", {"queue": "engine"}),
    ],
)
# Hints that children of the workers of a queue wait for themselves: see `core.listening`.
LISTED_TASKS = {
    "engine.drive": "engine",
    "engine.receive": "engine",
    "approvals.deliver_notices": "mail",
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 5.0
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TIMEZONE = "UTC"
# Tasks before Celery closes the database connection: never. `core.celery` checks it before each.
CELERY_DB_REUSE_MAX = 2**62

# --- API -----------------------------------------------------------------------------------------
# Rates per caller: core.toolkit.api.conf has the defaults, a profile may change them.
API_THROTTLE_RATES: dict[str, str | None] = {}
API_HELD_PATHS = ["/api/v1/external-tasks/claim/"]  # requests that wait: core.toolkit.api.holding
API_PASSWORD_TOKENS = False  # a password alone buys no token where it counts: no second factor
REST_FRAMEWORK = api_defaults.REST_FRAMEWORK
SPECTACULAR_SETTINGS = api_defaults.SPECTACULAR_SETTINGS

# --- what steps may do ---------------------------------------------------------------------------
WORKER_QUEUES = list(ENVIRONMENT.worker_queues)
FUNCTION_MODULES = list(ENVIRONMENT.function_modules)
HTTP_PRIVATE_ALLOWED = list(ENVIRONMENT.http_private_allowed)
SQL_CONNECTIONS = dict(ENVIRONMENT.sql_connections)
SLACK_WEBHOOKS = dict(ENVIRONMENT.slack_webhooks)
AI_ENDPOINTS = dict(ENVIRONMENT.ai_endpoints)
SHELL_RUN = ENVIRONMENT.shell_run
SHELL_MEMORY_MB = ENVIRONMENT.shell_memory_mb
MAIL_DOMAINS_ALLOWED = list(ENVIRONMENT.mail_domains_allowed)

# --- the ledger's tree ---------------------------------------------------------------------------
LEDGER_ORIGIN = ENVIRONMENT.ledger.origin
LEDGER_KEYS_DIR = ENVIRONMENT.ledger.keys_dir
LEDGER_SEAL_SECONDS = ENVIRONMENT.ledger.seal_seconds
LEDGER_LOG_PUBLIC = ENVIRONMENT.ledger.log_public
LEDGER_EXPORTS_DIR = ENVIRONMENT.ledger.exports_dir

# --- where the ledger goes ------------------------------------------------------------------------
LEDGER_ANCHORS = [dict(item) for item in ENVIRONMENT.ledger_anchors]
LEDGER_ANCHOR_SECONDS = ENVIRONMENT.ledger_anchor_seconds
LEDGER_SINKS = [dict(item) for item in ENVIRONMENT.ledger_sinks]

# --- how much may be started ---------------------------------------------------------------------
WORKFLOW_READY_RUNS_MAX = ENVIRONMENT.workflow_ready_runs_max
PROJECT_READY_RUNS_MAX = ENVIRONMENT.project_ready_runs_max
PROJECT_OPEN_RUNS_MAX = ENVIRONMENT.project_open_runs_max
PROJECT_STARTS_PER_HOUR_MAX = ENVIRONMENT.project_starts_per_hour_max
PROJECT_STARTS_PER_DAY_MAX = ENVIRONMENT.project_starts_per_day_max
REDACTION_SECOND_PERSON = ENVIRONMENT.ledger.redaction_second_person

# --- mail ----------------------------------------------------------------------------------------
_MAIL_BACKENDS = {
    MailDelivery.CONSOLE: "django.core.mail.backends.console.EmailBackend",
    MailDelivery.FILE: "django.core.mail.backends.filebased.EmailBackend",
    MailDelivery.SMTP: "django.core.mail.backends.smtp.EmailBackend",
    MailDelivery.MEMORY: "django.core.mail.backends.locmem.EmailBackend",
}
EMAIL_BACKEND = _MAIL_BACKENDS[ENVIRONMENT.mail.delivery]
EMAIL_FILE_PATH = VAR / "mail"
EMAIL_HOST = ENVIRONMENT.mail.host
EMAIL_PORT = ENVIRONMENT.mail.port
EMAIL_HOST_USER = ENVIRONMENT.mail.username
EMAIL_HOST_PASSWORD = ENVIRONMENT.mail.password
EMAIL_USE_TLS = ENVIRONMENT.mail.encrypted
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = SERVER_EMAIL = ENVIRONMENT.mail.sender

# --- logs ----------------------------------------------------------------------------------------
LOGGING_CONFIG = "logging.config.dictConfig"
LOGGING = logging_settings(level=ENVIRONMENT.log_level, log_format=ENVIRONMENT.log_format)
configure_structlog()
