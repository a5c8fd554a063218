"""Roles on one workflow are given in the console too, though identity knows no workflows."""

from core.identity.models import RoleAssignment
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.roles import assign_role
from engine.models import Run
from tests.integration.identity.consoles import browser_of, text


def test_a_role_on_one_workflow_is_given_by_its_name(office):
    request = office.open()
    scope_id = Run.objects.get(pk=request.run_id).workflow.scope_id
    office.user("admin")
    admin = office.users["admin"]
    for role in ("access_admin", "project_admin"):
        assign_role(principal=office.system, role=role, scope_id=GLOBAL_SCOPE_ID, user_id=admin.pk)
    browser = browser_of(admin)
    page = "/admin/identity/roleassignment/add/"

    shown = text(browser.get(page))
    assert f'<option value="{scope_id}">Workflow acme/flow1</option>' in shown
    typed = {"act": "add", "role": "viewer", "scope": str(scope_id), "user": "cid"}
    assert browser.post(page, typed).status_code == 303

    made = RoleAssignment.objects.get(scope_id=scope_id)
    assert made.user == office.users["cid"]
    detail = text(browser.get(f"/admin/identity/roleassignment/{made.pk}/change/"))
    assert "Workflow acme/flow1" in detail
