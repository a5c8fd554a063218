"""The only reader of the environment. Read `Environment` first, then `load`.

Everything a process can be told from outside is one typed field below. `load` reads all of it at
once and refuses to go on with a message that lists every bad or missing variable, so that a wrong
deployment fails when it starts and is fixed in one round.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from core.settings import outward
from core.settings.ai_endpoints import ai_endpoint
from core.settings.ledger import LedgerSettings, read_ledger
from core.settings.reader import Reader
from core.toolkit.embedded.process import is_alive
from core.toolkit.sealing import derive_key, read_key

BASE_DIR = Path(__file__).resolve().parent.parent.parent
STATE_FILE_NAME = "embedded.json"
SECRET_FILE_NAME = "secret_key"  # noqa: S105  # the name of a file, not a secret

_SECRET_CHARS_MIN = 50  # what Django's deployment check asks for
_PORT_MAX = 65_535
_COUNT_MAX = 10_000_000
_QUEUE_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")  # as the schema of definitions has it


class SettingsError(ImproperlyConfigured):
    """The environment does not allow this process to start; the message lists every reason."""


class Profile(StrEnum):
    """Which settings module is in use: the last part of DJANGO_SETTINGS_MODULE."""

    LOCAL = "local"
    DEMO = "demo"
    TEST = "test"
    PRODUCTION = "production"


class ProcessRole(StrEnum):
    """What this process does; it decides how the process uses the database."""

    WEB = "web"
    WORKER = "worker"
    MAILER = "mailer"
    SWEEP = "sweep"
    SEALER = "sealer"
    KEEPER = "keeper"
    COMMAND = "command"


class PlanCacheMode(StrEnum):
    """PostgreSQL's `plan_cache_mode`."""

    AUTO = "auto"
    FORCE_GENERIC_PLAN = "force_generic_plan"
    FORCE_CUSTOM_PLAN = "force_custom_plan"


class MailDelivery(StrEnum):
    """Where mail goes."""

    CONSOLE = "console"
    FILE = "file"
    SMTP = "smtp"
    MEMORY = "memory"


