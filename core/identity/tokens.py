"""From the secret a client sends to the account it is for. Read `verify_token`."""

import re
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Final

from django.db.models import Q
from django.db.models.functions import Now
from knox.crypto import hash_token
from knox.settings import CONSTANTS

from core.identity.models import ApiToken, User
from core.kernel import limits

PREFIX: Final = "cs_"  # lets scanners of leaked secrets recognise ours
_SECRET: Final = re.compile(r"cs_[0-9a-f]{64}")


def verify_token(secret: str) -> tuple[User, ApiToken] | None:
    """Return the account and the token of a secret, or `None` if it does not hold.

    It holds if its digest is stored, it has not expired by the database's clock, and its account
    is active; which of these failed is not told. The first characters of the secret find the
    candidate; the comparison of the whole takes the same time wherever the digests differ. One
    query, and at most once a minute a second one, which notes that the token was used.
    """
    if _SECRET.fullmatch(secret) is None:
        return None
    digest = hash_token(secret)
    candidates = (
        ApiToken.objects.filter(
            token_key=secret[: CONSTANTS.TOKEN_KEY_LENGTH], expiry__gt=Now(), user__is_active=True
        )
        .select_related("user")
        .annotate(read_at=Now())
    )
    for token in candidates:
        if compare_digest(digest, token.digest):
            _note_use(token, read_at=token.read_at)
            return token.user, token
    return None


def _note_use(token: ApiToken, *, read_at: datetime) -> None:
    old = timedelta(seconds=limits.TOKEN_USE_SECONDS)
    if token.last_used_at is not None and read_at - token.last_used_at < old:
        return
    # The condition again: of several requests at once only the first one writes.
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=Now() - old)
    ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=Now())
