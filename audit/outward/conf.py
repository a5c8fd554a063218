"""Settings of anchors and sinks, read when asked. Read `anchors` and `sinks`.

`core.settings.outward` has checked their shapes when the process started.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from audit.conf import ledger_origin
from audit.outward.targets import (
    AnchorTarget,
    Confirm,
    Endpoint,
    FileAnchor,
    Format,
    HttpsSink,
    SinkTarget,
    SyslogSink,
    WebhookAnchor,
    WitnessAnchor,
)

_SYSLOG_PORT = 6514  # RFC 5425 §4.1
_MESSAGE_BYTES = 8_192  # what receivers should take. Source: RFC 5425 §4.3.1
# For documentation, and for those without a number of their own. Source: IANA, RFC 5612.
_ENTERPRISE = 32_473


def anchors() -> tuple[AnchorTarget, ...]:
    """Return where tree heads are kept, in the order of the setting; nowhere by default.

    Setting `LEDGER_ANCHORS`.
    """
    return tuple(_read_anchor(item) for item in getattr(settings, "LEDGER_ANCHORS", ()))


def sinks() -> tuple[SinkTarget, ...]:
    """Return where entries are forwarded to, in the order of the setting; nowhere by default.

    Setting `LEDGER_SINKS`.
    """
    return tuple(_read_sink(item) for item in getattr(settings, "LEDGER_SINKS", ()))


def anchor_seconds() -> int:
    """Return the least time between two tree heads of one anchor, in seconds; 300 by default.

    Setting `LEDGER_ANCHOR_SECONDS`.
    """
    return int(getattr(settings, "LEDGER_ANCHOR_SECONDS", 300))


def host_name() -> str:
    """Return the name people know this system by: what events say they come from.

    Setting `PUBLIC_URL`.
    """
    return urlsplit(settings.PUBLIC_URL).hostname or "localhost"


def origin() -> str:
    """Return the log's name. Setting `LEDGER_ORIGIN`."""
    return ledger_origin()


def source() -> str:
    """Return what names this ledger in events: the log's name."""
    return ledger_origin()


def _read_anchor(item: Mapping[str, Any]) -> AnchorTarget:
    name = str(item["name"])
    match item["kind"]:
        case "file":
            return FileAnchor(name=name, folder=str(item["folder"]))
        case "webhook":
            return WebhookAnchor(name=name, endpoint=_read_endpoint(item))
        case _:
            return WitnessAnchor(name=name, endpoint=_read_endpoint(item), vkey=str(item["vkey"]))


def _read_sink(item: Mapping[str, Any]) -> SinkTarget:
    name = str(item["name"])
    form = Format(item.get("format", Format.OCSF))
    kinds = tuple(item.get("kinds", ()))
    starts_now = item.get("start") == "now"
    if item["kind"] == "https":
        return HttpsSink(
            name=name,
            endpoint=_read_endpoint(item),
            format=form,
            kinds=kinds,
            starts_now=starts_now,
        )
    return SyslogSink(
        name=name,
        host=str(item["host"]),
        port=int(item.get("port", _SYSLOG_PORT)),
        format=form,
        kinds=kinds,
        starts_now=starts_now,
        is_private=bool(item.get("private", False)),
        ca_file=str(item.get("ca_file", "")),
        certificate_file=str(item.get("certificate_file", "")),
        key_file=str(item.get("key_file", "")),
        message_bytes_max=int(item.get("message_bytes_max", _MESSAGE_BYTES)),
        enterprise=int(item.get("enterprise", _ENTERPRISE)),
        confirm=Confirm(item.get("confirm", Confirm.NOTIFY)),
    )


def _read_endpoint(item: Mapping[str, Any]) -> Endpoint:
    return Endpoint(
        url=str(item["url"]),
        is_private=bool(item.get("private", False)),
        ca_file=str(item.get("ca_file", "")),
        is_signed="secret_env" in item or "secret_file" in item,
        secret=str(item.get("secret", "")),
        secret_file=str(item.get("secret_file", "")),
    )
