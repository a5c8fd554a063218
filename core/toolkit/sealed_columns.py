"""Which columns hold sealed values, and sealing them anew. Read `SealedColumn`, then `rotate`.

An app that keeps sealed values registers their column in `ready()`; `manage.py rotate_secrets` then
opens each of them and seals it under the newest key.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import models, transaction

from core.toolkit.sealing import UnsealError, is_newest, seal, unseal

_COLUMNS: "dict[tuple[str, str], SealedColumn]" = {}
_CHUNK_COUNT = 500  # ids that are read at once


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedColumn:
    """A column of texts that `seal` made.

    `model` is a label such as `engine.Secret`; `about` says of a row what `seal` was told of it.
    """

    model: str
    column: str
    about: Callable[[Any], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What sealing anew did: rows sealed anew, rows that were already, and rows that do not open.

    `unreadable` names rows as `engine.Secret.sealed <primary key>: <reason>`.
    """

    sealed_count: int
    newest_count: int
    unreadable: tuple[str, ...]


def register_sealed_column(column: SealedColumn) -> None:
    """Have a column sealed anew with all others; registering it again changes nothing."""
    _COLUMNS[column.model, column.column] = column


def list_sealed_columns() -> list[SealedColumn]:
    """Return every registered column, by model and name."""
    return [_COLUMNS[key] for key in sorted(_COLUMNS)]


def rotate() -> Rotation:
    """Seal every value that is not sealed under the newest key under it, row by row.

    Values may be read and changed meanwhile. Doing it again goes on where it was interrupted. A
    value that does not open stays as it is.

    Transaction: one for each row.
    """
    counts = {True: 0, False: 0}
    unreadable: list[str] = []
    for column in list_sealed_columns():
        rows = apps.get_model(column.model).objects
        for key in rows.order_by("pk").values_list("pk", flat=True).iterator(_CHUNK_COUNT):
            try:
                counts[_rotate_row(rows, column, key)] += 1
            except UnsealError as error:
                name = f"{column.model}.{column.column} {key}"
                unreadable.append(f"{name}: {error.details['reason']}")
            except rows.model.DoesNotExist:
                continue  # deleted meanwhile
    return Rotation(
        sealed_count=counts[True], newest_count=counts[False], unreadable=tuple(unreadable)
    )


def _rotate_row(rows: models.Manager[Any], column: SealedColumn, key: object) -> bool:
    """Seal one row's value anew; return whether that was needed. Raises: UnsealError."""
    with transaction.atomic():
        row = rows.select_for_update(no_key=True).get(pk=key)
        sealed: str = getattr(row, column.column)
        if not sealed or is_newest(sealed):
            return False
        about = column.about(row)
        value = seal(unseal(sealed, about=about), about=about)
        rows.filter(pk=key).update(**{column.column: value})
        return True
