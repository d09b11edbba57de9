"""What a model call costs, from the price list in prices.toml."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files

from core.messages import Frozen

VERSION = re.compile(r"(?:[-@]\d{8}|-\d{4}-\d{2}-\d{2}|-latest)$")


class Price(Frozen):
    """US dollars per million tokens. `cached` is what cached input costs, as `input` unless named."""

    input: float
    output: float
    cached: float | None = None

    def cost_usd(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float:
        """What a call costs; `input_tokens` includes the `cached_tokens`."""
        cached = self.input if self.cached is None else self.cached
        fresh_tokens = max(0, input_tokens - cached_tokens)
        return (fresh_tokens * self.input + cached_tokens * cached + output_tokens * self.output) / 1e6


def cost_usd(spec: str, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float | None:
    """The price of a call of `provider:model`, or None where the list does not know the model.

    `input_tokens` includes the `cached_tokens`.
    """
    price = find_price(spec)
    return None if price is None else price.cost_usd(input_tokens, output_tokens, cached_tokens)


@cache
def find_price(spec: str) -> Price | None:
    """The line of the model itself, or of the model of which it is a dated version. A name without
    letters stands for every model of its provider."""
    provider, _, model = spec.partition(":")
    prices = _price_list().get(provider, {})
    return prices.get(model) or prices.get(VERSION.sub("", model)) or prices.get("")


@cache
def _price_list() -> dict[str, dict[str, Price]]:
    content = tomllib.loads((files(__package__) / "prices.toml").read_text(encoding="utf-8"))
    return {
        provider: {name: Price(**line) for name, line in lines.items()}
        for provider, lines in content.items()
        if isinstance(lines, dict)
    }
