"""Moving open runs to another version over HTTP. Read `MigrationViewSet`."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from core.toolkit.api.schema import operation
from core.toolkit.api.serializers import read_body
from core.toolkit.api.views import ApiViewSet, principal_of
from engine.api.move_serializers import MigrateInput, MigrationReportSerializer, MoveInput
from engine.services import migrating
from engine.services.migrating import Migration


class MigrationViewSet(ApiViewSet):
    """Open runs of a workflow, to be moved to another version."""

    throttle_scopes: ClassVar[dict[str, str]] = {"move": "start", "foresee": "start"}

    @operation(
        operation_id="workflows_migrate",
        summary="Move open runs to another version",
        body=MigrateInput,
        answer=MigrationReportSerializer,
        errors=(403, 404, 409),
    )
    def move(self, request: Request, project: str, slug: str) -> Response:
        """Move the open runs of a version to a published one, as far as they may, each by itself.

        A run moves only while it waits and nothing of it executes. What has ended keeps its end,
        what is open must be the same in both, and what has not begun is the new version's. An open
        approval that is another there, or leads to something else, is taken back and asked anew; a
        run whose approval was given for something else stays. Needs the permissions to publish the
        workflow and to operate its runs.
        """
        body = read_body(request, MigrateInput)
        report = migrating.migrate_runs(
            principal=principal_of(request),
            project_slug=project,
            workflow_slug=slug,
            migration=_read_migration(body),
            reason=body["reason"],
        )
        return Response(MigrationReportSerializer(report).data)

    @operation(
        operation_id="workflows_migrate_preview",
        summary="Show what moving open runs would do",
        body=MoveInput,
        answer=MigrationReportSerializer,
        errors=(403, 404, 409),
    )
    def foresee(self, request: Request, project: str, slug: str) -> Response:
        """Say which open runs would move, and what keeps the others. Moves nothing."""
        report = migrating.foresee_migration(
            principal=principal_of(request),
            project_slug=project,
            workflow_slug=slug,
            migration=_read_migration(read_body(request, MoveInput)),
        )
        return Response(MigrationReportSerializer(report).data)


def _read_migration(body: Mapping[str, Any]) -> Migration:
    return Migration(
        from_rev=body["from_rev"],
        to_rev=body["to_rev"],
        names=body["node_map"],
        data=body["data_map"],
        run_ids=body["runs"],
        after=body["after"],
    )
