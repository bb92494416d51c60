"""Unit prices of the price list `genai-prices`, as it was installed: nothing is fetched, nothing updates itself.

The only file that imports `genai_prices`. Asking its `calc_price` costs some 130 µs a call, so an entry is resolved once
into integers and kept by the caller until `UnitPrice.until_us`.

What surprised us: importing the list costs 0.7 s of CPU and brings an HTTP client, which is never used here, so it is
imported at the first look-up. A model that is in the list may have no price (free ones, such of a subscription): that is
unknown, as a model that is not in it. A model that draws is priced up to twelve times as much for pictures as for text,
and a usage does not tell them apart: its output has no price here. Prices change by date and, for some providers, by the hour of day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING

from perdure.core.clock import EPOCH
from perdure.engines.prices.unit import Rates, Tier, UnitPrice, attodollars

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

_MILLION = 10**6
_ONE_HOUR_WRITE = 2
"""Times the input price: docs.claude.com, "Prompt caching", pricing: 5-minute writes 1.25x, 1-hour writes 2x."""


def find_unit_price(provider: str, model: str, at: datetime) -> UnitPrice | None:
    """The price of a model at an instant; None where the list does not know it.

    A provider that the list knows is asked alone: what it does not sell has no price. A provider that the list does not
    know, or an empty one, gives way to the maker of models of that name (`claude…`, `gpt-…`, `gemini…`): declare prices
    for a model of such a name on a machine of your own.

    Args:
        provider: its id in the list or a name that holds it, such as `openai`, `anthropic`, `google`, `aws`.
        model: as it is asked for there; dates and suffixes are matched by the list.
        at: aware; decides between announced prices.
    Cost: 0.1 to 1 ms; the first one in a process 0.7 s.

    >>> price = find_unit_price("anthropic", "claude-haiku-4-5-20251001", datetime(2026, 1, 1, tzinfo=UTC))
    >>> price.rates.input, price.rates.cache_write_1h  # $1 and $2 for a million
    (1000000000000, 2000000000000)
    >>> find_unit_price("anthropic", "gpt-9", datetime(2026, 1, 1, tzinfo=UTC)) is None
    True
    """
    from genai_prices.data_snapshot import find_provider_by_id

    prices = _list()
    known = find_provider_by_id(prices.providers, provider) if provider else None
    try:
        seller, found = prices.find_provider_model(model, known, None, None)
    except LookupError:
        return None
    entry = found.get_prices(at)
    rates = _rates(entry, found.id, 0)
    if rates is None:
        return None
    return UnitPrice(
        rates=rates,
        tiers=tuple(_tiers(entry, found.id)),
        call=attodollars((_base(entry, "requests_kcount") or Decimal(0)) / 1000),
        until_us=_until(found, at),
        provider=seller.id,
        model=found.id,
    )


@cache
def _list() -> DataSnapshot:
    """The list that came with the package, whatever another part of the process has set or fetched."""
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot

    return DataSnapshot(providers=providers, from_auto_update=False)


def _rates(entry: ModelPrice, model: str, n_input: int) -> Rates | None:
    found = {name: _rate(_priced(entry, f"{name}_mtok", n_input)) for name in _NAMES}
    plain = found["input"]
    if plain is None:
        return None
    write = _first(found["cache_write_5m"], found["cache_write"], plain)
    output = None if found["output_image"] not in (None, found["output"]) else found["output"]
    return Rates(
        input=plain,
        output=output,
        cached=_first(found["cache_read"], plain),
        cache_write_5m=write,
        cache_write_1h=_first(found["cache_write_1h"], _one_hour(found, model), write),
        audio_input=_first(found["input_audio"], plain),
        audio_output=output if found["output_audio"] is None else found["output_audio"],
        reasoning=output if found["output_reasoning"] is None else found["output_reasoning"],
    )


_NAMES = (
    "input", "output", "cache_read", "cache_write", "cache_write_5m", "cache_write_1h", "input_audio", "output_audio",
    "output_image", "output_reasoning",
)  # fmt: skip


def _one_hour(found: Mapping[str, int | None], model: str) -> int | None:
    """Anthropic's published rule, for its models where the list holds one price for all writes."""
    plain = found["input"]
    if plain is None or found["cache_write"] is None or "claude" not in model:
        return None
    return _ONE_HOUR_WRITE * plain


def _tiers(entry: ModelPrice, model: str) -> Iterator[Tier]:
    """The longest first; each holds every rate, so that a look-up is one comparison a tier."""
    starts = {tier.start for name in _NAMES for tier in getattr(_value(entry, f"{name}_mtok"), "tiers", ())}
    for start in sorted(starts, reverse=True):
        rates = _rates(entry, model, start + 1)
        if rates is not None:
            yield Tier(start, rates)


def _value(entry: ModelPrice, key: str) -> Decimal | TieredPrices | None:
    found: Decimal | TieredPrices | None = getattr(entry, key)
    return found


def _base(entry: ModelPrice, key: str) -> Decimal | None:
    return _priced(entry, key, 0)


def _priced(entry: ModelPrice, key: str, n_input: int) -> Decimal | None:
    value = _value(entry, key)
    if value is None or isinstance(value, Decimal):
        return value
    price = value.base
    for tier in value.tiers:
        if n_input > tier.start:
            price = tier.price
    return price


def _rate(usd: Decimal | None) -> int | None:
    return None if usd is None else attodollars(usd / _MILLION)


def _first(*rates: int | None) -> int:
    return next(rate for rate in rates if rate is not None)


def _until(found: ModelInfo, at: datetime) -> int | None:
    """The next instant at which another entry of the model may hold."""
    if not isinstance(found.prices, list):
        return None
    later = [instant for each in found.prices for instant in _changes(each.constraint, at) if instant > at]
    return (min(later) - EPOCH) // timedelta(microseconds=1) if later else None


def _changes(constraint: object, at: datetime) -> list[datetime]:
    from genai_prices.types import StartDateConstraint, TimeOfDateConstraint

    if isinstance(constraint, StartDateConstraint):
        return [datetime.combine(constraint.start_date, time(), UTC)]
    if isinstance(constraint, TimeOfDateConstraint):
        today = at.astimezone(UTC).date()
        edges = (constraint.start_time, constraint.end_time)
        zoned = [edge if edge.tzinfo is not None else edge.replace(tzinfo=UTC) for edge in edges]
        return [datetime.combine(today + timedelta(days=day), edge) for edge in zoned for day in (-1, 0, 1, 2)]
    return []
