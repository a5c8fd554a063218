"""Browsers in the administrator's console, and what their pages say."""

import re

from django.test import Client
from django.urls import reverse

BACKEND = "django.contrib.auth.backends.ModelBackend"


def browser_of(user, **more):
    browser = Client(**more)
    browser.force_login(user, backend=BACKEND)
    return browser


def text(answer):
    return re.sub(r"\s+", " ", answer.content.decode())


def user_page(user):
    return reverse("admin:identity_user_change", args=(user.pk,))
