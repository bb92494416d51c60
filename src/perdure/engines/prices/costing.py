"""What a call cost, from its usage and a resolved price; and the most that one can cost, to reserve before it.

The gateway calls `cost_pusd` for each attempt: integers only, no look-up. Every token is paid once: cached tokens, cache
writes and audio are inside `n_input`, so they are taken out of it before the rest is paid at the plain rate.
"""

from __future__ import annotations

from perdure.core.usage import Usage
from perdure.engines.prices.unit import ATTO_PER_PICO, Rates, UnitPrice


def cost_pusd(usage: Usage, price: UnitPrice | None) -> int | None:
    """Picodollars of one attempt; None where its price is not known, never zero in its stead.

    The sum is exact, and rounded once to whole picodollars, half to even. Where parts say more than their whole (an
    upstream that counts cached tokens beside the input) the parts are paid as counted and nothing is paid twice. Which
    cached tokens were audio no upstream says in a way that all share: they are paid as cached.

    Args:
        usage: of one attempt. Sum costs, not usages: the rates of a long call hold for that call alone.
        price: from `find_unit_price` or `declared_price`.
    Cost: about 1 µs.

    >>> from perdure.assets.route import UnitPrices
    >>> from perdure.engines.prices.declared import declared_price
    >>> price = declared_price(UnitPrices(input=3, output=15, cached=0.3))
    >>> cost_pusd(Usage(n_input=1_000, n_cached=900, n_output=10), price)  # 100 at $3, 900 at $0.30, 10 at $15
    720000000
    >>> cost_pusd(Usage(n_input=1_000), None) is None
    True
    """
    if price is None:
        return None
    n_input = usage.n_input
    rates = price.at(n_input) if price.tiers else price.rates
    n_output = usage.n_output
    if n_output:
        output = _output(usage, rates)
        if output is None:
            return None
    else:
        output = 0
    n_cached, n_5m, n_1h = usage.n_cached, usage.n_cache_write_5m, usage.n_cache_write_1h
    n_plain = n_input - n_cached - n_5m - n_1h
    n_plain = max(n_plain, 0)
    atto = price.call + output
    if usage.n_audio_input:
        n_audio = min(usage.n_audio_input, n_plain)
        n_plain -= n_audio
        atto += n_audio * rates.audio_input
    atto += n_plain * rates.input
    atto += n_cached * rates.cached + n_5m * rates.cache_write_5m + n_1h * rates.cache_write_1h
    return whole_picodollars(atto)


def _output(usage: Usage, rates: Rates) -> int | None:
    n_audio = min(usage.n_audio_output, usage.n_output)
    n_reasoning = min(usage.n_reasoning, usage.n_output - n_audio)
    if rates.output is None or rates.audio_output is None or rates.reasoning is None:
        return None
    n_plain = usage.n_output - n_audio - n_reasoning
    return n_plain * rates.output + n_audio * rates.audio_output + n_reasoning * rates.reasoning


def largest_cost(
    n_input: int, max_output: int, price: UnitPrice | None, *, audio: bool = False, long_cache: bool = False
) -> int | None:
    """The most picodollars that a call of this size can cost, to be reserved before it; None: the price is not known.

    Args:
        n_input: estimate of its input tokens; the rates are those of a call of this length.
        max_output: the most output tokens that it may have, thoughts included.
        price: of its target.
        audio: it sends audio, or asks for it. Audio costs up to sixteen times what text does: to reserve it for calls
            without any would refuse calls that there is money for.
        long_cache: it asks for one-hour cache writes, which cost twice the input.

    >>> from perdure.assets.route import UnitPrices
    >>> from perdure.engines.prices.declared import declared_price
    >>> largest_cost(1_000, 100, declared_price(UnitPrices(input=3, output=15, cache_write_5m=3.75)))
    5250000000
    """
    if price is None:
        return None
    rates = price.at(n_input)
    inputs = [rates.input, rates.cached, rates.cache_write_5m]
    outputs = [rates.output, rates.reasoning]
    if audio:
        inputs.append(rates.audio_input)
        outputs.append(rates.audio_output)
    if long_cache:
        inputs.append(rates.cache_write_1h)
    output = max((each for each in outputs if each is not None), default=None)
    if output is None:
        return None if max_output else whole_picodollars(price.call + n_input * max(inputs))
    return whole_picodollars(price.call + n_input * max(inputs) + max_output * output)


def whole_picodollars(atto: int) -> int:
    """Attodollars as picodollars, rounded half to even.

    >>> [whole_picodollars(each) for each in (499_999, 500_000, 1_500_000, 1_500_001)]
    [0, 0, 2, 2]
    """
    whole, rest = divmod(atto, ATTO_PER_PICO)
    half = ATTO_PER_PICO // 2
    return whole + 1 if rest > half or (rest == half and whole & 1) else whole
