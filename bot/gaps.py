"""Stretches in which a platform was not heard, whatever it takes to read back what was said in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import structlog

from bot.metrics import Metrics

Fate = Literal["found", "known", "too_old", "not_for_us"]
"""What became of a message that was read back: put into the inbox, there already, older than what is answered,
or none that asks us."""

log = structlog.get_logger(__name__)


@dataclass
class Gap:
    """One stretch of silence and what was found in it. `began_at` is None where nobody ever listened before.
    `channels` were read and `unread` were not, `cut_short` of them hold more; `fates` counts messages."""

    began_at: datetime | None
    ended_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    channels: int = 0
    unread: int = 0
    cut_short: int = 0
    fates: Counter[str] = field(default_factory=Counter)

    @property
    def seconds(self) -> float:
        return max(0.0, (self.ended_at - self.began_at).total_seconds()) if self.began_at else 0.0


def record_gap(platform: str, gap: Gap, metrics: Metrics, **facts: object) -> None:
    """Tell operators, once it has been looked after: louder where something was missed."""
    metrics.gaps.labels(platform).inc()
    metrics.gap_seconds.labels(platform).inc(gap.seconds)
    for fate in ("found", "too_old"):
        metrics.missed.labels(platform, fate).inc(gap.fates[fate])
    missed = gap.fates["found"] or gap.fates["too_old"] or gap.unread
    (log.warning if missed else log.info)(
        f"{platform}_gap",
        **facts,
        began_at=gap.began_at.isoformat(timespec="seconds") if gap.began_at else None,
        seconds=round(gap.seconds, 1),
        channels=gap.channels,
        unread=gap.unread,
        cut_short=gap.cut_short,
        found=gap.fates["found"],
        too_old=gap.fates["too_old"],
    )
