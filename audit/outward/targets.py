"""Where the ledger goes, as a deployment names it. Read `AnchorTarget` and `SinkTarget`."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias


class Format(StrEnum):
    """How an entry is said to another system."""

    ENTRY = "entry"  # its own bytes, with leaf index and leaf
    CLOUDEVENTS = "cloudevents"
    OCSF = "ocsf"


class Confirm(StrEnum):
    """What shows that a syslog receiver has everything it was sent."""

    NOTIFY = "notify"  # its own close_notify, after ours
    CLOSE = "close"  # that it closed the connection in order


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An address that is asked over HTTPS.

    `is_private` allows exactly its host and port inside the organization's network. `ca_file` has
    the certificates it is believed under, "" for the system's. What is posted is signed
    where `is_signed`, in the form of Standard Webhooks, with `secret` or what `secret_file` holds;
    both are empty in a process that is not given it.
    """

    url: str
    is_private: bool = False
    ca_file: str = ""
    is_signed: bool = False
    secret: str = field(default="", repr=False)
    secret_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAnchor:
    """A folder that keeps each tree head as a file of its own."""

    name: str
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAnchor:
    """An address tree heads are posted to."""

    name: str
    endpoint: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessAnchor:
    """A witness of C2SP tlog-witness. `vkey` is the line of its public key."""

    name: str
    endpoint: Endpoint
    vkey: str


AnchorTarget: TypeAlias = FileAnchor | WebhookAnchor | WitnessAnchor


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogSink:
    """A receiver of RFC 5424 messages over TLS, RFC 5425.

    `message_bytes_max` is the longest message it takes. `enterprise` is the number the structured
    data is named under. With `certificate_file` and `key_file` we show who we are.
    """

    name: str
    host: str
    port: int
    format: Format
    kinds: tuple[str, ...]
    starts_now: bool
    is_private: bool
    ca_file: str
    certificate_file: str
    key_file: str
    message_bytes_max: int
    enterprise: int
    confirm: Confirm


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsSink:
    """An address batches of entries are posted to."""

    name: str
    endpoint: Endpoint
    format: Format
    kinds: tuple[str, ...]
    starts_now: bool


SinkTarget: TypeAlias = SyslogSink | HttpsSink


def name_kind(target: AnchorTarget | SinkTarget) -> str:
    """Return the word for a target's kind, as the settings have it."""
    match target:
        case FileAnchor():
            return "file"
        case WebhookAnchor():
            return "webhook"
        case WitnessAnchor():
            return "witness"
        case SyslogSink():
            return "syslog"
        case HttpsSink():
            return "https"
