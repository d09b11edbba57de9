"""What operators can graph: Prometheus figures of the road. Never a message's text, never a person."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LAG_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 90)


class Metrics:
    """One set of figures for one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._count_road(self.registry)
        self._count_delivery(self.registry)
        self._count_platforms(self.registry)
        self._count_models(self.registry)
        self._watch_workers(self.registry)

    def _count_road(self, registry: CollectorRegistry) -> None:
        """What comes in, how it ends, and how long that takes."""
        self.events = Counter(
            "threadlore_events_total", "Events taken in, by kind", ("platform", "kind"), registry=registry
        )
        self.duplicates = Counter(
            "threadlore_duplicates_total",
            "Deliveries and messages known already",
            ("platform",),
            registry=registry,
        )
        self.ended = Counter(
            "threadlore_events_ended_total",
            "Events done with, by how they ended",
            ("platform", "end"),
            registry=registry,
        )
        self.turn_seconds = Histogram(
            "threadlore_turn_seconds",
            "From the event's arrival to the whole answer shown",
            ("platform",),
            buckets=SECONDS,
            registry=registry,
        )
        self.feedback = Counter(
            "threadlore_feedback_total",
            "Ratings given and withdrawn",
            ("platform", "rating"),
            registry=registry,
        )

    def _count_delivery(self, registry: CollectorRegistry) -> None:
        """What goes wrong on the way out."""
        self.delivery_errors = Counter(
            "threadlore_delivery_errors_total",
            "Calls to a platform that failed",
            ("platform", "error"),
            registry=registry,
        )
        self.ambiguous = Counter(
            "threadlore_ambiguous_posts_total",
            "Posts that may or may not be visible",
            ("platform",),
            registry=registry,
        )

    def _count_platforms(self, registry: CollectorRegistry) -> None:
        """What is between a platform and us: silence, and refusals."""
        self.standing_by = Gauge(
            "threadlore_standing_by",
            "1 while another process listens to a platform that tells one alone",
            ("platform",),
            registry=registry,
        )
        self.gaps = Counter(
            "threadlore_gaps_total", "Times that a platform was not heard", ("platform",), registry=registry
        )
        self.gap_seconds = Counter(
            "threadlore_gap_seconds_total",
            "How long a platform was not heard, in all",
            ("platform",),
            registry=registry,
        )
        self.missed = Counter(
            "threadlore_missed_messages_total",
            "Messages to us that were read back after a gap: found, or too old to be answered",
            ("platform", "outcome"),
            registry=registry,
        )
        self.refusals = Counter(
            "threadlore_platform_refusals_total",
            "Calls that a platform refused, by HTTP status",
            ("platform", "status"),
            registry=registry,
        )

    def _count_models(self, registry: CollectorRegistry) -> None:
        """How the models do, what they cost, and who is turned down."""
        self.tokens = Counter(
            "threadlore_tokens_total", "Model tokens", ("model", "direction"), registry=registry
        )
        self.cost = Counter(
            "threadlore_cost_usd_total", "Model cost where the price is known", ("model",), registry=registry
        )
        self.spent = Counter(
            "threadlore_budget_spent_usd_total",
            "What model calls were charged to the budget, calls that broke off included",
            ("model",),
            registry=registry,
        )
        self.unaffordable = Counter(
            "threadlore_budget_refusals_total",
            "Model calls that were not made because a budget is spent, by whose",
            ("scope",),
            registry=registry,
        )
        self.too_many = Counter(
            "threadlore_questions_refused_total",
            "Questions beyond what one person may ask, by limit",
            ("platform", "limit"),
            registry=registry,
        )
        self.quoted = Counter(
            "threadlore_quoted_answers_total",
            "Answers quoted because no model could write them, by why",
            ("reason",),
            registry=registry,
        )
        self.left_alone = Gauge(
            "threadlore_model_left_alone",
            "1 while a model keeps failing and only a probe goes out now and then",
            ("model",),
            registry=registry,
        )
        self.outages = Counter(
            "threadlore_model_outages_total",
            "How often a model has failed so much that it was left alone",
            ("model",),
            registry=registry,
        )

    def _watch_workers(self, registry: CollectorRegistry) -> None:
        """What should stay at nought, or low."""
        self.waiting = Gauge("threadlore_inbox_items", "Inbox items, by state", ("state",), registry=registry)
        self.oldest_seconds = Gauge(
            "threadlore_inbox_oldest_seconds",
            "Age of the oldest item that could be claimed",
            registry=registry,
        )
        self.event_loop_lag = Histogram(
            "threadlore_event_loop_lag_seconds",
            "How late the process came to a task whose turn it was",
            buckets=LAG_SECONDS,
            registry=registry,
        )
        self.leases_lost = Counter(
            "threadlore_leases_lost_total",
            "Items that others took over or a deletion ended",
            registry=registry,
        )
        self.takeovers = Counter(
            "threadlore_lease_takeovers_total",
            "Leases that ran out, and whose items were given to others",
            registry=registry,
        )
        self.parked = Counter(
            "threadlore_parked_total",
            "Items set aside after crash upon crash",
            ("platform",),
            registry=registry,
        )
        self.silent_endings = Counter(
            "threadlore_silent_endings_total",
            "Questions that ended with nothing for the asker to see",
            ("platform",),
            registry=registry,
        )
        self.oldest_transaction_seconds = Gauge(
            "threadlore_oldest_transaction_seconds",
            "Age of the oldest transaction that keeps the database from clearing away what is done with",
            registry=registry,
        )

    # --- told by others ---------------------------------------------------------------------------

    def note_spent(self, model: str, usd: float) -> None:
        """A call was charged to the budget."""
        self.spent.labels(model).inc(usd)

    def note_unaffordable(self, scope: str) -> None:
        """A call was not made: the budget of the workspace, the channel or the person is spent."""
        self.unaffordable.labels(scope).inc()

    def note_model(self, model: str, left_alone: bool) -> None:
        """A model is left alone because it keeps failing, or is back."""
        self.left_alone.labels(model).set(left_alone)
        if left_alone:
            self.outages.labels(model).inc()
