"""Settings of redaction, read when asked. Read `needs_second_person`."""

from django.conf import settings


def needs_second_person() -> bool:
    """Say whether an order to erase payloads takes the approval of a second person.

    Setting `REDACTION_SECOND_PERSON`; yes unless the deployment says otherwise.
    """
    return bool(getattr(settings, "REDACTION_SECOND_PERSON", True))
