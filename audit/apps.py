"""The Django app audit."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """Label and name of the app."""

    name = "audit"
    label = "audit"

    def ready(self) -> None:
        """Register the ledger's own tables and the start-up checks."""
        from audit import checks, registry  # noqa: F401  # importing checks registers them
        from audit.immutability import trigger_names

        for table in ("audit_entry", "audit_leaf", "audit_node", "audit_tree_head", "audit_key"):
            registry.register_append_only(table)
        registry.register_append_only("audit_payload", conditional=("audit_payload_no_update",))
        registry.register_append_only("audit_stream", conditional=("audit_stream_no_update",))
        registry.register_append_only(
            "audit_pending",
            triggers=(*trigger_names("audit_pending"), "audit_pending_sealed"),
            conditional=("audit_pending_no_delete",),
        )
