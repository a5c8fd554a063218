"""Checks of what callers type, collecting every problem before refusing. Read `Checker`."""

from dataclasses import dataclass, field

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from core.identity.domain import names
from core.identity.domain.errors import IdentityInvalidError
from core.identity.domain.permissions import Permission
from core.identity.models import User
from core.kernel import limits
from core.kernel.errors import Problem


@dataclass(slots=True, kw_only=True)
class Checker:
    """Collects what is wrong with the fields of one act; paths are JSON pointers."""

    problems: list[Problem] = field(default_factory=list)

    def username(self, path: str, text: str) -> None:
        """Check the name of an account or team."""
        self.that(
            path,
            holds=names.is_username(text),
            message="Use 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit.",
        )

    def slug(self, path: str, text: str) -> None:
        """Check the slug of a project."""
        self.that(
            path,
            holds=names.is_slug(text),
            message="Use 1 to 64 of a-z, 0-9 and single hyphens between them.",
        )

    def title(self, path: str, text: str) -> None:
        """Check what something is called."""
        self.that(
            path,
            holds=names.is_title(text),
            message=f"Use one line of at most {limits.TITLE_CHARS_MAX} printable characters.",
        )

    def email(self, path: str, text: str) -> None:
        """Check an address; none at all is fine."""
        self.that(path, holds=not text or names.is_email(text), message="This is no email address.")

    def reason(self, path: str, text: str) -> None:
        """Check a reason; it may be empty."""
        self.that(
            path,
            holds=len(text) <= limits.REASON_CHARS_MAX and "\x00" not in text,
            message=f"Use at most {limits.REASON_CHARS_MAX} characters.",
        )

    def permissions(self, path: str, values: list[str] | None) -> None:
        """Check a list of permissions; `None` is all of them."""
        known = set(Permission)
        for index, value in enumerate(values or ()):
            self.that(
                f"{path}/{index}", holds=value in known, message="There is no such permission."
            )

    def password(self, path: str, text: str | None, *, user: User) -> None:
        """Check a new password by the validators of the settings; none at all is fine."""
        if text is None:
            return
        try:
            validate_password(text, user=user)
        except ValidationError as error:
            self.problems.extend(Problem(path=path, message=item) for item in error.messages)

    def that(self, path: str, *, holds: bool, message: str) -> None:
        """Note a problem unless something holds."""
        if not holds:
            self.problems.append(Problem(path=path, message=message))

    def finish(self) -> None:
        """Refuse the act if anything was wrong. Raises: IdentityInvalidError."""
        if self.problems:
            raise IdentityInvalidError(problems=self.problems)
