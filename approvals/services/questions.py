"""Asking people what becomes of a step that failed: implements `engine.ports.WaitOpener`.

A question is a request in the same inbox as approvals, with another rule and other answers.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from approvals import store
from approvals.domain.question import prepare_question, rule_of_question
from approvals.domain.rule import Asks
from approvals.services.opener import open_request, void
from core.kernel.errors import Problem
from core.kernel.record import Origin
from core.kernel.types import Json
from core.toolkit.db import require_transaction
from engine.ports import OpeningWait


class QuestionOpener:
    """The writing half of questions. Not a verb: no definition names it."""

    def open(self, wait: OpeningWait) -> None:
        """Ask whoever may operate runs of the workflow; the body is what the engine asks.

        Transaction: the caller's, which has written the run's `question.asked`.
        """
        require_transaction()
        prepared = prepare_question(key=wait.key, step=wait.step, body=wait.body)
        open_request(wait=replace(wait, body=prepared), rule=rule_of_question(prepared))

    def list_obstacles(
        self, *, body: Mapping[str, Json], path: str, scope_id: UUID
    ) -> Sequence[Problem]:
        """Find nothing in the way: nobody writes questions, and publishing does not ask."""
        del body, path, scope_id
        return ()

    def withdraw(
        self, *, run_id: UUID, keys: Collection[str], reason: str, origin: Origin, at: datetime
    ) -> Sequence[str]:
        """Close the open questions about some steps of a run without an answer. Idempotent.

        Returns:
            The step keys of the questions that were open. Transaction: the caller's, which has
            locked the run.
        """
        require_transaction()
        requests = store.lock_open_requests(run_id=run_id, asks=Asks.QUESTION, keys=keys)
        return void(requests=requests, reason=reason, origin=origin, at=at)

    def void_all(self, *, run_id: UUID, reason: str, origin: Origin, at: datetime) -> Sequence[str]:
        """Close every open question of a run without an answer.

        Returns:
            The step keys of the questions that were open. Transaction: the caller's, which has
            locked the run.
        """
        require_transaction()
        requests = store.lock_open_requests(run_id=run_id, asks=Asks.QUESTION)
        return void(requests=requests, reason=reason, origin=origin, at=at)
