"""Signing in, signing out, and the theme. Read `SignInView` first."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters

from core.identity.domain.errors import PasswordRefusedError
from core.identity.models import User
from core.identity.portal.forms import SignInForm
from core.identity.services import passwords, sessions
from core.kernel.clock import SYSTEM_CLOCK
from core.toolkit.api import throttling
from core.toolkit.api.errors import TooManyRequestsError
from core.toolkit.api.origin import read_source_address
from core.toolkit.portal import carrying, pages
from core.toolkit.portal.frame import THEME_COOKIE, THEMES
from core.toolkit.portal.visitor import make_principal

_YEAR_SECONDS = 365 * 24 * 60 * 60


@method_decorator([never_cache, sensitive_post_parameters("password")], name="dispatch")
class SignInView(View):
    """Name and password, then the page that was asked for."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the form; who is signed in goes on."""
        target = carrying.read_target(request, request.GET.get("next", ""))
        if isinstance(request.user, User):
            return HttpResponseRedirect(target)
        return _show(request, target=target)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Sign in, or say that name and password do not match, never which of them."""
        target = carrying.read_target(request, request.POST.get("next", ""))
        try:
            throttling.require_login_turns(
                address=read_source_address(request), username=request.POST.get("username", "")
            )
        except TooManyRequestsError as error:
            return pages.answer_error(request, error)
        form = SignInForm(request.POST)
        try:
            user = _check(form, source_address=read_source_address(request))
        except PasswordRefusedError:
            return _show(request, target=target, is_refused=True, status=422)
        login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
        sessions.begin_session(principal=make_principal(request, user))
        # Fixed: what is put into a session later, such as typed text, must not prolong it.
        ends_at = SYSTEM_CLOCK.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE)
        request.session.set_expiry(ends_at)
        carrying.keep(request, request.POST.get("carried", ""))
        return HttpResponseRedirect(target, status=303)


@method_decorator(never_cache, name="dispatch")
class SignOutView(View):
    """Ends the session and closes its sockets."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask, because a link alone must not sign anybody out."""
        if not isinstance(request.user, User):
            return HttpResponseRedirect("/sign-in/")
        return render(request, "identity/sign_out.html")

    def post(self, request: HttpRequest) -> HttpResponse:
        """Sign out."""
        if isinstance(request.user, User):
            principal = make_principal(request, request.user)
            sessions.end_session(principal=principal, session=request.session)
        return HttpResponseRedirect("/sign-in/", status=303)


@method_decorator(csrf_exempt, name="dispatch")
class ThemeView(View):
    """Keeps the chosen theme in a cookie; it is no secret, and no harm if another page sets it."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Keep the theme and go back to the page."""
        theme = request.POST.get("theme", "")
        response = HttpResponseRedirect(
            carrying.read_target(request, request.POST.get("next", "")), status=303
        )
        if theme in THEMES:
            response.set_cookie(
                THEME_COOKIE,
                theme,
                max_age=_YEAR_SECONDS,
                samesite="Lax",
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
            )
        return response


def _check(form: SignInForm, *, source_address: str) -> User:
    if not form.is_valid():
        raise PasswordRefusedError
    return passwords.check_password(**form.cleaned_data, source_address=source_address)


def _show(
    request: HttpRequest, *, target: str, is_refused: bool = False, status: int = 200
) -> HttpResponse:
    return carrying.show_sign_in(
        request,
        target=target,
        carried=request.POST.get("carried", ""),
        status=status,
        username=request.POST.get("username", ""),
        is_refused=is_refused,
    )
