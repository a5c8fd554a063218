"""The action `email/send@1`: mail to people and groups. Read `SPEC` first."""

import hashlib
import smtplib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from core.identity.selectors.addresses import find_addresses
from core.kernel.limits import MAIL_RECIPIENT_COUNT_MAX, MAIL_SUBJECT_CHARS_MAX, MAIL_TEXT_CHARS_MAX
from core.kernel.types import Json
from engine import conf
from engine.actions.contract import (
    INVALID,
    PERMANENT,
    TRANSIENT,
    ActionCall,
    ActionError,
    ActionSpec,
    check_arguments,
    object_schema,
    one_line,
    recordable,
)

_ADDRESS = (
    r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z"
)


def send_mail(call: ActionCall) -> Json:
    """Send one mail to each recipient: accounts, members of groups, and addresses.

    An address that belongs to no account needs its domain in `MAIL_DOMAINS_ALLOWED`. Inactive
    accounts and those without an address get none and are counted. Each mail has a `Message-ID`
    made of the attempt's key and the recipient, so that a mail sent twice is recognized.

    Returns:
        `{sent_count, skipped_count}`.

    Raises:
        ActionError: `invalid` for wrong arguments, people and groups there are not, a domain that
            is not allowed and a list without anybody; `transient` when the mail server cannot be
            reached or says "later"; `permanent` when it refuses.
    """
    arguments = cast("Mapping[str, Any]", call.arguments)
    check_arguments(SPEC.input_validator, call.arguments)
    addresses, skipped_count = _recipients(arguments)
    messages = [_compose(arguments, to=to, key=call.attempt.idempotency_key) for to in addresses]
    try:
        with get_connection() as connection:
            for message in messages:
                message.connection = connection
                message.send()
    except (smtplib.SMTPServerDisconnected, smtplib.SMTPConnectError, OSError) as error:
        raise ActionError(_kind_of(error), f"The mail server: {one_line(str(error))}") from error
    return recordable({"sent_count": len(messages), "skipped_count": skipped_count})


def _recipients(arguments: Mapping[str, Any]) -> tuple[Sequence[str], int]:
    found = find_addresses(
        usernames=arguments.get("users", []), group_names=arguments.get("groups", [])
    )
    if found.unknown:
        raise ActionError(INVALID, f"There is no {found.unknown[0]}.")
    given: list[str] = arguments.get("to", [])
    domains = {domain.lower() for domain in conf.mail_domains_allowed()}
    for address in given:
        if address.rpartition("@")[2].lower() not in domains:
            raise ActionError(
                INVALID, f"with/to: {address} is outside MAIL_DOMAINS_ALLOWED of the deployment."
            )
    everybody = list(dict.fromkeys([*found.addresses, *given]))
    if not everybody:
        raise ActionError(INVALID, "The mail is for nobody: nobody named has an address.")
    if len(everybody) > MAIL_RECIPIENT_COUNT_MAX:
        raise ActionError(
            INVALID, f"The mail is for {len(everybody)}; at most {MAIL_RECIPIENT_COUNT_MAX}."
        )
    return everybody, found.skipped_count


def _compose(arguments: Mapping[str, Any], *, to: str, key: str) -> EmailMessage:
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip(">") or "localhost"
    identity = hashlib.sha256(f"{key}\n{to}".encode()).hexdigest()[:32]
    return EmailMessage(
        subject=one_line(arguments["subject"]),
        body=arguments.get("text", ""),
        to=[to],
        headers={"Message-ID": f"<{identity}@{domain}>", "Auto-Submitted": "auto-generated"},
    )


def _kind_of(error: Exception) -> str:
    """Return whether trying again may help. Source: RFC 5321 §4.2.1, 4xx are passing replies."""
    if isinstance(error, smtplib.SMTPResponseException):
        return TRANSIENT if error.smtp_code // 100 == 4 else PERMANENT  # noqa: PLR2004
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
        return TRANSIENT if all(code // 100 == 4 for code in codes) else PERMANENT  # noqa: PLR2004
    return TRANSIENT


_NAMES = {
    "type": "array",
    "maxItems": MAIL_RECIPIENT_COUNT_MAX,
    "items": {"type": "string", "minLength": 1, "maxLength": 150},
}

SPEC = ActionSpec(
    name="email/send",
    version=1,
    input_schema=object_schema(
        {
            "users": _NAMES,
            "groups": _NAMES,
            "to": {**_NAMES, "items": {"type": "string", "pattern": _ADDRESS}},
            "subject": {"type": "string", "minLength": 1, "maxLength": MAIL_SUBJECT_CHARS_MAX},
            "text": {"type": "string", "maxLength": MAIL_TEXT_CHARS_MAX},
        },
        required=("subject",),
        anyOf=[{"required": [key]} for key in ("users", "groups", "to")],
    ),
    output_schema=object_schema(
        {
            "sent_count": {"type": "integer", "minimum": 0},
            "skipped_count": {"type": "integer", "minimum": 0},
        },
        required=("sent_count", "skipped_count"),
    ),
    # A repeated mail has the same Message-ID, which mail programs show once.
    idempotent=True,
    pure=False,
    execute=send_mail,
)
