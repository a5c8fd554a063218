"""Rates of one caller, counted in Redis."""

import ipaddress

import pytest
from django.core.exceptions import ImproperlyConfigured

from core.kernel import ids
from core.toolkit.api import conf, throttling
from core.toolkit.api.errors import TooManyRequestsError
from tests.world import PASSWORD


@pytest.fixture
def rates(settings):
    """Set rates for one test; all others are off."""

    def set_rates(**rates):
        settings.API_THROTTLE_RATES = {
            **dict.fromkeys(("any", "start", "hook", "decide", "login")),
            **rates,
        }

    return set_rates


@pytest.fixture(autouse=True)
def _closed_breaker():
    throttling.BREAKER.record_success()
    yield
    throttling.BREAKER.record_success()


@pytest.fixture
def fay(town):
    """Return an account nobody has counted anything for yet; Redis forgets nothing in a test."""
    name = f"fay{ids.uuid7().hex[-12:]}"
    town.user(name, "requester", "approver", groups=("board",))
    return name


def _ident() -> str:
    return f"test:{ids.uuid7()}"


def _address() -> str:
    return str(ipaddress.IPv6Address(ids.uuid7().int))


def test_a_bucket_holds_its_count_and_then_says_when_to_come_back(rates):
    rates(any="3/3600")
    ident = _ident()

    waits = [throttling.take_turn(scope="any", ident=ident) for _ in range(5)]

    assert waits[:3] == [0, 0, 0]
    assert all(1100 < wait <= 1200 for wait in waits[3:])
    assert throttling.take_turn(scope="any", ident=_ident()) == 0


def test_being_refused_costs_nothing(rates):
    rates(any="1/3600")
    ident = _ident()
    throttling.take_turn(scope="any", ident=ident)

    first = throttling.take_turn(scope="any", ident=ident)
    later = [throttling.take_turn(scope="any", ident=ident) for _ in range(50)]

    assert max(later) <= first


def test_a_bucket_refills_with_time(rates):
    rates(any="1000/1")  # one request a millisecond
    ident = _ident()

    taken = sum(throttling.take_turn(scope="any", ident=ident) == 0 for _ in range(3000))

    assert taken > 1000


def test_scopes_are_counted_apart(rates):
    rates(any="1/3600", start="1/3600")
    ident = _ident()

    assert throttling.take_turn(scope="any", ident=ident) == 0
    assert throttling.take_turn(scope="start", ident=ident) == 0
    with pytest.raises(TooManyRequestsError) as caught:
        throttling.require_turn(scope="start", ident=ident)
    assert caught.value.details["retry_after_seconds"] > 0


@pytest.mark.parametrize("text", ["", "10", "10/minute", "10/0", "-1/60", "1/60/2"])
def test_a_rate_that_cannot_be_read_is_refused(rates, text):
    rates(any=text)

    with pytest.raises(ImproperlyConfigured):
        conf.read_rate(scope="any")


def test_every_scope_has_a_rate_unless_a_setting_says_otherwise(settings):
    settings.API_THROTTLE_RATES = {"start": "7/60", "any": None}

    assert conf.read_rate(scope="any") is None
    assert conf.read_rate(scope="start") == conf.Rate(count=7, seconds=60)
    assert conf.read_rate(scope="login") is not None
    with pytest.raises(KeyError):
        conf.read_rate(scope="nope")


def test_a_caller_over_its_rate_is_told_when_to_come_back(town, fay, rates, problem):
    rates(any="2/3600")
    caller = town.as_(fay)
    assert [caller.get("me/").status_code for _ in range(2)] == [200, 200]

    response = caller.get("me/")

    body = problem(response, 429, "api.throttled")
    assert 1700 < int(response["Retry-After"]) <= 1800
    assert int(response["Retry-After"]) >= body["retry_after_seconds"]
    assert town.as_("ann").get("me/").status_code == 200


def test_a_new_token_is_no_new_caller(town, fay, rates, problem):
    rates(any="1/3600")
    assert town.as_(fay).get("me/").status_code == 200
    town.callers.clear()

    problem(town.as_(fay).get("me/"), 429, "api.throttled")


def test_starting_has_a_rate_of_its_own(town, fay, rates, problem):
    rates(start="1/3600")
    flow = town.flow()
    caller = town.as_(fay)
    path = f"workflows/{town.slug}/{flow}/runs/"
    assert caller.post(path, {}).status_code == 201

    problem(caller.post(path, {}), 429, "api.throttled")
    assert caller.get("runs/").status_code == 200


def test_deciding_has_a_rate_of_its_own(town, fay, rates, problem):
    rates(decide="1/3600")
    request = town.request()
    assert town.decide(request, fay).status_code == 200

    problem(town.decide(request, fay), 429, "api.throttled")
    assert town.as_(fay).get(f"requests/{request.pk}/").status_code == 200


def test_passwords_are_tried_only_so_often_for_one_name(town, fay, rates, nobody, problem):
    rates(login="2/3600")
    sent = {"username": fay, "password": "wrong"}
    for _ in range(2):
        nobody.client.defaults["REMOTE_ADDR"] = _address()
        problem(nobody.post("auth/token/", sent), 401, "identity.password_refused")
    nobody.client.defaults["REMOTE_ADDR"] = _address()

    right = nobody.post("auth/token/", {**sent, "username": fay.upper(), "password": PASSWORD})

    problem(right, 429, "api.throttled")


def test_passwords_are_tried_only_so_often_from_one_address(town, fay, rates, nobody, problem):
    rates(login="2/3600")
    nobody.client.defaults["REMOTE_ADDR"] = _address()
    for _ in range(2):
        sent = {"username": ids.uuid7().hex, "password": "wrong"}
        problem(nobody.post("auth/token/", sent), 401, "identity.password_refused")

    response = nobody.post("auth/token/", {"username": fay, "password": PASSWORD})

    problem(response, 429, "api.throttled")


def test_without_redis_requests_go_on(town, rates, settings):
    rates(any="1/3600")
    caller = town.as_("mara")
    settings.REDIS_URL = "unix:///nonexistent/redis.sock"

    statuses = [caller.get("me/").status_code for _ in range(5)]

    assert statuses == [200] * 5
    assert throttling.BREAKER.skip_count > 0
