"""Signing in and out of one browser. `people.end_sessions` ends all sessions of an account."""

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase

from core.identity.acts import act
from core.identity.domain.principal import Principal
from core.identity.services.recording import record_act
from core.identity.services.revoking import announce_revocation


@act
def begin_session(*, principal: Principal) -> None:
    """Put on record that an account signed in; the doorway has checked the password.

    Transaction: one.
    """
    record_act(
        principal=principal,
        kind="session.begun",
        subject=principal.user_id,
        matched="its own password",
    )


@act
def end_session(*, principal: Principal, session: SessionBase) -> None:
    """End the session a principal came with, for good, and close the sockets opened with it.

    The account's other sessions, its tokens and their sockets stay.

    Args:
        principal: who signs out.
        session: the principal's own, as the middleware read it; it is empty afterwards, and the
            middleware then takes the cookie back.

    Transaction: one.
    """
    assert session.get(SESSION_KEY) == str(principal.user_id), "the session is somebody else's"
    session.flush()
    announce_revocation(user_ids=[principal.user_id])
    record_act(
        principal=principal,
        kind="session.ended",
        subject=principal.user_id,
        matched="its own session",
    )
