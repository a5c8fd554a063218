"""The environment is read once, checked whole, and refused with every reason at once."""

import json
import os
import subprocess
import sys

import pytest

from core.settings.env import (
    BASE_DIR,
    LogFormat,
    MailDelivery,
    PlanCacheMode,
    ProcessRole,
    Profile,
    SettingsError,
    find_running_servers,
    load,
    load_launch,
)

_DATABASE = "postgresql://owner:pass@db.example.org/countersign"
_REDIS = "redis://redis.example.org:6379/0"
_SECRET = "k" * 50
_SEALING = "HpYy8Nn0nS9m4qYwq5nq0oVq3G1kq0a8F2c7l5w9xZs="


def _production(**variables):
    return {
        "DJANGO_SETTINGS_MODULE": "core.settings.production",
        "DATABASE_URL": _DATABASE,
        "REDIS_URL": _REDIS,
        "SECRET_KEY": _SECRET,
        "SECRETS_KEYS": _SEALING,
        "PUBLIC_URL": "https://countersign.example.org",
        "LEDGER_ORIGIN": "countersign.example.org/ledger",
        **variables,
    }


def _refusal(variables):
    with pytest.raises(SettingsError) as caught:
        load(variables=variables)
    return str(caught.value)


def test_a_complete_production_environment_is_accepted():
    environment = load(variables=_production())

    assert environment.profile is Profile.PRODUCTION
    assert environment.allowed_hosts == ("countersign.example.org",)
    assert environment.log_format is LogFormat.JSON
    assert environment.debug is False


def test_every_missing_variable_is_named_at_once():
    message = _refusal({"DJANGO_SETTINGS_MODULE": "core.settings.production"})

    for name in (
        "DATABASE_URL",
        "REDIS_URL",
        "SECRET_KEY",
        "SECRETS_KEYS",
        "PUBLIC_URL",
        "LEDGER_ORIGIN",
    ):
        assert f"  {name} is not set." in message


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PORT", "http", "'http', not a whole number from 1 to 65535"),
        ("PORT", "0", "not a whole number"),
        ("PORT", "65536", "not a whole number"),
        ("PORT", "²", "not a whole number"),
        ("PUBLIC_URL", "http://countersign.example.org", "must be https"),
        ("PUBLIC_URL", "countersign.example.org", "not an address"),
        ("PUBLIC_URL", "https://countersign.example.org/portal", "not an address"),
        ("TRUSTED_ORIGINS", "https://a.example.org,http://b.example.org", "must be https"),
        ("ALLOWED_HOSTS", "*", "list the real ones"),
        ("SECRET_KEY", "short", "is weak"),
        ("SECRET_KEY", "django-insecure-" + "x" * 60, "is weak"),
        ("SECRETS_KEYS", "hunter2", "number 1, that is no 32 random bytes"),
        ("SECRETS_KEYS", f"{_SEALING},{'A' * 43}=", "number 2, that is no 32 random bytes"),
        ("SECRETS_KEYS", _SEALING[4:], "number 1, that is no 32 random bytes"),
        ("LEDGER_ORIGIN", "our ledger", "without spaces"),
        ("LEDGER_ORIGIN", "a+b", "without spaces"),
        ("LEDGER_SEAL_SECONDS", "0", "not a whole number from 1 to 3600"),
        ("DATABASE_URL", "mysql://db.example.org/countersign", "PostgreSQL is the only"),
        ("DATABASE_URL", "postgresql://db.example.org", "names no database"),
        ("DATABASE_URL", "postgresql://db.example.org/countersign?nonsense=1", "cannot be read"),
        ("REDIS_URL", "http://redis.example.org", "no redis://, rediss:// or unix://"),
        ("REDIS_URL", "unix:/run/redis.sock", "no redis://, rediss:// or unix://"),
        ("REDIS_URL", "redis://", "neither a host nor a socket"),
        ("REDIS_URL", "unix://", "neither a host nor a socket"),
        ("PROCESS_ROLE", "boss", "not one of web, worker"),
        ("DATABASE_PLAN_CACHE_MODE", "sometimes", "not one of auto"),
        ("DATABASE_POOL_SIZE_MAX", "-1", "not a whole number"),
        ("LOG_LEVEL", "LOUD", "not one of DEBUG"),
        ("MAIL_ENCRYPTED", "perhaps", "neither yes nor no"),
        ("MAIL_DELIVERY", "pigeon", "not one of console"),
        ("PROXY_COUNT", "11", "not a whole number from 0 to 10"),
    ],
)
def test_a_bad_value_is_refused_by_name_and_reason(name, value, reason):
    message = _refusal(_production(**{name: value}))

    assert f"  {name} " in message
    assert reason in message


