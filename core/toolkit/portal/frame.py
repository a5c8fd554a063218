"""The frame around every page: navigation, who is signed in, the theme. Read `NavItem` first.

Packages above add their places with `register_nav` in `ready()`. `describe_frame` is the context
processor; it is lazy, so that a page without a frame asks nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from core.identity.domain.principal import Principal

THEMES: Final = ("system", "light", "dark")
THEME_COOKIE: Final = "theme"
COUNT_SHOWN_MAX: Final = 99

Counter = Callable[[Principal], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NavItem:
    """A place in the navigation.

    `group` is the heading it stands under. `count` says how many things wait there; it costs
    queries on every page, so it must be cheap and constant. `phone` puts it in the bottom bar.
    """

    key: str
    label: str
    icon: str
    url_name: str
    group: str
    position: int
    count: Counter | None = field(default=None)
    phone: bool = True
    is_shown: Callable[[Principal], bool] | None = field(default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class NavLink:
    """A place as the template shows it; `count` is "" for nothing."""

    key: str
    label: str
    icon: str
    url: str
    count: str
    phone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the frame shows. `groups` are headings with their places, in order."""

    groups: tuple[tuple[str, tuple[NavLink, ...]], ...]
    links: tuple[NavLink, ...]
    name: str
    username: str
    kind: str

    @property
    def places(self) -> frozenset[str]:
        """The keys of the places this person may go to, for links from other pages."""
        return frozenset(link.key for link in self.links)


_ITEMS: Final[dict[str, NavItem]] = {}


def register_nav(item: NavItem) -> None:
    """Add a place to every page's navigation; called in `ready()`."""
    assert item.key not in _ITEMS, f"the place {item.key!r} is registered twice"
    _ITEMS[item.key] = item


def make_frame(principal: Principal) -> Frame:
    """Return the frame for somebody; as many queries as the registered counts need."""
    items = sorted(_ITEMS.values(), key=lambda item: item.position)
    shown = [item for item in items if item.is_shown is None or item.is_shown(principal)]
    links = {item.key: _link(item, principal) for item in shown}
    headings = list(dict.fromkeys(item.group for item in shown))
    groups = tuple(
        (heading, tuple(links[item.key] for item in shown if item.group == heading))
        for heading in headings
    )
    return Frame(
        groups=groups,
        links=tuple(links.values()),
        name=principal.name,
        username=principal.username,
        kind=principal.kind.value,
    )


def read_theme(request: HttpRequest) -> str:
    """Return the theme the visitor chose, "system" if none or nonsense."""
    theme = request.COOKIES.get(THEME_COOKIE, "")
    return theme if theme in THEMES else "system"


def describe_frame(request: HttpRequest) -> dict[str, object]:
    """Give templates `theme` and, for who is signed in, `frame`."""
    principal = getattr(request, "principal", None)
    context: dict[str, object] = {"theme": read_theme(request)}
    if isinstance(principal, Principal):
        context["frame"] = SimpleLazyObject(lambda: make_frame(principal))
    return context


def _link(item: NavItem, principal: Principal) -> NavLink:
    count = item.count(principal) if item.count else 0
    shown = f"{COUNT_SHOWN_MAX}+" if count > COUNT_SHOWN_MAX else str(count or "")
    return NavLink(
        key=item.key,
        label=item.label,
        icon=item.icon,
        url=reverse(item.url_name),
        count=shown,
        phone=item.phone,
    )
