"""Every path of the platform."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from core.toolkit import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.live),
    path("readyz", health.ready),
    path("admin/", admin.site.urls),
    path("api/", include("core.toolkit.api.urls")),
]
