"""Every path of the platform."""

from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from core.identity.console.admins import make_site
from core.toolkit import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.live),
    path("readyz", health.ready),
    path("admin/", make_site().urls),
    path("", RedirectView.as_view(url="/inbox/"), name="home"),
    path("", include("core.identity.portal.urls")),
    path("inbox/", include("approvals.portal.urls")),
    path("ledger/log/", include("audit.api.file_urls")),
    path("ledger/", include("audit.portal.urls")),
    path("", include("engine.portal.urls")),
    path("api/", include("core.toolkit.api.urls")),
]

# Under /api/ these answer with problem documents, elsewhere with pages.
handler400 = "core.toolkit.api.fallbacks.answer_bad_request"
handler403 = "core.toolkit.api.fallbacks.answer_forbidden"
handler404 = "core.toolkit.api.fallbacks.answer_not_found"
handler500 = "core.toolkit.api.fallbacks.answer_bug"