class LogLevel(StrEnum):
    """The least severe log line that is written."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class LogFormat(StrEnum):
    """How a log line looks."""

    CONSOLE = "console"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """How mail leaves. Host, port, account and encryption count for SMTP only."""

    delivery: MailDelivery
    sender: str
    host: str
    port: int
    username: str
    password: str
    encrypted: bool  # STARTTLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the environment says, checked.

    The two server addresses are `None` only in the test profile, where a tool that touches no
    server (a type checker, `makemigrations --check`) may load settings.
    """

    profile: Profile
    role: ProcessRole
    var: Path  # the data folder, absolute
    database_url: str | None
    database_pool_size_max: int  # connections of one web process
    plan_cache_mode: PlanCacheMode
    redis_url: str | None
    secret_key: str
    secret_key_fallbacks: tuple[str, ...]
    secrets_keys: tuple[str, ...]  # base64, newest first: the first seals, all of them open
    debug: bool
    port: int
    target_port: int  # of the demo's deployment target
    public_url: str  # scheme and host people use, without a trailing slash
    allowed_hosts: tuple[str, ...]
    trusted_origins: tuple[str, ...]  # further origins whose pages may post and open sockets
    proxy_count: int  # trusted reverse proxies in front of the web process
    function_modules: tuple[str, ...]  # modules whose functions steps may call
    worker_queues: tuple[str, ...]  # labels whose steps this process executes
    http_private_allowed: tuple[str, ...]  # host:port, address or network steps may ask over HTTP
    sql_connections: Mapping[str, Mapping[str, str | bool]]  # name → {url, write}
    slack_webhooks: Mapping[str, str]  # name → address, which is a secret
    ai_endpoints: Mapping[str, Mapping[str, Any]]  # name → {url, models, key, price, format}
    ledger_anchors: Sequence[Mapping[str, Any]]  # where tree heads are kept elsewhere
    ledger_anchor_seconds: int  # the least time between two tree heads of one anchor
    ledger_sinks: Sequence[Mapping[str, Any]]  # where entries are forwarded to
    shell_run: bool  # whether steps may execute programs
    shell_memory_mb: int  # address space of one such program
    mail_domains_allowed: tuple[str, ...]  # where steps may write beside the accounts' addresses
    workflow_ready_runs_max: int  # runs of a workflow that wait for a worker; more are refused
    project_ready_runs_max: int  # the same of a project
    project_open_runs_max: int  # quota of a project that has none of its own; 0 is none
    project_starts_per_hour_max: int  # likewise
    project_starts_per_day_max: int  # likewise
    log_level: LogLevel
    log_format: LogFormat
    mail: MailSettings
    ledger: LedgerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What the supervisor is told: where to keep data, where to listen, what is there already."""

    var: Path
    port: int
    target_port: int
    worker_count: int  # processes that drive runs
    worker_queues: tuple[str, ...]  # labels whose steps they execute too
    demo_history: bool  # whether the demo's stories are played
    database_url: str | None  # `None`: start one
    redis_url: str | None  # `None`: start one
    colors_wanted: bool  # https://no-color.org


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServers:
    """Where the embedded servers of a running supervisor listen."""

    database_url: str
    redis_url: str


def load(
    *, profile: Profile | None = None, variables: Mapping[str, str] | None = None
) -> Environment:
    """Read and check every variable.

    Args:
        profile: whose rules hold; by default the one DJANGO_SETTINGS_MODULE names.
        variables: what to read instead of the process's environment.

    Raises:
        SettingsError: with one line for each variable that is missing or wrong.
    """
    values = os.environ if variables is None else variables
    reader = Reader(values)
    environment = _read(reader, profile=profile or _profile_in_use(values))
    _raise_problems(reader)
    return environment


def load_launch(*, variables: Mapping[str, str] | None = None) -> Launch:
    """Read and check what the supervisor needs to know.

    Raises:
        SettingsError: with one line for each variable that is wrong.
    """
    reader = Reader(os.environ if variables is None else variables)
    port = _read_port(reader)
    launch = Launch(
        var=_data_folder(reader),
        port=port,
        target_port=_read_target_port(reader, port=port),
        worker_count=reader.integer("WORKER_COUNT", default=2, least=1, most=64),
        worker_queues=_read_worker_queues(reader),
        demo_history=reader.boolean("DEMO_HISTORY", default=True),
        database_url=reader.database_url("DATABASE_URL"),
        redis_url=reader.redis_url("REDIS_URL"),
        colors_wanted=not reader.text("NO_COLOR", default=""),
    )
    if launch.port == launch.target_port:
        reader.fail("TARGET_PORT", "is the same as PORT")
    _raise_problems(reader)
    return launch


def child_variables(
    *, launch: Launch, database_url: str, redis_url: str, role: ProcessRole
) -> dict[str, str]:
    """Return the environment of one of the supervisor's processes: ours, with what it decided."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": f"core.settings.{Profile.DEMO.value}",
        "PROCESS_ROLE": role.value,
        "VAR": str(launch.var),
        "PORT": str(launch.port),
        "TARGET_PORT": str(launch.target_port),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PYTHONUNBUFFERED": "1",
    }


def _raise_problems(reader: Reader) -> None:
    if reader.problems:
        lines = "\n".join(f"  {problem}" for problem in reader.problems)
        raise SettingsError(f"The settings do not hold:\n{lines}")


def _data_folder(reader: Reader) -> Path:
    """Return the absolute data folder, VAR; a relative one counts from the repository."""
    return (BASE_DIR / Path(reader.text("VAR", default="var")).expanduser()).resolve()


