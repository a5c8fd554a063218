"""Sending messages to a syslog receiver over TLS. Read `send_messages`.

Syslog has no answers. What shows that a receiver has read everything is the end of the connection:
TLS delivers in order, so its `close_notify` in return for ours comes after all we sent. So each
batch has a connection of its own, and counts as sent only once that end was seen; whatever happens
before it, the whole batch is sent again. Source: RFC 5425 §4.4.
"""

import ssl
from collections.abc import Sequence

from audit.domain.syslog import frame
from audit.forwarding.channel import Channel
from audit.outward.errors import OutwardSettingError
from audit.outward.posting import REMEDY, Failure, allow, context_for
from audit.outward.targets import Confirm, SyslogSink
from core.kernel import limits
from core.kernel.clock import SYSTEM_CLOCK
from core.toolkit.outbound import OutboundError, connect


def send_messages(sink: SyslogSink, messages: Sequence[bytes]) -> Failure | None:
    """Send messages in order; return why they may not have arrived, `None` if they have."""
    label = f"{sink.host}:{sink.port}"
    ends = SYSTEM_CLOCK.monotonic() + limits.FORWARD_TIMEOUT_SECONDS
    try:
        context = _make_context(sink)
        plain = connect(
            policy=allow(sink.host, sink.port, is_private=sink.is_private),
            host=sink.host,
            port=sink.port,
            timeout_seconds=limits.FORWARD_TIMEOUT_SECONDS,
            remedy=REMEDY,
        )
    except (OutboundError, OutwardSettingError) as error:
        return Failure(reason=error.message)
    with plain:
        channel = Channel(plain, context=context, host=sink.host, ends=ends)
        try:
            channel.open()
            channel.send(frame(messages))
            return _end(channel, sink.confirm, label=label)
        except ssl.SSLCertVerificationError as error:
            return Failure(reason=f"{label} is not believed: {error.verify_message}.")
        except TimeoutError:
            return Failure(
                reason=f"{label} did not take a batch within {limits.FORWARD_TIMEOUT_SECONDS:g} s."
            )
        except OSError as error:
            return Failure(reason=f"{label}: {str(error) or type(error).__name__}")


def _make_context(sink: SyslogSink) -> ssl.SSLContext:
    if not sink.certificate_file:
        return context_for(sink.ca_file)
    # Its own object: the certificate is that of this sink.
    context = context_for.__wrapped__(sink.ca_file)
    try:
        context.load_cert_chain(sink.certificate_file, sink.key_file)
    except (OSError, ssl.SSLError) as error:
        raise OutwardSettingError(
            f"The certificate of {sink.name} cannot be read: {error}.", name=sink.name
        ) from error
    return context


def _end(channel: Channel, confirm: Confirm, *, label: str) -> Failure | None:
    """End the connection; return why that does not show that everything was read."""
    try:
        channel.close()
    except ssl.SSLEOFError:
        if confirm is Confirm.CLOSE and channel.is_all_taken():
            return None
        return Failure(
            reason=f"{label} ended the connection without its close_notify, so the batch is sent "
            'again; if it never sends one, set "confirm": "close".'
        )
    return None
