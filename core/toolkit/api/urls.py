"""Every address under /api/. The applications above are named by dotted strings only."""

from django.urls import URLPattern, URLResolver, include, path, re_path

from core.toolkit.api.fallbacks import refuse_unknown_address
from core.toolkit.api.views import DocumentView

urlpatterns: list[URLPattern | URLResolver] = [
    path("schema/", DocumentView.as_view(), name="api-schema"),
    path("schema", DocumentView.as_view()),
    # The busiest first: a list that matches nothing costs as much as a query.
    path("v1/", include("engine.api.urls")),
    path("v1/", include("approvals.api.urls")),
    path("v1/", include("audit.api.urls")),
    path("v1/", include("core.identity.api.urls")),
    re_path(r"", refuse_unknown_address, name="api-unknown"),
]