def test_a_refusal_never_shows_a_password():
    message = _refusal(_production(DATABASE_URL="postgresql://owner:hush@db/x?nonsense=1"))

    assert "hush" not in message


def test_smtp_needs_a_host():
    assert "MAIL_HOST is not set" in _refusal(_production(MAIL_DELIVERY="smtp"))
    settings = load(variables=_production(MAIL_DELIVERY="smtp", MAIL_HOST="mail.example.org")).mail
    assert (settings.delivery, settings.host) == (MailDelivery.SMTP, "mail.example.org")


def test_an_unknown_settings_module_is_refused_with_the_choices():
    message = _refusal({"DJANGO_SETTINGS_MODULE": "somewhere.else"})

    assert "core.settings.production" in message


@pytest.mark.parametrize(
    ("role", "mode"),
    [
        (ProcessRole.WEB, PlanCacheMode.AUTO),
        (ProcessRole.WORKER, PlanCacheMode.FORCE_GENERIC_PLAN),
        (ProcessRole.SWEEP, PlanCacheMode.FORCE_GENERIC_PLAN),
        (ProcessRole.COMMAND, PlanCacheMode.AUTO),
    ],
)
def test_engine_processes_keep_generic_plans(role, mode):
    assert load(variables=_production(PROCESS_ROLE=role.value)).plan_cache_mode is mode


def test_debug_is_for_the_local_profile_only():
    local = _production(DJANGO_SETTINGS_MODULE="core.settings.local", DEBUG="1")

    assert load(variables=local).debug is True
    assert load(variables=_production(DEBUG="1")).debug is False


def test_the_test_profile_needs_no_servers_to_be_read():
    environment = load(variables={"DJANGO_SETTINGS_MODULE": "core.settings.test"})

    assert environment.database_url is None
    assert environment.redis_url is None


@pytest.fixture
def demo(tmp_path):
    (tmp_path / "secret_key").write_text(_SECRET)
    return {"DJANGO_SETTINGS_MODULE": "core.settings.demo", "VAR": str(tmp_path)}


def _announce(folder, *, pid):
    state = {"pid": pid, "database_url": _DATABASE, "redis_url": _REDIS}
    (folder / "embedded.json").write_text(json.dumps(state))


def test_the_servers_of_a_running_supervisor_are_found(demo, tmp_path):
    _announce(tmp_path, pid=os.getpid())

    environment = load(variables=demo)

    assert (environment.database_url, environment.redis_url) == (_DATABASE, _REDIS)
    assert environment.secret_key == _SECRET


def test_a_given_address_goes_before_the_announced_one(demo, tmp_path):
    _announce(tmp_path, pid=os.getpid())

    environment = load(variables={**demo, "REDIS_URL": "redis://other:6379/1"})

    assert environment.database_url == _DATABASE
    assert environment.redis_url == "redis://other:6379/1"


def test_the_announcement_of_a_dead_supervisor_counts_for_nothing(demo, tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    _announce(tmp_path, pid=child.pid)

    message = _refusal(demo)

    assert "DATABASE_URL is not set, and no embedded server runs" in message
    assert "make run" in message


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1}'])
def test_a_damaged_announcement_counts_for_nothing(tmp_path, text):
    (tmp_path / "embedded.json").write_text(text)

    assert find_running_servers(var=tmp_path) is None


def test_production_never_looks_for_embedded_servers(tmp_path):
    _announce(tmp_path, pid=os.getpid())

    message = _refusal(_production(VAR=str(tmp_path), DATABASE_URL=""))

    assert "DATABASE_URL is not set." in message


def test_the_demo_says_who_makes_its_key(tmp_path):
    message = _refusal(
        {
            "DJANGO_SETTINGS_MODULE": "core.settings.demo",
            "VAR": str(tmp_path),
            "DATABASE_URL": _DATABASE,
            "REDIS_URL": _REDIS,
        }
    )

    assert message.endswith(f"SECRET_KEY is not set, and `make run` has made none in {tmp_path}.")


