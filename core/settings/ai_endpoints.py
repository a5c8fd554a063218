"""How a deployment names the models that steps may ask. Read `ai_endpoint`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

FORMATS: Final = ("json_schema", "json_object", "text")


def ai_endpoint(
    *,
    url: str,
    models: Sequence[object],
    key: str = "",
    price: Mapping[str, Any] | None = None,
    format: str = "json_object",  # noqa: A002  # the name in the setting
) -> dict[str, Any]:
    """Return one endpoint, checked.

    Args:
        url: what `/chat/completions` is under.
        models: what it may be asked for; the first is asked where a step names none.
        key: sent as a bearer token.
        price: `{input, output, currency}`, whole minor units for a million tokens.
        format: how it is told to answer in JSON.

    Raises:
        ValueError: for what cannot be.
    """
    named = [item for item in models if isinstance(item, str) and item]
    is_sound = urlsplit(url).scheme in {"http", "https"}
    if not is_sound or isinstance(models, str) or not named or len(named) != len(models):
        raise ValueError(url)
    if format not in FORMATS or not key.isascii() or not key.isprintable():
        raise ValueError(format)
    return {
        "url": url.rstrip("/"),
        "models": named,
        "key": key,
        "price": None if price is None else _price(**price),
        "format": format,
    }


def _price(*, input: int, output: int, currency: str) -> dict[str, Any]:  # noqa: A002  # as above
    numbers = (input, output)
    if not all(type(item) is int and 0 <= item < 10**9 for item in numbers):
        raise ValueError(numbers)
    if len(currency) != 3 or not currency.isalpha() or not currency.isupper():  # noqa: PLR2004
        raise ValueError(currency)
    return {"input": input, "output": output, "currency": currency}
