"""Cursors over a unique key."""

from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from django.test import RequestFactory
from rest_framework import serializers
from rest_framework.request import Request

from core.kernel import limits
from core.toolkit.api.errors import InputRefusedError
from core.toolkit.api.pagination import PageQuery, read_page_query, respond_with_page
from core.toolkit.api.serializers import OutputSerializer


class _NameSerializer(OutputSerializer):
    name = serializers.CharField()


def _query(list_name: str = "runs", **parameters: str):
    request = Request(RequestFactory().get("/api/v1/runs/", parameters))
    return request, read_page_query(request, list_name=list_name)


def _respond(request, query, *, keys):
    return respond_with_page(
        request,
        query=query,
        rows=[{"name": key} for key in keys],
        key=lambda row: row["name"],
        shape=_NameSerializer,
    )


def _cursor_of(link: str) -> str:
    return parse_qs(urlsplit(link).query)["cursor"][0]


def test_the_first_page_has_the_default_size():
    _, query = _query()

    assert (query.limit, query.after) == (limits.PAGE_SIZE_DEFAULT, None)


@pytest.mark.parametrize("after", [7, "abc", UUID(int=7)])
def test_the_link_of_a_page_leads_to_the_next(after):
    request, query = _query(limit="2", status="open")

    response = _respond(request, query, keys=["first", after, "unshown"])

    assert [item["name"] for item in response.data["items"]] == ["first", str(after)]
    link = response.data["next"]
    assert response.headers["Link"] == f'<{link}>; rel="next"'
    parameters = parse_qs(urlsplit(link).query)
    assert (parameters["limit"], parameters["status"]) == (["2"], ["open"])
    _, following = _query(cursor=_cursor_of(link), limit="2")
    assert str(following.after) == str(after)


@pytest.mark.parametrize("keys", [[], ["first"], ["first", "second"]])
def test_the_last_page_has_no_link(keys):
    request, query = _query(limit="2")

    response = _respond(request, query, keys=keys)

    assert len(response.data["items"]) == len(keys)
    assert response.data["next"] is None
    assert "Link" not in response.headers


def test_a_cursor_gives_its_key_back_as_what_it_was():
    assert PageQuery(list_name="x", limit=1, after="7").after_number() == 7
    assert PageQuery(list_name="x", limit=1, after=str(UUID(int=7))).after_uuid() == UUID(int=7)
    assert PageQuery(list_name="x", limit=1).after_uuid() is None
    assert PageQuery(list_name="x", limit=1).after_number() is None


@pytest.mark.parametrize(
    "limit", ["0", "-1", "x", "", "1.5", str(limits.PAGE_SIZE_MAX + 1), "9" * 99, "0000019999", "٣"]
)
def test_a_limit_out_of_range_is_refused(limit):
    with pytest.raises(InputRefusedError) as caught:
        _query(limit=limit)

    assert caught.value.problems[0].path == "query:limit"


def test_a_changed_cursor_is_refused():
    request, query = _query()
    link = _respond(request, query, keys=[1] * 51).data["next"]
    cursor = _cursor_of(link)

    for index in range(len(cursor)):
        changed = cursor[:index] + ("A" if cursor[index] != "A" else "B") + cursor[index + 1 :]
        with pytest.raises(InputRefusedError):
            _query(cursor=changed)


def test_a_cursor_of_another_list_is_refused():
    request, query = _query("runs")
    link = _respond(request, query, keys=[1] * 51).data["next"]

    with pytest.raises(InputRefusedError):
        _query("workflows", cursor=_cursor_of(link))
