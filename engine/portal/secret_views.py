"""The pages of a project's secrets: set and deleted, never shown. Read `SecretsView`."""

from collections.abc import Mapping

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from core.kernel import limits
from core.kernel.errors import ConflictError, InvalidError
from core.toolkit.portal.views import PortalView
from engine.selectors import secrets as selectors
from engine.services import secrets


class SecretsView(PortalView):
    """The secrets of a project, and a form to set one."""

    def get(self, request: HttpRequest, project: str) -> HttpResponse:
        """Return names, ages, who set them and which workflows use them."""
        typed = self.carried if self.carried is not None else request.GET
        return self._show(project, typed={"name": typed.get("name", "")})

    def post(self, request: HttpRequest, project: str) -> HttpResponse:
        """Set a secret. Its value is never shown again, also not when it is refused."""
        typed = {key: request.POST.get(key, "") for key in ("name", "description")}
        typed["name"] = typed["name"].strip()
        try:
            secrets.set_secret(
                principal=self.principal,
                project_slug=project,
                name=typed["name"],
                # Forms send line ends as CR LF; keys and certificates have LF.
                value=request.POST.get("secret", "").replace("\r\n", "\n"),
                description=typed["description"].strip() or None,
            )
        except InvalidError as error:
            found = {problem.path.lstrip("/"): problem.message for problem in error.problems}
            return self._show(project, typed=typed, errors=found)
        except ConflictError as error:
            return self._show(project, typed=typed, errors={"name": error.message})
        return self.go_to(reverse("engine_portal:secrets", args=(project,)))

    def _show(
        self, project: str, *, typed: Mapping[str, str], errors: Mapping[str, str] | None = None
    ) -> HttpResponse:
        page = selectors.get_secrets_page(principal=self.principal, project_slug=project)
        context = {
            "place": "workflows",
            "page": page,
            "typed": typed,
            "errors": errors or {},
            "name_chars_max": limits.SECRET_NAME_CHARS_MAX,
            "line_chars_max": limits.SECRET_LINE_CHARS_MAX,
            "value_chars_max": limits.SECRET_CHARS_MAX,
        }
        return self.render("engine/secrets.html", context, status=422 if errors else 200)


class SecretDeleteView(PortalView):
    """Deleting a secret."""

    def get(self, request: HttpRequest, project: str, name: str) -> HttpResponse:
        """Ask whether to, and say what uses it."""
        secret = selectors.get_secret(principal=self.principal, project_slug=project, name=name)
        context = {"place": "workflows", "project": project, "secret": secret}
        return self.render("engine/secret_delete.html", context)

    def post(self, request: HttpRequest, project: str, name: str) -> HttpResponse:
        """Delete it and go back to the list."""
        secrets.delete_secret(principal=self.principal, project_slug=project, name=name)
        return self.go_to(reverse("engine_portal:secrets", args=(project,)))
