"""Takes secrets out of what leaves for a tracing system: people paste them into questions. Pure."""

from __future__ import annotations

import re

MASK = "***"
SECRET = re.compile(
    r"""
    \b(?:
        xox[abeoprs]-[\w-]{8,}                       # Slack tokens
      | xapp-[\w-]{8,}
      | (?:sk|pk|rk)-[\w-]{12,}                      # keys of model providers and of Langfuse
      | gh[opusr]_\w{20,} | github_pat_\w{20,}
      | glpat-[\w-]{16,}
      | AKIA[0-9A-Z]{16}
      | AIza[\w-]{30,}
      | [MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}      # Discord bot tokens
      | eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}     # JSON web tokens
    )
    | -----BEGIN[ A-Z]*PRIVATE[ ]KEY-----.*?(?:-----END[ A-Z]*PRIVATE[ ]KEY-----|\Z)
    | (?<=://)[^\s/:@]+:[^\s/@]+(?=@)                # user:password in an address
    """,
    re.VERBOSE | re.DOTALL,
)


def mask_text(text: str) -> str:
    """The text with every token of a known form replaced by ***."""
    return SECRET.sub(MASK, text)


def mask_secrets(data: object) -> object:
    """The same value with every string in it masked, however deep."""
    if isinstance(data, str):
        return mask_text(data)
    if isinstance(data, dict):
        return {key: mask_secrets(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [mask_secrets(value) for value in data]
    return data
