"""The actions that come with the engine. Read `list_builtin`."""

from engine import conf
from engine.actions import (
    ai_generate,
    check_compare,
    email_send,
    external_task,
    http_request,
    python_call,
    shell_run,
    slack_post,
    sql_query,
    transform_cel,
)
from engine.actions.contract import ActionSpec

_MODULES = (
    python_call,
    http_request,
    transform_cel,
    check_compare,
    sql_query,
    email_send,
    slack_post,
    external_task,
    ai_generate,
)


def list_builtin() -> list[ActionSpec]:
    """Return the actions that this deployment has, in no particular order."""
    found = [module.SPEC for module in _MODULES]
    return [*found, shell_run.SPEC] if conf.may_run_programs() else found
