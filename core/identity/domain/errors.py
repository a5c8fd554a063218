"""Anticipated errors of identity and access."""

from core.kernel.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    MissingError,
    UnauthenticatedError,
)


class AccessForbiddenError(ForbiddenError):
    """The caller may not do this; `permission` and `reason` in the details say why."""

    code = "identity.forbidden"
    title = "You may not do this."


class AnonymousError(UnauthenticatedError):
    """Nobody is signed in."""

    code = "identity.anonymous"
    title = "Sign in first."


class PasswordRefusedError(UnauthenticatedError):
    """The name and the password do not belong together, or the account is closed."""

    code = "identity.password_refused"
    title = "The name or the password is wrong."


class PasswordTokensOffError(MissingError):
    """This deployment gives no tokens for passwords."""

    code = "identity.password_tokens_off"
    title = "Tokens are not given for passwords here; make one in the portal."


class IdentityMissingError(MissingError):
    """There is no such account, team, project, role, assignment, share or token."""

    code = "identity.not_found"
    title = "There is no such thing."


class IdentityInvalidError(InvalidError):
    """A name, an address, a date or a permission is not one; `problems` says which."""

    code = "identity.invalid"
    title = "The input is not valid."


class NameTakenError(ConflictError):
    """Another account, team or project has this name."""

    code = "identity.name_taken"
    title = "The name is taken."


class AlreadyAssignedError(ConflictError):
    """The same role is already assigned to the same account or team at the same scope."""

    code = "identity.already_assigned"
    title = "The role is already assigned there."


class InactiveAccountError(ConflictError):
    """The account is deactivated."""

    code = "identity.inactive"
    title = "The account is deactivated."


class TooManyTokensError(ConflictError):
    """The account has as many tokens as one may have."""

    code = "identity.too_many_tokens"
    title = "The account has too many tokens; revoke one first."
