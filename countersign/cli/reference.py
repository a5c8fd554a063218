"""Writes docs/reference/cli.md out of the commands. Read `render_cli`."""

import inspect
from collections.abc import Iterator

import click

from countersign.cli.doorway import COMMON_OPTION_NAMES
from countersign.cli.errors import MEANINGS
from countersign.cli.main import countersign

_HEAD = """\
# The command line

<!-- Written by `manage.py write_reference`; do not edit. -->

`countersign`, or `python -m countersign` in a checkout. What to use it for:
[Keep definitions in git](../how-to/gitops.md).

## Where it goes, and for whom it speaks

`countersign login` checks a token and keeps it with the server's address in a profile, in
`$XDG_CONFIG_HOME/countersign/config.toml` (by default `~/.config`), readable by you alone. Options
come before variables, and variables before the file:

| variable | instead of |
|---|---|
| `COUNTERSIGN_URL` | `--url` |
| `COUNTERSIGN_TOKEN` | the profile's token; there is no option, because others see what is typed |
| `COUNTERSIGN_PROFILE` | `--profile` |
| `COUNTERSIGN_PROJECT` | `--project` |
| `NO_COLOR` | colors |

A profile's token is sent to that profile's server only, and never after a redirect.

## For programs

With `--json`, standard output holds JSON and nothing else: one document, or for `watch`, `logs` and
`run --watch` one object a line. Documents are those of the [API](openapi.yaml) where a command
shows what the API answers; keys are added, never renamed. What goes wrong is
`{"error": {"code", "message", "status", "problems"}}`, with `status` and `problems` where there are
any. Codes that do not begin with `cli.` or `client.` are [the server's](errors.md).

| exit code | means |
|---|---|
"""
_COMMON = """
Every command takes `--project` (`-p`), `--url`, `--profile`, `--request-timeout` and `--json`.
"""


def render_cli() -> str:
    """Return docs/reference/cli.md: every command with its arguments and options."""
    codes = "".join(f"| {code.value} | {said} |\n" for code, said in MEANINGS.items())
    parts = [_HEAD, codes, "\n## Commands\n", _COMMON]
    parts += list(_sections(countersign, ("countersign",)))
    return "".join(parts)


def _sections(group: click.Group, names: tuple[str, ...]) -> Iterator[str]:
    for name, item in sorted(group.commands.items()):
        if isinstance(item, click.Group):
            yield from _sections(item, (*names, name))
        else:
            yield _section(item, (*names, name))


def _section(item: click.Command, names: tuple[str, ...]) -> str:
    arguments = [part for part in item.params if isinstance(part, click.Argument)]
    options = [
        part
        for part in item.params
        if isinstance(part, click.Option) and part.name not in COMMON_OPTION_NAMES
    ]
    usage = [*names, *(["[OPTIONS]"] if options else []), *map(_shown, arguments)]
    text = inspect.cleandoc(item.help or "")
    parts = [f"\n### {' '.join(names[1:])}\n\n```\n{' '.join(usage)}\n```\n\n{text}\n"]
    if options:
        parts.append("\n| option | means |\n|---|---|\n")
        parts.extend(_row(option) for option in options)
    return "".join(parts)


def _shown(argument: click.Argument) -> str:
    return str(argument.metavar or argument.name or "").upper()


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    takes = "" if option.is_flag else f" {_takes(option)}"
    default = option.default
    tail = f" By default {default}." if option.show_default and default is not None else ""
    said = f"{option.help or ''}{tail}".strip().replace("|", "\\|")
    return f"| {names}{takes} | {said} |\n"


def _takes(option: click.Option) -> str:
    if option.metavar:
        return option.metavar.replace("|", "\\|")
    if isinstance(option.type, click.Choice):
        return " \\| ".join(map(str, option.type.choices))
    return str(option.type.name).upper().removesuffix(" RANGE")
