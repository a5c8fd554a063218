"""Addresses of the log's files, under /ledger/log/. Source: C2SP tlog-tiles (v1)."""

from django.urls import path

from audit.api.files import LogFileViewSet

urlpatterns = [
    path("checkpoint", LogFileViewSet.as_view({"get": "checkpoint"}), name="log-checkpoint"),
    path("tile/<path:path>", LogFileViewSet.as_view({"get": "tile"}), name="log-tile"),
]
