"""Addresses under /inbox/."""

from django.urls import path

from approvals.portal.views import InboxView, ReceiptView, RequestView

app_name = "approvals_portal"
urlpatterns = [
    path("", InboxView.as_view(), name="inbox"),
    path("<uuid:request_id>/", RequestView.as_view(), name="request"),
    path("<uuid:request_id>/votes/<uuid:vote_id>/receipt/", ReceiptView.as_view(), name="receipt"),
]
