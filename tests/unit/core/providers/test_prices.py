from __future__ import annotations

import pytest

from core.providers.prices import cost_usd, find_price


def test_a_dated_version_costs_what_its_model_costs() -> None:
    assert find_price("openai:gpt-4o-mini-2024-07-18") == find_price("openai:gpt-4o-mini")
    assert find_price("openai:gpt-4o-2024-08-06") == find_price("openai:gpt-4o")
    assert find_price("anthropic:claude-haiku-4-5-20251001") is not None
    assert find_price("anthropic:claude-opus-5-5-latest") is not None


@pytest.mark.parametrize(
    "spec",
    ["openai:gpt-4o-audio", "openai:gpt-99", "openai:", "anthropic:claude-sonnet-5-7", "elsewhere:gpt-4o"],
)
def test_an_unknown_model_has_no_known_cost(spec: str) -> None:
    assert cost_usd(spec, 1000, 1000) is None


def test_cached_input_is_cheaper() -> None:
    assert cost_usd("openai:gpt-4o", 1_000_000, 0) == 2.5
    assert cost_usd("openai:gpt-4o", 1_000_000, 0, cached_tokens=1_000_000) == 1.25
    assert cost_usd("openai:gpt-4o", 0, 1_000_000) == 10
