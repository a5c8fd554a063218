"""Addresses of the API. Read `route` first."""

from collections.abc import Mapping
from typing import Any

from django.urls import URLPattern, path
from rest_framework.viewsets import ViewSetMixin


def route(
    address: str, view: type[ViewSetMixin], actions: Mapping[str, str], *, name: str
) -> list[URLPattern]:
    """Return the two patterns of one address: with a slash at its end, and without.

    Both answer themselves, because a redirect would drop the body of a POST. The one with the
    slash has the name and is the one in the OpenAPI document.

    Args:
        address: pattern of `django.urls.path`, ending in a slash.
        view: the viewset.
        actions: HTTP method in lower case → method of the viewset.
        name: for `reverse`.
    """
    assert address.endswith("/"), address
    handler: Any = view.as_view(dict(actions))
    return [path(address, handler, name=name), path(address.rstrip("/"), handler)]
