"""On what terms a model is called: what its tokens cost, how many it may write, what all of it may cost a day."""

from __future__ import annotations

from core.errors import SettingsError
from core.limits import Caps
from core.messages import Frozen
from core.providers.prices import Price, find_price
from core.settings import CoreSettings

OUTPUT_TOKENS_UNDER_A_BUDGET = 8192
"""The most that a model may write in one call, where nobody says otherwise and it must be known."""


class Terms(Frozen):
    """`price` None: not known. `output_tokens` None: as many as the provider lets it write."""

    price: Price | None
    output_tokens: int | None


def find_caps(settings: CoreSettings) -> Caps:
    """What models may cost in a day."""
    return Caps(
        workspace_usd=settings.budget_usd_per_day,
        channel_usd=settings.budget_usd_per_channel_per_day,
        person_usd=settings.budget_usd_per_person_per_day,
    )


def find_terms(settings: CoreSettings, spec: str) -> Terms:
    """The price that the settings name, else the list's. Raises SettingsError where a budget needs one and
    there is none."""
    named = settings.model_prices.get(spec)
    price = Price(input=named[0], output=named[1]) if named else find_price(spec)
    if not find_caps(settings).any:
        return Terms(price=price, output_tokens=settings.model_output_tokens)
    if price is None:
        raise SettingsError(
            "MODEL_PRICES",
            f"does not name {spec}: its price is not known, and a budget is set.",
            f"Set MODEL_PRICES={spec}=INPUT/OUTPUT in US dollars per million tokens, or set no budget.",
        )
    return Terms(price=price, output_tokens=settings.model_output_tokens or OUTPUT_TOKENS_UNDER_A_BUDGET)
