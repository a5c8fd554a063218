"""The Django app engine."""

import importlib

from django.apps import AppConfig


class EngineConfig(AppConfig):
    """Label and name of the app."""

    name = "engine"
    label = "engine"

    def ready(self) -> None:
        """Register the built-in actions and the functions this deployment brings."""
        from celery.signals import worker_process_shutdown

        from audit import registry as ledger_registry
        from engine import conf, process, registry
        from engine.actions import http_request, python_call

        for spec in (python_call.SPEC, http_request.SPEC):
            registry.register_action(spec)
        for module in conf.function_modules():
            importlib.import_module(module)
        ledger_registry.register_stream_head("run", "SELECT id, seq, head FROM engine_run")
        ledger_registry.register_stream_head(
            "workflow", "SELECT id, seq, head FROM engine_workflow"
        )
        worker_process_shutdown.connect(
            lambda **_: process.stop_current_worker(), weak=False, dispatch_uid="engine.worker"
        )
