"""Sealed entries as texts for other systems. Read `write_event`."""

import json
from collections.abc import Mapping

from audit.domain.entry import EntryView
from audit.domain.mapping import to_cloud_event, to_ocsf
from audit.outward.rows import SealedEntry
from audit.outward.targets import Format
from core.kernel.types import Json


def write_event(entry: SealedEntry, view: EntryView, *, form: Format, source: str) -> str:
    """Return an entry as one line of JSON.

    The form `entry` holds the entry's own canonical bytes, between its place and the end; the
    others are in ASCII, which every parser reads.

    Args:
        entry: the entry with its place.
        view: what its bytes say.
        form: CloudEvents, OCSF, or the entry itself.
        source: the URI of this ledger.
    """
    leaf = entry.leaf.hex()
    match form:
        case Format.ENTRY:
            place = f'"leaf_index":{entry.leaf_index},"leaf":"{leaf}"'
            return f'{{{place},"entry":{entry.body.decode()}}}'
        case Format.CLOUDEVENTS:
            return _dump(
                to_cloud_event(view, leaf_index=entry.leaf_index, source=source, leaf_hex=leaf)
            )
        case Format.OCSF:
            return _dump(to_ocsf(view, leaf_index=entry.leaf_index, source=source, leaf_hex=leaf))


def _dump(event: Mapping[str, Json]) -> str:
    return json.dumps(event, separators=(",", ":"))
