"""The Django app approvals."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """People deciding: requests, votes, the inbox, notices."""

    name = "approvals"
    label = "approvals"

    def ready(self) -> None:
        """Plug the verb, the sweep, the hard denials and the streams into the packages below."""
        from approvals.domain.authority import denial, denial_of_question
        from approvals.domain.comparing import compare_blocks
        from approvals.domain.rule import Asks
        from approvals.outbound.delivery import OverdueSweep
        from approvals.portal import on_record
        from approvals.realtime.topics import INBOX_TOPIC
        from approvals.selectors import waiting
        from approvals.selectors.requests import count_mine
        from approvals.services.alarms import tell_stuck
        from approvals.services.answering import answer_question
        from approvals.services.expire import expire_due
        from approvals.services.opener import ApprovalOpener
        from approvals.services.questions import QuestionOpener
        from approvals.services.reach import ReachSweep
        from approvals.verbs import ApprovalVerb
        from core.identity.authorize import register_denial
        from core.identity.domain.permissions import Permission
        from core.toolkit.portal.frame import NavItem, register_nav
        from core.toolkit.socket.topics import register_topic
        from engine import registry
        from engine.portal import panels

        register_topic(INBOX_TOPIC)
        on_record.register()
        register_nav(
            NavItem(
                key="inbox",
                label="Inbox",
                icon="inbox",
                url_name="approvals_portal:inbox",
                group="Work",
                position=10,
                count=lambda principal: count_mine(principal=principal),
            )
        )
        for asks in Asks:
            panels.register_panel(asks.value, waiting.make_panel_function(asks))
            panels.register_past_panel(asks.value, waiting.make_past_panel_function(asks))
        panels.register_waiting_counts(
            by_run=lambda principal, ids: waiting.count_open_by_run(
                principal=principal, run_ids=ids
            ),
            by_workflow=lambda principal, ids: waiting.count_open_by_workflow(
                principal=principal, workflow_ids=ids
            ),
        )
        registry.register_verb(ApprovalVerb(), ApprovalOpener(), compare=compare_blocks)
        registry.register_questions(QuestionOpener())
        registry.register_answers(lambda answer: answer_question(answer=answer))
        registry.register_alarm(lambda alarm: tell_stuck(alarm=alarm))
        registry.register_sweep("approvals", expire_due)
        registry.register_sweep("approvals.notices", OverdueSweep())
        registry.register_sweep("approvals.reach", ReachSweep())
        register_denial(Permission.DECIDE_REQUEST, denial)
        register_denial(Permission.OPERATE_RUN, denial_of_question)
        _register_records()


def _register_records() -> None:
    """Say what the ledger must know of requests."""
    from approvals.meanings import MEANINGS
    from approvals.redacting import RequestHolder
    from audit import registry as ledger_registry
    from audit.domain.rights import APPEND, DatabaseRole

    ledger_registry.register_stream_head("request", "SELECT id, seq, head FROM approvals_request")
    ledger_registry.register_related(
        "run", "SELECT id FROM approvals_request WHERE run_id = %s ORDER BY id"
    )
    ledger_registry.register_append_only("approvals_vote")
    ledger_registry.register_append_only(
        "approvals_exclusion",
        conditional=("approvals_exclusion_no_update",),
        rights={
            DatabaseRole.APP: APPEND,
            DatabaseRole.REDACTOR: {*APPEND, "UPDATE (error)"},
        },
    )
    ledger_registry.register_copies("request", RequestHolder())
    ledger_registry.register_meanings(MEANINGS)
