"""Writes what the reference says of the API out of the code. Read `render_errors` first."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer

from core.kernel.errors import PlatformError, list_errors
from core.toolkit.api.errors import TYPE_PREFIX, status_of

PACKAGES: Final = ("core", "audit", "engine", "approvals", "countersign")
# Importing these configures a process.
_SKIPPED: Final = ("core.settings", "core.asgi", "countersign.__main__", "core.supervisor")

_HEAD: Final = f"""\
# Errors

<!-- Written by `manage.py write_reference`; do not edit. -->

Every error of the API is `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)):

```json
{{
  "type": "{TYPE_PREFIX}engine.run_closed",
  "title": "The run is closed; nothing can be added to it.",
  "status": 409,
  "detail": "The run is closed; nothing can be added to it.",
  "code": "engine.run_closed",
  "instance": "/api/v1/runs/01890a5d-ac96-774b-bcce-b302099a8057/cancel/",
  "request_id": "01890a5d-b1f2-7d7e-9a51-6a4c2d0e8f11"
}}
```

Branch on `code`: it never changes its meaning. `title` says what the code means, `detail` what
happened this time. `request_id` is what our log knows the request by. Where an input is wrong,
`errors` lists every problem: `path` is a JSON pointer into the body (or into the definition, with
`line` and `column`), `query:<name>` or `header:<name>`. Some codes add members of their own.

Reading what you may not see is 404; acting without permission is 403. 401 comes with
`WWW-Authenticate`, 429 and 503 with `Retry-After` in seconds.
"""


def render_errors() -> str:
    """Return docs/reference/errors.md: every error code, with its status and meaning."""
    parts = [_HEAD]
    for area, group in groupby(list_platform_errors(), key=lambda item: item.code.split(".")[0]):
        parts.append(f"\n## {area}\n\n| code | status | meaning | when |\n|---|---|---|---|\n")
        parts.extend(_row(error) for error in group)
    return "".join(parts)


def render_openapi() -> str:
    """Return docs/reference/openapi.yaml, the document served at /api/schema/."""
    generator: Any = SchemaGenerator
    renderer: Any = OpenApiYamlRenderer
    schema = generator().get_schema(request=None, public=True)
    rendered: bytes = renderer().render(schema, renderer_context={})
    return rendered.decode()


def list_platform_errors() -> list[type[PlatformError]]:
    """Return every error class of the platform that has a code, by code."""
    for name in _list_modules():
        importlib.import_module(name)
    ours = {
        error for error in list_errors() if error.__module__.split(".", maxsplit=1)[0] in PACKAGES
    }
    return sorted(ours, key=lambda error: error.code)


def _list_modules() -> Iterator[str]:
    for package in PACKAGES:
        found: Any = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, prefix=f"{package}."):
            if not module.name.startswith(_SKIPPED) and ".migrations" not in module.name:
                yield module.name


def _row(error: type[PlatformError]) -> str:
    status = status_of(error)
    when = inspect.getdoc(error) or ""
    first = " ".join(when.split("\n\n", maxsplit=1)[0].split()).replace("|", "\\|")
    return f"| `{error.code}` | {status} | {error.title} | {first} |\n"
