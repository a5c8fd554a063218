"""Addresses of signing in and out, and of the theme."""

from django.urls import path

from core.identity.portal.views import SignInView, SignOutView, ThemeView

app_name = "identity_portal"
urlpatterns = [
    path("sign-in/", SignInView.as_view(), name="sign-in"),
    path("sign-out/", SignOutView.as_view(), name="sign-out"),
    path("theme/", ThemeView.as_view(), name="theme"),
]