def _read_port(reader: Reader) -> int:
    """Return the port of the web process."""
    return reader.integer("PORT", default=8000, least=1, most=_PORT_MAX)


def _read_worker_queues(reader: Reader) -> tuple[str, ...]:
    """Return the labels whose steps a worker executes, beside steps without one."""
    labels = reader.items("WORKER_QUEUES")
    for label in labels:
        if not _QUEUE_LABEL.fullmatch(label):
            reader.fail("WORKER_QUEUES", f"has {label!r}, which no step can write as `queue`")
    return labels


def _read_target_port(reader: Reader, *, port: int) -> int:
    """Return the port of the demo's deployment target: by default the one after the web's."""
    return reader.integer("TARGET_PORT", default=min(port + 1, _PORT_MAX), least=1, most=_PORT_MAX)


def find_running_servers(*, var: Path) -> RunningServers | None:
    """Return the servers that a live supervisor announced in the data folder, or `None`.

    An announcement counts for nothing when its process is gone.
    """
    try:
        state = json.loads((var / STATE_FILE_NAME).read_text(encoding="utf-8"))
        if not is_alive(int(state["pid"])):
            return None
        return RunningServers(
            database_url=str(state["database_url"]), redis_url=str(state["redis_url"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _profile_in_use(values: Mapping[str, str]) -> Profile:
    name = values.get("DJANGO_SETTINGS_MODULE", "core.settings.local").rpartition(".")[2]
    try:
        return Profile(name)
    except ValueError as error:
        choices = ", ".join(f"core.settings.{item.value}" for item in Profile)
        raise SettingsError(
            f"DJANGO_SETTINGS_MODULE names no profile; it may be {choices}."
        ) from error


def _read(reader: Reader, *, profile: Profile) -> Environment:
    strict = profile is Profile.PRODUCTION
    var = _data_folder(reader)
    role = reader.choice("PROCESS_ROLE", ProcessRole, default=ProcessRole.COMMAND)
    database_url, redis_url = _read_servers(reader, profile=profile, var=var)
    port = _read_port(reader)
    local_url = f"http://127.0.0.1:{port}"
    public_url = reader.origin("PUBLIC_URL", default="" if strict else local_url, secure=strict)
    secret_key = _read_secret_key(reader, profile=profile, var=var)
    return Environment(
        profile=profile,
        role=role,
        var=var,
        database_url=database_url,
        database_pool_size_max=reader.integer(
            "DATABASE_POOL_SIZE_MAX", default=12, least=1, most=500
        ),
        plan_cache_mode=reader.choice(
            "DATABASE_PLAN_CACHE_MODE", PlanCacheMode, default=_plan_cache_mode_of(role)
        ),
        redis_url=redis_url,
        secret_key=secret_key,
        secret_key_fallbacks=reader.items("SECRET_KEY_FALLBACKS"),
        secrets_keys=_read_secrets_keys(reader, strict=strict, secret_key=secret_key),
        debug=profile is Profile.LOCAL and reader.boolean("DEBUG", default=False),
        port=port,
        target_port=_read_target_port(reader, port=port),
        public_url=public_url,
        allowed_hosts=_read_hosts(reader, strict=strict, public_url=public_url),
        trusted_origins=tuple(
            reader.check_origin("TRUSTED_ORIGINS", item, secure=strict)
            for item in reader.items("TRUSTED_ORIGINS")
        ),
        proxy_count=reader.integer("PROXY_COUNT", default=0, least=0, most=10),
        function_modules=reader.items("FUNCTION_MODULES"),
        worker_queues=_read_worker_queues(reader),
        http_private_allowed=reader.items("HTTP_PRIVATE_ALLOWED"),
        sql_connections=_read_sql_connections(reader),
        slack_webhooks=_read_slack_webhooks(reader),
        ai_endpoints=_read_ai_endpoints(reader),
        ledger_anchors=reader.outward("LEDGER_ANCHORS", kinds=outward.ANCHOR_KINDS),
        ledger_anchor_seconds=reader.integer(
            "LEDGER_ANCHOR_SECONDS", default=300, least=1, most=604_800
        ),
        ledger_sinks=reader.outward("LEDGER_SINKS", kinds=outward.SINK_KINDS),
        shell_run=reader.boolean("SHELL_RUN", default=False),
        shell_memory_mb=reader.integer("SHELL_MEMORY_MB", default=1024, least=64, most=65_536),
        mail_domains_allowed=reader.items("MAIL_DOMAINS_ALLOWED"),
        workflow_ready_runs_max=reader.integer(
            "WORKFLOW_READY_RUNS_MAX", default=10_000, least=1, most=_COUNT_MAX
        ),
        project_ready_runs_max=reader.integer(
            "PROJECT_READY_RUNS_MAX", default=50_000, least=1, most=_COUNT_MAX
        ),
        project_open_runs_max=reader.integer(
            "PROJECT_OPEN_RUNS_MAX", default=0, least=0, most=_COUNT_MAX
        ),
        project_starts_per_hour_max=reader.integer(
            "PROJECT_STARTS_PER_HOUR_MAX", default=0, least=0, most=_COUNT_MAX
        ),
        project_starts_per_day_max=reader.integer(
            "PROJECT_STARTS_PER_DAY_MAX", default=0, least=0, most=_COUNT_MAX
        ),
        log_level=reader.choice("LOG_LEVEL", LogLevel, default=LogLevel.INFO),
        log_format=reader.choice(
            "LOG_FORMAT", LogFormat, default=LogFormat.JSON if strict else LogFormat.CONSOLE
        ),
        mail=_read_mail(reader, profile=profile),
        ledger=read_ledger(reader, strict=strict, var=var),
    )


def _plan_cache_mode_of(role: ProcessRole) -> PlanCacheMode:
    # Workers run few statement shapes very often; the web runs many that depend on their values.
    if role in (ProcessRole.WORKER, ProcessRole.SWEEP):
        return PlanCacheMode.FORCE_GENERIC_PLAN
    return PlanCacheMode.AUTO


def _read_sql_connections(reader: Reader) -> dict[str, dict[str, str | bool]]:
    """Return the databases steps may ask: JSON, name → address or `{url, write}`."""
    try:
        given = json.loads(reader.text("SQL_CONNECTIONS", default="{}"))
        items = {
            key: {"url": item} if isinstance(item, str) else item for key, item in given.items()
        }
        return {key: _sql_connection(**item) for key, item in items.items()}
    except (ValueError, TypeError, AttributeError):
        shape = '{"name": {"url": "postgresql://…", "write": false}}'
        reader.fail("SQL_CONNECTIONS", f"is not JSON such as {shape}")
        return {}


def _read_slack_webhooks(reader: Reader) -> dict[str, str]:
    """Return the webhooks steps may post to: JSON, name → address."""
    try:
        given = json.loads(reader.text("SLACK_WEBHOOKS", default="{}"))
        if all(urlsplit(url).scheme in {"https", "http"} for url in given.values()):
            return dict(given)
    except (ValueError, TypeError, AttributeError):
        pass
    reader.fail("SLACK_WEBHOOKS", 'is not JSON such as {"ops": "https://hooks.slack.com/…"}')
    return {}


def _read_ai_endpoints(reader: Reader) -> dict[str, dict[str, Any]]:
    """Return the models steps may ask: JSON, name → `{url, models, key, price, format}`."""
    try:
        given = json.loads(reader.text("AI_ENDPOINTS", default="{}"))
        return {str(name): ai_endpoint(**item) for name, item in given.items()}
    except (ValueError, TypeError, AttributeError):
        shape = '{"main": {"url": "https://api.example.org/v1", "models": ["m"], "key": "…"}}'
        reader.fail("AI_ENDPOINTS", f"is not JSON such as {shape}")
        return {}


def _sql_connection(*, url: str, write: bool = False) -> dict[str, str | bool]:
    if urlsplit(url).scheme not in {"postgresql", "postgres"} or not isinstance(write, bool):
        raise ValueError(url)
    return {"url": url, "write": write}


def _read_mail(reader: Reader, *, profile: Profile) -> MailSettings:
    usual = MailDelivery.MEMORY if profile is Profile.TEST else MailDelivery.FILE
    delivery = reader.choice("MAIL_DELIVERY", MailDelivery, default=usual)
    return MailSettings(
        delivery=delivery,
        sender=reader.text("MAIL_SENDER", default="countersign@localhost"),
        host=reader.text("MAIL_HOST", default="", required=delivery is MailDelivery.SMTP),
        port=reader.integer("MAIL_PORT", default=587, least=1, most=_PORT_MAX),
        username=reader.text("MAIL_USERNAME", default=""),
        password=reader.text("MAIL_PASSWORD", default=""),
        encrypted=reader.boolean("MAIL_ENCRYPTED", default=True),
    )


def _read_hosts(reader: Reader, *, strict: bool, public_url: str) -> tuple[str, ...]:
    hosts = reader.items("ALLOWED_HOSTS")
    if "*" in hosts:
        reader.fail("ALLOWED_HOSTS", "holds '*', which answers to any name; list the real ones")
    public_host = urlsplit(public_url).hostname
    local = () if strict else ("localhost", "127.0.0.1", "[::1]")
    return tuple(dict.fromkeys((*hosts, *((public_host,) if public_host else ()), *local)))


def _read_secret_key(reader: Reader, *, profile: Profile, var: Path) -> str:
    given = reader.text("SECRET_KEY", default="", required=profile is Profile.PRODUCTION)
    if given:
        if len(given) < _SECRET_CHARS_MIN or given.startswith("django-insecure"):
            reader.fail("SECRET_KEY", f"is weak; it needs {_SECRET_CHARS_MIN} random characters")
        return given
    if profile is Profile.TEST:
        return "signs-nothing-outside-the-tests-" * 2
    if profile is Profile.PRODUCTION:
        return ""
    try:
        return (var / SECRET_FILE_NAME).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        reader.fail("SECRET_KEY", f"is not set, and `make run` has made none in {var}")
        return ""


def _read_secrets_keys(reader: Reader, *, strict: bool, secret_key: str) -> tuple[str, ...]:
    """Return the keys that seal secrets; one's own machine derives one, a deployment may not."""
    keys = reader.items("SECRETS_KEYS")
    if not keys and strict:
        reader.fail("SECRETS_KEYS", "is not set")
    for place, key in enumerate(keys, start=1):
        try:
            read_key(key)
        except ValueError:
            reader.fail("SECRETS_KEYS", f"has a key, number {place}, that is no 32 random bytes")
    return keys or (() if strict else (derive_key(secret_key=secret_key),))


def _read_servers(reader: Reader, *, profile: Profile, var: Path) -> tuple[str | None, str | None]:
    problem_count = len(reader.problems)
    database_url = reader.database_url("DATABASE_URL")
    redis_url = reader.redis_url("REDIS_URL")
    complete = bool(database_url and redis_url)
    if complete or len(reader.problems) > problem_count or profile is Profile.TEST:
        return database_url, redis_url
    running = None if profile is Profile.PRODUCTION else find_running_servers(var=var)
    if running is not None:
        return database_url or running.database_url, redis_url or running.redis_url
    for name, given in (("DATABASE_URL", database_url), ("REDIS_URL", redis_url)):
        if given:
            continue
        elsewhere = f", and no embedded server runs in {var} (start it with `make run`)"
        reader.fail(name, "is not set" + ("" if profile is Profile.PRODUCTION else elsewhere))
    return database_url, redis_url
