"""Tokens: made once, shown once, checked each time."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.identity.domain.errors import (
    AccessForbiddenError,
    IdentityMissingError,
    InactiveAccountError,
    TooManyTokensError,
)
from core.identity.models import ApiToken, User
from core.identity.services import people
from core.identity.services.tokens import create_token, revoke_token
from core.identity.tokens import verify_token
from core.kernel import limits
from core.kernel.record import ActorKind
from tests.integration.identity.expecting import NOBODY, problems_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(org):
    """Somebody without any role."""
    return org.user("ada")


# --- making ----------------------------------------------------------------------------------


def test_the_secret_is_shown_once_and_only_its_digest_is_kept(org, ada, recall):
    token, secret = create_token(principal=org.principal(ada), name="laptop")

    assert secret.startswith("cs_")
    assert len(secret) == 67
    row = ApiToken.objects.filter(pk=token.pk).values().get()
    assert secret not in str(row)
    assert secret not in str(recall("identity"))
    assert row["token_key"] == secret[:15]
    assert len(row["digest"]) == 128
    lifetime = row["expiry"] - datetime.now(UTC)
    assert timedelta(days=89, hours=23) < lifetime <= timedelta(days=90)
    entry = recall("identity")[-1]
    assert (entry.kind, entry.subject) == ("token.created", str(token.pk))
    assert entry.data == {
        "user": str(ada.pk),
        "permissions": None,
        "project": None,
        "lifetime_seconds": 90 * 24 * 3600,
    }


def test_two_tokens_differ(org, ada):
    principal = org.principal(ada)

    assert (
        create_token(principal=principal, name="a")[1]
        != (create_token(principal=principal, name="a")[1])
    )


def test_a_token_can_be_narrowed(org, ada):
    token, _ = create_token(
        principal=org.principal(ada),
        name="ci",
        permissions=["view_workflow", "trigger_workflow", "view_workflow"],
        project_id=org.pay.pk,
        lifetime=timedelta(minutes=5),
    )

    grant = org.principal(ada, token=token).token
    assert grant.permissions == {"view_workflow", "trigger_workflow"}
    assert grant.project_id == org.pay.pk
    assert org.principal(ada, token=token).origin.auth == "token"


def test_a_bad_token_is_refused_with_every_problem(org, ada):
    principal = org.principal(ada)

    assert problems_of(
        lambda: create_token(
            principal=principal, name="", permissions=["fly"], lifetime=timedelta(0)
        )
    ) == ["/name", "/permissions/0", "/lifetime"]
    too_long = limits.TOKEN_LIFETIME_MAX + timedelta(seconds=1)
    assert problems_of(lambda: create_token(principal=principal, name="x", lifetime=too_long)) == [
        "/lifetime"
    ]
    create_token(principal=principal, name="x", lifetime=limits.TOKEN_LIFETIME_MAX)
    with pytest.raises(IdentityMissingError):
        create_token(principal=principal, name="x", project_id=NOBODY)


def test_an_account_has_a_bounded_number_of_live_tokens(org, ada):
    rows = [
        ApiToken(user=ada, name="t", digest=str(number), token_key="k", expiry=expiry)
        for number, expiry in enumerate(
            [datetime.now(UTC) + timedelta(days=1)] * (limits.TOKEN_COUNT_MAX - 1)
            + [datetime(2020, 1, 1, tzinfo=UTC)] * 3
        )
    ]
    ApiToken.objects.bulk_create(rows)
    principal = org.principal(ada)

    create_token(principal=principal, name="last")
    with pytest.raises(TooManyTokensError):
        create_token(principal=principal, name="one more")


def test_a_token_cannot_make_another_for_its_own_account(org, ada, recall):
    token, _ = create_token(principal=org.principal(ada), name="a")
    with_token = org.principal(ada, token=token)

    for terms in ({}, {"user_id": ada.pk}):
        with pytest.raises(AccessForbiddenError) as refusal:
            create_token(principal=with_token, name="b", **terms)
        assert "sign in" in str(refusal.value)
    assert recall("access")[-1].reason == "denial"
    assert ApiToken.objects.count() == 1


def test_nobody_makes_tokens_for_another_human(org, ada, admin):
    with pytest.raises(AccessForbiddenError) as refusal:
        create_token(principal=admin, user_id=ada.pk, name="mine now")

    assert "another human" in str(refusal.value)
    create_token(principal=admin, name="my own")
    create_token(principal=org.system, user_id=ada.pk, name="from the command line")


@pytest.mark.parametrize("kind", [ActorKind.SERVICE, ActorKind.AGENT])
def test_tokens_of_machines_take_a_permission_even_of_their_owner(org, ada, admin, kind):
    machine = org.machine("ci", kind=kind, owner=ada)

    with pytest.raises(AccessForbiddenError):
        create_token(principal=org.principal(ada), user_id=machine.pk, name="ci")
    token, secret = create_token(principal=admin, user_id=machine.pk, name="ci")

    assert token.created_by_id == admin.user_id
    assert verify_token(secret) == (machine, token)


def test_a_deactivated_account_gets_no_tokens(org, ada, admin):
    machine = org.machine("ci", kind=ActorKind.SERVICE, owner=ada)
    before = org.principal(ada)
    for user in (machine, ada):
        people.deactivate_user(principal=org.system, user_id=user.pk)

    with pytest.raises(InactiveAccountError):
        create_token(principal=admin, user_id=machine.pk, name="ci")
    with pytest.raises(InactiveAccountError):
        create_token(principal=before, name="ci")
    with pytest.raises(IdentityMissingError):
        create_token(principal=admin, user_id=NOBODY, name="ci")


# --- revoking --------------------------------------------------------------------------------


def test_ones_own_token_is_revoked_even_with_itself(org, ada, recall):
    token, secret = create_token(principal=org.principal(ada), name="a", permissions=[])

    revoke_token(principal=org.principal(ada, token=token), token_id=token.pk)

    assert verify_token(secret) is None
    entry = recall("identity")[-1]
    assert (entry.kind, entry.subject) == ("token.revoked", entry.data["token"])
    with pytest.raises(IdentityMissingError):
        revoke_token(principal=org.principal(ada), token_id=NOBODY)


def test_tokens_of_others_are_revoked_with_a_permission(org, ada, admin):
    token, secret = create_token(principal=org.principal(ada), name="a")

    with pytest.raises(AccessForbiddenError):
        revoke_token(principal=org.principal(org.user("bob")), token_id=token.pk)
    assert verify_token(secret) is not None
    revoke_token(principal=admin, token_id=token.pk)
    assert verify_token(secret) is None


# --- verifying -------------------------------------------------------------------------------


def test_a_secret_leads_to_its_account_and_token(org, ada):
    token, secret = create_token(principal=org.principal(ada), name="a")

    assert verify_token(secret) == (ada, token)


def test_a_secret_that_differs_in_any_character_does_not_hold(org, ada):
    _, secret = create_token(principal=org.principal(ada), name="a")

    for index in range(len(secret)):
        other = "0" if secret[index] != "0" else "1"
        assert verify_token(secret[:index] + other + secret[index + 1 :]) is None
    assert verify_token(secret) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cs_",
        "cs_" + "g" * 64,
        "cs_" + "0" * 63,
        "cs_" + "0" * 65,
        "xx_" + "0" * 64,
        "cs_" + "0" * 63 + "\n",
        "cs_" + "0" * 64 + "\n",
        "cs_" + "\x00" * 64,
        "cs_" + "é" * 64,
    ],
)
def test_what_has_not_the_form_of_a_secret_is_refused_without_asking_the_database(
    text, django_assert_num_queries
):
    with django_assert_num_queries(0):
        assert verify_token(text) is None


def test_an_expired_token_does_not_hold(org, ada):
    token, secret = create_token(principal=org.principal(ada), name="a")
    assert verify_token(secret) is not None

    ApiToken.objects.filter(pk=token.pk).update(expiry=datetime(2020, 1, 1, tzinfo=UTC))

    assert verify_token(secret) is None
    assert ApiToken.objects.filter(pk=token.pk).exists()


def test_a_token_of_an_inactive_account_does_not_hold(org, ada):
    _, secret = create_token(principal=org.principal(ada), name="a")

    User.objects.filter(pk=ada.pk).update(is_active=False)

    assert verify_token(secret) is None


def test_two_tokens_with_the_same_beginning_are_told_apart(org, ada):
    bob = org.user("bob")
    one, secret_of_one = create_token(principal=org.principal(ada), name="a")
    other, secret_of_other = create_token(principal=org.principal(bob), name="b")
    ApiToken.objects.filter(pk=other.pk).update(token_key=secret_of_one[:15])

    assert verify_token(secret_of_one) == (ada, one)
    assert verify_token(secret_of_other) is None


def test_use_is_noted_at_most_once_a_minute(org, ada):
    token, secret = create_token(principal=org.principal(ada), name="a")

    def use():
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert verify_token(secret) is not None
        return len(queries), ApiToken.objects.get(pk=token.pk).last_used_at

    count, first = use()
    assert (count, first is not None) == (2, True)
    assert use() == (1, first)
    long_ago = first - timedelta(seconds=limits.TOKEN_USE_SECONDS)
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=long_ago)
    count, second = use()
    assert count == 2
    assert second >= first
