"""Filters of every page: `core.toolkit.portal.words`, with the clock read here. No rules."""

import json
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.middleware.csrf import get_token
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.kernel.clock import SYSTEM_CLOCK
from core.toolkit.portal import words
from core.toolkit.portal.carrying import OWNER_FIELD

register = template.Library()


@register.simple_tag(takes_context=True)
def form_guard(context: template.Context) -> SafeString:
    """Return the hidden fields of every form that changes something.

    The CSRF token, and whose form it is: typed text that outlives a session is given back to nobody
    else (`core.toolkit.portal.carrying`).
    """
    request = context["request"]
    return format_html(
        '<input type="hidden" name="csrfmiddlewaretoken" value="{}">'
        '<input type="hidden" name="{}" value="{}">',
        get_token(request),
        OWNER_FIELD,
        request.user.pk or "",
    )


@register.filter
def duration(value: timedelta | float | None) -> str:
    """Return "1 h 34 min" for a duration or a number of seconds; "" for `None`."""
    if value is None:
        return ""
    return words.say_duration(
        value if isinstance(value, timedelta) else timedelta(seconds=float(value))
    )


@register.filter
def ago(value: datetime | None) -> str:
    """Return "9 min ago" or "in 25 min"; "" for `None`."""
    return "" if value is None else words.say_ago(value, now=SYSTEM_CLOCK.now())


@register.filter
def due(value: datetime) -> str:
    """Return "in 25 min" or "38 min overdue"."""
    return words.say_due(value, now=SYSTEM_CLOCK.now())


@register.filter
def due_grade(value: datetime) -> str:
    """Return "over", "soon" or ""."""
    return words.grade_due(value, now=SYSTEM_CLOCK.now())


@register.filter
def instant(value: datetime | None) -> str:
    """Return "2026-11-21 16:02:11 UTC"; "" for `None`."""
    return "" if value is None else words.say_instant(value)


@register.filter
def clock(value: datetime) -> str:
    """Return "16:02 UTC", with the day if it is not today."""
    return words.say_clock(value, now=SYSTEM_CLOCK.now())


@register.filter
def iso(value: datetime | None) -> str:
    """Return an instant as `<time datetime>` wants it; "" for `None`."""
    return "" if value is None else value.isoformat()


@register.filter
def money(minor: int, currency: str) -> str:
    """Return "84,250.00 EUR" for minor units."""
    return words.say_money(minor, currency)


@register.filter
def initials(name: str) -> str:
    """Return up to two initials."""
    return words.find_initials(name)


@register.filter
def hue(name: str) -> int:
    """Return the number of a name's color."""
    return words.pick_hue(name)


@register.filter
def pretty_json(value: Any) -> str:
    """Return a value as indented JSON, in its own script."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False)


@register.filter
def is_needed(field: Any) -> bool:
    """Return whether a field of a schema's form is required; others are marked optional."""
    return bool(field.field.widget.attrs.get("data-needed"))
