"""The page of a compliance report: what it rests on, and what a project is told of refusals."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils.timezone import now

from audit.models import Entry, TreeHead
from core.identity.authorize import require
from core.identity.domain.errors import AccessForbiddenError
from core.identity.domain.permissions import Permission
from tests.integration.portal_runs.conftest import text, words
from tests.sealed import SealedLog


def report(archive, who="aud", *, project=""):
    days = {"since": f"{now() - timedelta(days=2):%Y-%m-%d}", "until": "2100-01-01"}
    return archive.browse(who).get("/ledger/report/", {**days, "project": project})


def test_a_tree_head_whose_signature_is_false_is_shown_above_the_figures(archive, tmp_path):
    SealedLog(tmp_path).seal()
    assert "whose signature holds" in words(report(archive))
    newest = TreeHead.objects.latest("tree_size")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE audit_tree_head DISABLE TRIGGER ALL")
        cursor.execute(
            "UPDATE audit_tree_head SET note = %s WHERE tree_size = %s",
            [newest.note.partition("\n\n")[0] + "\n", newest.pk],
        )
        cursor.execute("ALTER TABLE audit_tree_head ENABLE TRIGGER ALL")

    page = words(report(archive))

    assert "The record of this period does not hold" in page
    assert "not signed by a key on record" in page
    assert "Look at it" not in page


def test_a_project_is_told_what_was_refused_there_and_where_the_rest_is(archive):
    with pytest.raises(AccessForbiddenError):
        require(
            principal=archive.principal("stan"),
            permission=Permission.MANAGE_ROLES,
            scope_id=archive.project.scope_id,
        )
    entry = Entry.objects.filter(kind="access.refused").latest("pk")

    of_project = report(archive, "paul", project=archive.slug)
    whole = report(archive)

    assert "Stan" in words(of_project)
    assert "report of the whole ledger only" in words(of_project)
    assert "report of the whole ledger only" not in words(whole)
    link = f'href="/ledger/entries/{entry.pk}/"'
    assert link not in text(of_project)  # only readers of the whole ledger may open it
    assert link in text(whole)