def test_the_target_listens_one_port_after_the_web():
    assert load_launch(variables={"PORT": "8123"}).target_port == 8124
    assert load_launch(variables={"PORT": "8123", "TARGET_PORT": "9"}).target_port == 9


def test_a_launch_is_refused_with_every_reason():
    with pytest.raises(SettingsError) as caught:
        load_launch(variables={"PORT": "99999", "WORKER_COUNT": "0", "REDIS_URL": "x"})

    assert all(name in str(caught.value) for name in ("PORT", "WORKER_COUNT", "REDIS_URL"))


def test_the_two_ports_may_not_be_one():
    with pytest.raises(SettingsError, match="TARGET_PORT is the same as PORT"):
        load_launch(variables={"PORT": "8000", "TARGET_PORT": "8000"})


def test_a_relative_data_folder_counts_from_the_repository():
    assert load_launch(variables={"VAR": "var-2"}).var == BASE_DIR / "var-2"


def test_a_worker_queue_is_a_label_that_a_step_can_name():
    launch = load_launch(variables={"WORKER_QUEUES": "gpu,,eu-west"})
    assert launch.worker_queues == ("gpu", "eu-west")

    with pytest.raises(SettingsError, match="WORKER_QUEUES"):
        load_launch(variables={"WORKER_QUEUES": "a b"})


def test_databases_for_steps_are_named_in_json():
    text = json.dumps({"a": _DATABASE, "b": {"url": _DATABASE, "write": True}})

    found = load(variables=_production(SQL_CONNECTIONS=text)).sql_connections

    assert found == {
        "a": {"url": _DATABASE, "write": False},
        "b": {"url": _DATABASE, "write": True},
    }
    assert load(variables=_production()).sql_connections == {}


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"a": 1}',
        '{"a": {"write": true}}',
        '{"a": {"url": "mysql://x/y"}}',
        '{"a": {"url": "postgresql://x/y", "write": "yes"}}',
        '{"a": {"url": "postgresql://x", "b": 1}}',
    ],
)
def test_a_bad_list_of_databases_is_refused_without_showing_it(text):
    message = _refusal(_production(SQL_CONNECTIONS=text))

    assert "SQL_CONNECTIONS is not JSON such as" in message
    assert "mysql" not in message


def test_programs_and_foreign_domains_are_off_by_default():
    environment = load(variables=_production())

    assert (environment.shell_run, environment.mail_domains_allowed) == (False, ())
    assert load(variables=_production(SHELL_RUN="yes")).shell_run is True


def test_models_are_named_in_json_and_their_keys_never_shown():
    price = {"input": 250, "output": 1000, "currency": "EUR"}
    given = {"url": "https://m.example.org/v1/", "models": ["a"], "key": "sk-x", "price": price}

    found = load(variables=_production(AI_ENDPOINTS=json.dumps({"main": given}))).ai_endpoints

    assert found == {
        "main": {**given, "url": "https://m.example.org/v1", "format": "json_object"},
    }
    bare = {"url": "http://m", "models": ["a"]}
    wrong: list[dict[str, object]] = [
        {"url": "ftp://m"},
        {"models": []},
        {"models": "a"},
        {"models": [1]},
        {"key": "sk-x\n"},
        {"format": "xml"},
        {"price": {"input": 1}},
        {"price": {**price, "input": -1}},
        {"price": {**price, "output": 1.5}},
        {"price": {**price, "currency": "eur"}},
        {"other": 1},
    ]
    for text in ("no", "[]", '{"a": 1}', *(json.dumps({"m": {**bare, **item}}) for item in wrong)):
        message = _refusal(_production(AI_ENDPOINTS=text))
        assert "AI_ENDPOINTS is not JSON such as" in message
        assert "sk-x" not in message


def test_webhooks_are_named_in_json_and_never_shown():
    address = "https://hooks.slack.com/services/T0/B0/secret"

    found = load(variables=_production(SLACK_WEBHOOKS=json.dumps({"ops": address})))

    assert found.slack_webhooks == {"ops": address}
    for text in ("no json", "[]", '{"a": 1}', '{"a": "ftp://x/secret"}'):
        message = _refusal(_production(SLACK_WEBHOOKS=text))
        assert "SLACK_WEBHOOKS is not JSON such as" in message
        assert "ftp" not in message
