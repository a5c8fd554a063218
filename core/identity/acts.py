"""What every service of identity is wrapped in. Read `act`."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import transaction

from core.identity import refusals
from core.identity.attribution import attributed
from core.identity.domain.principal import Principal

_P = ParamSpec("_P")
_R = TypeVar("_R")


def act(service: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run a service in one transaction, attributed to its keyword argument `principal`.

    What `require` refuses in it goes on record after the transaction has rolled back; see
    `core.identity.refusals`. Rows it changes are attributed to the principal.
    """

    @wraps(service)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        principal = kwargs.get("principal")
        assert isinstance(principal, Principal), "an act needs the keyword argument `principal`"
        with refusals.recording(), attributed(lambda: principal.origin), transaction.atomic():
            return service(*args, **kwargs)

    return wrapper
