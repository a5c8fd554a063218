"""Answers for many things at once agree with the answer for each of them."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Group
from django.contrib.auth.models import Permission as PermissionRow
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.identity.authorize import authorize
from core.identity.domain.permissions import BUILTIN_ROLES, SHAREABLE, Permission, ScopeKind
from core.identity.models import (
    ApiToken,
    Person,
    Project,
    ProjectGroupShare,
    ProjectUserShare,
    Role,
    RoleAssignment,
    Scope,
    User,
)
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.selectors.access import (
    find_holders,
    list_audience_keys,
    list_holder_keys,
    list_scopes,
)
from core.identity.selectors.principals import get_principal, make_origin
from core.kernel.record import ActorKind, Via

PAST, FUTURE = datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1)
PLACES = ("global", "p0", "p1", "w0", "w1")
HOLDERS = ("user", "team", "other-team")

assignments = st.lists(
    st.tuples(
        st.sampled_from(sorted(BUILTIN_ROLES)),
        st.sampled_from(PLACES),
        st.sampled_from(HOLDERS),
        st.sampled_from((None, PAST, FUTURE)),
    ),
    max_size=4,
    unique_by=lambda item: item[:3],
)
shares = st.lists(
    st.tuples(st.sampled_from(SHAREABLE), st.sampled_from(("p0", "p1")), st.sampled_from(HOLDERS)),
    max_size=2,
    unique=True,
)
tokens = st.none() | st.fixed_dictionaries(
    {
        "permissions": st.none() | st.lists(st.sampled_from(Permission), max_size=6, unique=True),
        "project": st.none() | st.sampled_from(("p0", "p1")),
        "expiry": st.sampled_from((FUTURE, FUTURE, PAST)),
    }
)
kinds = st.sampled_from((ActorKind.PERSON, ActorKind.PERSON, ActorKind.SERVICE, ActorKind.AGENT))
lively = st.sampled_from((True, True, True, False))


def store(model, **fields):
    """Store a row without the log of settings, which is not what is tested and takes longest."""
    return model.objects.bulk_create([model(**fields)])[0]


def build(*, kind, is_active, given_roles, given_shares, token):
    """Store an account with what it was given, and return it with the scopes there are."""
    person = store(Person, name="A")
    user = store(User, username="ada", person=person, kind=kind, is_active=is_active)
    teams = {name: store(Group, name=name) for name in ("team", "other-team")}
    store(User.groups.through, user=user, group=teams["team"])
    scopes = {"global": Scope.objects.get(pk=GLOBAL_SCOPE_ID)}
    projects = {}
    for slug, flow in (("p0", "w0"), ("p1", "w1")):
        scopes[slug] = store(Scope, kind=ScopeKind.PROJECT, parent=scopes["global"])
        scopes[flow] = store(Scope, kind=ScopeKind.WORKFLOW, parent=scopes[slug])
        projects[slug] = store(Project, slug=slug, title="P", scope=scopes[slug])
    roles = {role.slug: role for role in Role.objects.all()}
    for role, place, holder, expires_at in given_roles:
        who = {"user": user} if holder == "user" else {"group": teams[holder]}
        terms = {"role": roles[role], "scope": scopes[place], "expires_at": expires_at}
        store(RoleAssignment, **terms, **who)
    for permission, slug, holder in given_shares:
        row = PermissionRow.objects.get_by_natural_key(permission, "identity", "project")
        terms = {"permission": row, "content_object": projects[slug]}
        if holder == "user":
            store(ProjectUserShare, user=user, **terms)
        else:
            store(ProjectGroupShare, group=teams[holder], **terms)
    stored = None
    if token is not None:
        stored = store(
            ApiToken,
            user=user,
            name="t",
            digest="d",
            token_key="k",
            expiry=token["expiry"],
            permissions=token["permissions"],
            project=projects.get(token["project"]),
        )
    origin = make_origin(user=user, via=Via.API, auth="token")
    principal = get_principal(user=user, origin=origin, token=stored)
    return SimpleNamespace(user=user, principal=principal, scopes=scopes)


def covered(scope_set, scope):
    return scope_set.covers(scope_id=scope.pk, parent_id=scope.parent_id)


@pytest.mark.django_db
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    kind=kinds,
    is_active=lively,
    given_roles=assignments,
    given_shares=shares,
    token=tokens,
    permissions=st.lists(st.sampled_from(Permission), min_size=6, max_size=6, unique=True),
)
def test_a_list_shows_a_thing_if_and_only_if_authorize_allows_it(
    kind, is_active, given_roles, given_shares, token, permissions
):
    with transaction.atomic():
        world = build(
            kind=kind,
            is_active=is_active,
            given_roles=given_roles,
            given_shares=given_shares,
            token=token,
        )

        for permission in {*permissions, *SHAREABLE}:
            listed = list_scopes(principal=world.principal, permission=permission)
            for place, scope in world.scopes.items():
                answer = authorize(
                    principal=world.principal, permission=permission, scope_id=scope.pk
                )
                assert covered(listed, scope) is answer.allowed, (place, permission, answer)
            assert listed.is_empty() is not any(
                covered(listed, scope) for scope in world.scopes.values()
            )
        transaction.set_rollback(True)


@pytest.mark.django_db
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    kind=kinds,
    is_active=lively,
    given_roles=assignments,
    given_shares=shares,
    permission=st.sampled_from(Permission),
    shared=st.sampled_from(SHAREABLE),
)
def test_holders_and_audiences_agree_with_authorize(
    kind, is_active, given_roles, given_shares, permission, shared
):
    with transaction.atomic():
        world = build(
            kind=kind,
            is_active=is_active,
            given_roles=given_roles,
            given_shares=given_shares,
            token=None,
        )
        mine = set(list_audience_keys(principal=world.principal))

        for asked in (permission, shared):
            for scope in world.scopes.values():
                answer = authorize(principal=world.principal, permission=asked, scope_id=scope.pk)
                holders = find_holders(permission=asked, scope_id=scope.pk)
                assert [item.user_id for item in holders] == (
                    [world.user.pk] if answer.allowed else []
                )
                meets = bool(mine & set(list_holder_keys(permission=asked, scope_id=scope.pk)))
                if answer.allowed and answer.step == "role":
                    assert meets
                if meets:
                    assert answer.allowed or answer.step == "denial"
        transaction.set_rollback(True)
