"""The Django app engine."""

import importlib

from django.apps import AppConfig


class EngineConfig(AppConfig):
    """Label and name of the app."""

    name = "engine"
    label = "engine"

    def ready(self) -> None:
        """Register the built-in actions and the functions this deployment brings."""
        from audit import registry as ledger_registry
        from audit.domain.rights import APPEND, DatabaseRole
        from audit.exports.sweeping import sweep_exports
        from core.identity.console.places import register_places
        from core.toolkit.portal.frame import NavItem, register_nav
        from core.toolkit.socket.topics import register_topic
        from engine import conf, process, registry, upkeep
        from engine.actions import builtin
        from engine.meanings import MEANINGS
        from engine.portal import on_record
        from engine.realtime.topics import RUN_TOPIC
        from engine.redacting import RunHolder
        from engine.selectors.workflows import list_workflow_scopes

        register_topic(RUN_TOPIC)
        on_record.register()
        register_nav(
            NavItem(
                key="runs",
                label="Runs",
                icon="activity",
                url_name="engine_portal:runs",
                group="Work",
                position=20,
            )
        )
        register_nav(
            NavItem(
                key="workflows",
                label="Workflows",
                icon="workflow",
                url_name="engine_portal:workflows",
                group="Work",
                position=30,
            )
        )
        register_places(lambda ids, limit: list_workflow_scopes(scope_ids=ids, limit=limit))
        for spec in builtin.list_builtin():
            registry.register_action(spec)
        registry.register_sweep("upkeep", upkeep.keep_up)
        registry.register_sweep("exports", sweep_exports)
        for name in conf.function_modules():
            importlib.import_module(name)
        ledger_registry.register_meanings(MEANINGS)
        ledger_registry.register_stream_head("run", "SELECT id, seq, head FROM engine_run")
        ledger_registry.register_stream_head(
            "workflow", "SELECT id, seq, head FROM engine_workflow"
        )
        ledger_registry.register_copies("run", RunHolder())
        ledger_registry.register_append_only(
            "engine_version",
            triggers=("engine_version_guard_row", "engine_version_guard_truncate"),
            rights=dict.fromkeys(
                (DatabaseRole.APP, DatabaseRole.REDACTOR),
                APPEND | {"UPDATE (published_at, published_by_id, status)"},
            ),
        )
        _register_sealed_columns()
        process.follow_celery()


def _register_sealed_columns() -> None:
    from core.toolkit.sealed_columns import SealedColumn, register_sealed_column
    from engine.secrets.models import about_secret
    from engine.triggers import endpoints

    register_sealed_column(SealedColumn(model="engine.Secret", column="sealed", about=about_secret))
    for column in ("sealed", "previous_sealed"):
        register_sealed_column(
            SealedColumn(
                model="engine.Endpoint", column=column, about=lambda row: endpoints.about(row.pk)
            )
        )
