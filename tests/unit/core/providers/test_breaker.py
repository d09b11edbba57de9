"""When a failing model is left alone and when it is asked again, on a clock of ours."""

from __future__ import annotations

from core.providers.breaker import CircuitBreaker


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Ground:
    """A breaker, its clock, and what it told."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.told: list[bool] = []
        self.breaker = CircuitBreaker(
            "fake:model", clock=self.clock, on_change=lambda name, is_open: self.told.append(is_open)
        )

    def fail(self, times: int, every_seconds: float = 1.0) -> None:
        for _ in range(times):
            self.breaker.note_failure()
            self.clock.now += every_seconds


def test_five_failures_within_thirty_seconds_open_it() -> None:
    ground = Ground()
    ground.fail(4)
    assert ground.breaker.admit()
    ground.fail(1)
    assert ground.breaker.is_open
    assert not ground.breaker.admit()
    assert ground.told == [True]


def test_failures_that_are_far_apart_do_not() -> None:
    ground = Ground()
    ground.fail(20, every_seconds=8.0)
    assert ground.breaker.admit()
    assert ground.told == []


def test_a_success_between_them_starts_the_count_anew() -> None:
    ground = Ground()
    ground.fail(4)
    ground.breaker.note_success()
    ground.fail(4)
    assert not ground.breaker.is_open


def test_a_model_that_stays_down_is_probed_once_in_ten_seconds() -> None:
    ground = Ground()
    ground.fail(5)
    asked = 0
    for _ in range(100):  # a question every second for 100 seconds
        if ground.breaker.admit():
            asked += 1
            ground.breaker.note_failure()
        ground.clock.now += 1.0
    assert 9 <= asked <= 10
    assert ground.told == [True], "one that was open already does not open again"


def test_one_probe_that_succeeds_closes_it() -> None:
    ground = Ground()
    ground.fail(5)
    ground.clock.now += 10.0
    assert ground.breaker.admit()
    assert not ground.breaker.admit(), "the others wait for what the probe finds"
    ground.breaker.note_success()
    assert all(ground.breaker.admit() for _ in range(10))
    assert ground.told == [True, False]
