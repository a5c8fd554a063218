"""The action `email/send@1`: mail to people and groups. Read `SPEC` first."""

import hashlib
import smtplib
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from core.identity.domain.permissions import Permission
from core.identity.selectors.addresses import find_addresses
from core.kernel.limits import MAIL_RECIPIENT_COUNT_MAX, MAIL_SUBJECT_CHARS_MAX, MAIL_TEXT_CHARS_MAX
from core.kernel.types import Json
from engine import conf
from engine.actions.contract import (
    INVALID,
    PERMANENT,
    TIMEOUT,
    TRANSIENT,
    ActionCall,
    ActionError,
    ActionSpec,
    check_arguments,
    object_schema,
    one_line,
    recordable,
)
from engine.models import Run

_ADDRESS = (
    r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z"
)


def send_mail(call: ActionCall) -> Json:
    """Send one mail to each recipient: accounts, members of groups, and addresses.

    Accounts get mail if they are active and may view the workflow of the run; of the members of a
    group, those do. A name that leads to nobody so is refused, in the same words whether there is
    such a name or not. An address given as `to` needs its domain in `MAIL_DOMAINS_ALLOWED`.
    Members who may not see the workflow, and whoever has no address, get none and are counted.
    Each mail has a `Message-ID` made of the attempt's key and the recipient, so that a mail sent
    twice is recognized.

    Returns:
        `{sent_count, skipped_count}`.

    Raises:
        ActionError: `invalid` for wrong arguments, names that lead to nobody, a domain that is not
            allowed and a list without anybody; `timeout`, after some of the mails; `transient` when
            the mail server cannot be reached or says "later"; `permanent` when it refuses.
    """
    ends = time.monotonic() + call.attempt.timeout_seconds
    arguments = cast("Mapping[str, Any]", call.arguments)
    check_arguments(SPEC.input_validator, call.arguments)
    addresses, skipped_count = _recipients(arguments, run_id=call.attempt.run_id)
    messages = [_compose(arguments, to=to, key=call.attempt.idempotency_key) for to in addresses]
    _send(messages, call, ends=ends)
    return recordable({"sent_count": len(messages), "skipped_count": skipped_count})


def _send(messages: Sequence[EmailMessage], call: ActionCall, *, ends: float) -> None:
    sent_count = 0
    # One silence of the server may last no longer than all of it.
    patience = max(0.001, min(settings.EMAIL_TIMEOUT, ends - time.monotonic()))
    try:
        with get_connection(timeout=patience) as connection:
            for message in messages:
                if time.monotonic() >= ends:
                    raise _late(sent_count, len(messages))
                if call.attempt.is_cancelled:
                    raise ActionError(
                        PERMANENT, f"Nobody needs it any more: {sent_count} mails were sent."
                    )
                message.connection = connection
                message.send()
                sent_count += 1
                call.attempt.heartbeat()
    except (smtplib.SMTPServerDisconnected, smtplib.SMTPConnectError, OSError) as error:
        if time.monotonic() >= ends:
            raise _late(sent_count, len(messages)) from error
        raise ActionError(_kind_of(error), f"The mail server: {one_line(str(error))}") from error


def _late(sent_count: int, count: int) -> ActionError:
    return ActionError(TIMEOUT, f"The time was over when {sent_count} of {count} mails were sent.")


def _recipients(arguments: Mapping[str, Any], *, run_id: str) -> tuple[Sequence[str], int]:
    found = find_addresses(
        usernames=arguments.get("users", []),
        group_names=arguments.get("groups", []),
        permission=Permission.VIEW_WORKFLOW,
        scope_id=Run.objects.values_list("workflow__scope_id", flat=True).get(pk=UUID(run_id)),
    )
    if found.unreached:
        raise ActionError(
            INVALID,
            f"The {found.unreached[0]} leads to nobody who is active and may view this workflow.",
        )
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
