"""Addresses of approval requests under /api/v1/."""

from approvals.api.requests import RequestViewSet
from core.toolkit.api.routing import route

_REQUEST = "requests/<uuid:request_id>/"

urlpatterns = [
    *route("requests/", RequestViewSet, {"get": "list"}, name="api-requests"),
    *route(_REQUEST, RequestViewSet, {"get": "retrieve"}, name="api-request"),
    *route(f"{_REQUEST}why/", RequestViewSet, {"get": "why"}, name="api-request-why"),
    *route(
        f"{_REQUEST}votes/<uuid:vote_id>/receipt/",
        RequestViewSet,
        {"get": "receipt"},
        name="api-vote-receipt",
    ),
    *route(f"{_REQUEST}decide/", RequestViewSet, {"post": "decide"}, name="api-request-decide"),
]
