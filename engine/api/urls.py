"""Addresses of the engine under /api/v1/."""

from core.toolkit.api.routing import route
from engine.api.backfills import BackfillViewSet
from engine.api.bulk import BulkViewSet
from engine.api.comparing import ComparisonViewSet
from engine.api.events import EventViewSet
from engine.api.external import ExternalTaskViewSet
from engine.api.flow_control import ProjectFlowViewSet, WorkflowPauseViewSet
from engine.api.hooks import HookViewSet
from engine.api.language import LanguageViewSet
from engine.api.moves import MigrationViewSet
from engine.api.past import PastViewSet
from engine.api.reruns import RerunViewSet
from engine.api.runs import RunViewSet
from engine.api.secrets import SecretViewSet
from engine.api.steering import SteerViewSet
from engine.api.triggers import TriggerViewSet
from engine.api.workflows import LintViewSet, VersionViewSet, WorkflowViewSet

_SECRETS = "projects/<slug:project>/secrets/"
_WORKFLOW = "workflows/<slug:project>/<slug:slug>/"
_TRIGGER = f"{_WORKFLOW}triggers/<slug:name>/"
_TASK = "external-tasks/<uuid:task_id>/"
_PROJECT = "projects/<slug:project>/"
_PAUSE = {"get": "retrieve", "post": "pause"}
_VERSION = f"{_WORKFLOW}versions/<int:rev>/"
_STEP = "runs/<uuid:run_id>/steps/<path:key>/"
_EVENTS = {"get": "events", "post": "send"}

urlpatterns = [
    *route("schemas/flow/v1/", LanguageViewSet, {"get": "retrieve"}, name="api-flow-schema"),
    *route("events/", EventViewSet, {"post": "send"}, name="api-events"),
    *route(_SECRETS, SecretViewSet, {"get": "list"}, name="api-secrets"),
    *route(
        f"{_SECRETS}<str:name>/",
        SecretViewSet,
        {"put": "set", "delete": "destroy"},
        name="api-secret",
    ),
    *route("projects/<slug:project>/diff/", ComparisonViewSet, {"post": "create"}, name="api-diff"),
    *route("external-tasks/claim/", ExternalTaskViewSet, {"post": "claim"}, name="api-task-claim"),
    *route(
        f"{_TASK}heartbeat/", ExternalTaskViewSet, {"post": "heartbeat"}, name="api-task-heartbeat"
    ),
    *route(
        f"{_TASK}complete/", ExternalTaskViewSet, {"post": "complete"}, name="api-task-complete"
    ),
    *route(f"{_TASK}fail/", ExternalTaskViewSet, {"post": "fail"}, name="api-task-fail"),
    *route("lint/", LintViewSet, {"post": "create"}, name="api-lint"),
    *route("workflows/", WorkflowViewSet, {"get": "list"}, name="api-workflows"),
    *route(
        "workflows/<slug:project>/", WorkflowViewSet, {"post": "save"}, name="api-workflow-save"
    ),
    *route(_WORKFLOW, WorkflowViewSet, {"get": "retrieve"}, name="api-workflow"),
    *route(f"{_WORKFLOW}versions/", VersionViewSet, {"get": "list"}, name="api-versions"),
    *route(_VERSION, VersionViewSet, {"get": "retrieve"}, name="api-version"),
    *route(f"{_VERSION}publish/", VersionViewSet, {"post": "publish"}, name="api-version-publish"),
    *route(f"{_VERSION}preview/", VersionViewSet, {"get": "preview"}, name="api-version-preview"),
    *route(f"{_WORKFLOW}triggers/", TriggerViewSet, {"get": "list"}, name="api-triggers"),
    *route(f"{_TRIGGER}pause/", TriggerViewSet, {"post": "pause"}, name="api-trigger-pause"),
    *route(f"{_TRIGGER}resume/", TriggerViewSet, {"post": "resume"}, name="api-trigger-resume"),
    *route(f"{_TRIGGER}secret/", TriggerViewSet, {"post": "secret"}, name="api-trigger-secret"),
    *route(
        f"{_TRIGGER}backfills/",
        BackfillViewSet,
        {"get": "list", "post": "start"},
        name="api-backfills",
    ),
    *route(
        f"{_TRIGGER}backfills/<uuid:backfill_id>/",
        BackfillViewSet,
        {"get": "retrieve"},
        name="api-backfill",
    ),
    *route(
        f"{_TRIGGER}backfills/<uuid:backfill_id>/cancel/",
        BackfillViewSet,
        {"post": "cancel"},
        name="api-backfill-cancel",
    ),
    *route(
        "hooks/<slug:project>/<slug:slug>/<slug:name>/",
        HookViewSet,
        {"post": "receive"},
        name="api-hook",
    ),
    *route(
        f"{_WORKFLOW}migrations/", MigrationViewSet, {"post": "move"}, name="api-workflow-migrate"
    ),
    *route(
        f"{_WORKFLOW}migrations/preview/",
        MigrationViewSet,
        {"post": "foresee"},
        name="api-workflow-migrate-preview",
    ),
    *route(f"{_WORKFLOW}runs/", RunViewSet, {"post": "start"}, name="api-run-start"),
    *route(f"{_WORKFLOW}pause/", WorkflowPauseViewSet, _PAUSE, name="api-workflow-pause"),
    *route(
        f"{_WORKFLOW}resume/", WorkflowPauseViewSet, {"post": "resume"}, name="api-workflow-resume"
    ),
    *route(f"{_PROJECT}flow/", ProjectFlowViewSet, {"get": "retrieve"}, name="api-project-flow"),
    *route(f"{_PROJECT}quota/", ProjectFlowViewSet, {"put": "set_quota"}, name="api-project-quota"),
    *route(f"{_PROJECT}pause/", ProjectFlowViewSet, {"post": "pause"}, name="api-project-pause"),
    *route(f"{_PROJECT}resume/", ProjectFlowViewSet, {"post": "resume"}, name="api-project-resume"),
    *route("runs/", RunViewSet, {"get": "list"}, name="api-runs"),
    *route("runs/operate/", BulkViewSet, {"post": "operate"}, name="api-runs-operate"),
    *route("runs/<uuid:run_id>/", RunViewSet, {"get": "retrieve"}, name="api-run"),
    *route("runs/<uuid:run_id>/state/", PastViewSet, {"get": "retrieve"}, name="api-run-state"),
    *route("runs/<uuid:run_id>/steps/", RunViewSet, {"get": "steps"}, name="api-run-steps"),
    *route("runs/<uuid:run_id>/events/", SteerViewSet, _EVENTS, name="api-run-events"),
    *route("runs/<uuid:run_id>/pause/", SteerViewSet, {"post": "pause"}, name="api-run-pause"),
    *route("runs/<uuid:run_id>/resume/", SteerViewSet, {"post": "resume"}, name="api-run-resume"),
    *route(f"{_STEP}retry/", SteerViewSet, {"post": "retry"}, name="api-step-retry"),
    *route(f"{_STEP}skip/", SteerViewSet, {"post": "skip"}, name="api-step-skip"),
    *route("runs/<uuid:run_id>/cancel/", RunViewSet, {"post": "cancel"}, name="api-run-cancel"),
    *route("runs/<uuid:run_id>/rerun/", RerunViewSet, {"post": "start"}, name="api-run-rerun"),
    *route(
        "runs/<uuid:run_id>/rerun/preview/",
        RerunViewSet,
        {"post": "foresee"},
        name="api-run-rerun-preview",
    ),
]
