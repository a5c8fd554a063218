"""Other runs where a run's page names them. Read `mention_run`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.urls import reverse

from engine.portal.statuses import Chip, describe_run
from engine.selectors.run_links import RunLink

_HIDDEN = "a run that you may not see"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMention:
    """Another run. `href` is "" and `chip` is `None` if the reader may not see it."""

    words: str
    href: str
    title: str = ""
    chip: Chip | None = None


def mention_run(link: RunLink, *, now: datetime) -> RunMention:
    """Return a run as it is named, with where it stands."""
    if link.number is None:
        return RunMention(words=_HIDDEN, href="")
    chip = (
        describe_run(status=link.status, outcome=link.outcome, waiting_count=None, now=now)
        if link.status
        else None  # how it stood then is on its own record
    )
    return RunMention(
        words=f"run {link.number}",
        href=reverse("engine_portal:run", args=(link.id,)),
        title=link.title,
        chip=chip,
    )


def mention_known(run_id: UUID, links: Mapping[UUID, RunLink], *, now: datetime) -> RunMention:
    """Return a run that is on the record; of one nobody looked up, only where it is."""
    link = links.get(run_id)
    if link is None:
        return RunMention(words="another run", href=reverse("engine_portal:run", args=(run_id,)))
    return mention_run(link, now=now)
