"""Addresses of runs and workflows."""

from django.urls import path

from engine.portal import flow_views, views
from engine.portal.move_views import MoveView
from engine.portal.rerun_views import RerunView
from engine.portal.secret_views import SecretDeleteView, SecretsView
from engine.portal.send_views import SendView
from engine.portal.steer_views import PAUSE, RESUME, RETRY, SKIP, SteerView
from engine.portal.trigger_views import TriggerView

_STEP = "runs/<uuid:run_id>/steps/<path:key>/"

app_name = "engine_portal"
urlpatterns = [
    path("runs/", views.RunsView.as_view(), name="runs"),
    path("runs/<uuid:run_id>/", views.RunView.as_view(), name="run"),
    path("runs/<uuid:run_id>/cancel/", views.CancelView.as_view(), name="cancel"),
    path("runs/<uuid:run_id>/pause/", SteerView.as_view(verb=PAUSE), name="pause"),
    path("runs/<uuid:run_id>/resume/", SteerView.as_view(verb=RESUME), name="resume"),
    path("runs/<uuid:run_id>/send/", SendView.as_view(), name="send"),
    path(f"{_STEP}retry/", SteerView.as_view(verb=RETRY), name="step_retry"),
    path(f"{_STEP}skip/", SteerView.as_view(verb=SKIP), name="step_skip"),
    path("runs/<uuid:run_id>/again/", RerunView.as_view(), name="rerun"),
    path("projects/<slug:project>/secrets/", SecretsView.as_view(), name="secrets"),
    path(
        "projects/<slug:project>/secrets/<str:name>/delete/",
        SecretDeleteView.as_view(),
        name="secret_delete",
    ),
    path("workflows/", views.WorkflowsView.as_view(), name="workflows"),
    path("workflows/<slug:project>/<slug:slug>/", views.WorkflowView.as_view(), name="workflow"),
    path(
        "workflows/<slug:project>/<slug:slug>/pause/",
        flow_views.PauseView.as_view(verb="pause"),
        name="pause",
    ),
    path(
        "workflows/<slug:project>/<slug:slug>/resume/",
        flow_views.PauseView.as_view(verb="resume"),
        name="resume",
    ),
    path("projects/<slug:project>/", flow_views.ProjectView.as_view(), name="project"),
    path(
        "projects/<slug:project>/pause/",
        flow_views.ProjectPauseView.as_view(verb="pause"),
        name="project_pause",
    ),
    path(
        "projects/<slug:project>/resume/",
        flow_views.ProjectPauseView.as_view(verb="resume"),
        name="project_resume",
    ),
    path("workflows/<slug:project>/<slug:slug>/start/", views.StartView.as_view(), name="start"),
    path(
        "workflows/<slug:project>/<slug:slug>/triggers/<slug:name>/",
        TriggerView.as_view(),
        name="trigger",
    ),
    path(
        "workflows/<slug:project>/<slug:slug>/versions/<int:rev>/move/",
        MoveView.as_view(),
        name="move",
    ),
    path(
        "workflows/<slug:project>/<slug:slug>/versions/<int:rev>/",
        views.VersionView.as_view(),
        name="version",
    ),
]
