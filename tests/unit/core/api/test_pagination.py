"""Cursors over a unique key."""

from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import RequestFactory
from rest_framework.request import Request

from core.kernel import limits
from core.toolkit.api.errors import InputRefusedError
from core.toolkit.api.pagination import read_page_query, respond_with_page


def _query(list_name: str = "runs", **parameters: str):
    request = Request(RequestFactory().get("/api/v1/runs/", parameters))
    return request, read_page_query(request, list_name=list_name)


def _cursor_of(link: str) -> str:
    return parse_qs(urlsplit(link).query)["cursor"][0]


def test_the_first_page_has_the_default_size():
    _, query = _query()

    assert (query.limit, query.after) == (limits.PAGE_SIZE_DEFAULT, None)


@pytest.mark.parametrize("after", [7, "abc", ["2026-01-01T00:00:00Z", "id"]])
def test_the_link_of_a_page_leads_to_the_next(after):
    request, query = _query(limit="2", status="open")

    response = respond_with_page(request, query=query, items=[1, 2], next_after=after)

    link = response.data["next"]
    assert response.headers["Link"] == f'<{link}>; rel="next"'
    parameters = parse_qs(urlsplit(link).query)
    assert (parameters["limit"], parameters["status"]) == (["2"], ["open"])
    _, following = _query(cursor=_cursor_of(link), limit="2")
    assert following.after == after


def test_the_last_page_has_no_link():
    request, query = _query()

    response = respond_with_page(request, query=query, items=[], next_after=None)

    assert response.data == {"items": [], "next": None}
    assert "Link" not in response.headers


@pytest.mark.parametrize(
    "limit", ["0", "-1", "x", "", "1.5", str(limits.PAGE_SIZE_MAX + 1), "9" * 99, "٣"]
)
def test_a_limit_out_of_range_is_refused(limit):
    with pytest.raises(InputRefusedError) as caught:
        _query(limit=limit)

    assert caught.value.problems[0].path == "query:limit"


def test_a_changed_cursor_is_refused():
    request, query = _query()
    link = respond_with_page(request, query=query, items=[1], next_after=1).data["next"]
    cursor = _cursor_of(link)

    for index in range(len(cursor)):
        changed = cursor[:index] + ("A" if cursor[index] != "A" else "B") + cursor[index + 1 :]
        with pytest.raises(InputRefusedError):
            _query(cursor=changed)


def test_a_cursor_of_another_list_is_refused():
    request, query = _query("runs")
    link = respond_with_page(request, query=query, items=[1], next_after=1).data["next"]

    with pytest.raises(InputRefusedError):
        _query("workflows", cursor=_cursor_of(link))
