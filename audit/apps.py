"""The Django app audit."""

from django.apps import AppConfig

from audit.domain.meanings import Meaning

# What the kinds of the packages below mean. All of the stream `ledger` is its upkeep.
_MEANINGS = {
    "access.refused": Meaning.REFUSED,
    **dict.fromkeys(
        (
            "role.assigned",
            "role.revoked",
            "member.added",
            "member.removed",
            "team.created",
            "project.shared",
            "project.unshared",
            "token.created",
            "token.revoked",
            "user.created",
            "user.changed",
            "user.activated",
            "user.deactivated",
        ),
        Meaning.ACCESS,
    ),
}


class AuditConfig(AppConfig):
    """Label and name of the app."""

    name = "audit"
    label = "audit"

    def ready(self) -> None:
        """Register the ledger's own tables and the start-up checks."""
        from audit import checks, registry  # noqa: F401  # importing checks registers them
        from audit.domain.rights import APPEND, DatabaseRole
        from audit.immutability import trigger_names
        from audit.outward import wiring
        from audit.portal import kinds
        from audit.realtime.topics import LEDGER_TOPIC
        from audit.redactions import wiring as redactions
        from audit.sealing.rows import is_late
        from audit.selectors.reading import can_read_ledger
        from core.toolkit import health
        from core.toolkit.portal.frame import NavItem, register_nav
        from core.toolkit.socket.topics import register_topic

        register_topic(LEDGER_TOPIC)
        kinds.register()
        register_nav(
            NavItem(
                key="ledger",
                label="Ledger",
                icon="scroll-text",
                url_name="audit_portal:explorer",
                group="Govern",
                position=40,
                is_shown=lambda principal: can_read_ledger(principal=principal),
            )
        )
        health.register_watch("sealing", is_late)

        registry.register_stream_noun("project")
        wiring.register()
        redactions.register()
        seals = {DatabaseRole.SEALER: APPEND}
        for table in ("audit_leaf", "audit_node", "audit_tree_head", "audit_key"):
            registry.register_append_only(table, rights=seals)
        writes = dict.fromkeys(DatabaseRole.writers(), APPEND)
        registry.register_append_only("audit_entry", rights=writes)
        registry.register_append_only(
            "audit_payload",
            conditional=("audit_payload_no_update",),
            rights={
                **writes,
                DatabaseRole.REDACTOR: {*APPEND, "UPDATE (salt, value)"},
            },
        )
        registry.register_append_only(
            "audit_stream",
            conditional=("audit_stream_no_update",),
            rights=dict.fromkeys(DatabaseRole.writers(), APPEND | {"UPDATE (head, seq)"}),
        )
        registry.register_append_only(
            "audit_pending",
            triggers=(*trigger_names("audit_pending"), "audit_pending_sealed"),
            conditional=("audit_pending_no_delete",),
            rights={
                **writes,
                DatabaseRole.SEALER: {*APPEND, "DELETE"},
            },
        )
        registry.register_meanings(_MEANINGS)
