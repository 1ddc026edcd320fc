"""A bucket never admits more than its limit in ten seconds, and nearly all of that."""

from bisect import bisect_left
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.connectors.azure_key_vault.bucket import Bucket

WINDOW_S = 10
LATE_S = 0.3
START = 1000.0


class Part:
    """A share that changes."""

    def __init__(self, part: float = 1.0) -> None:
        self.part = part

    def __call__(self) -> float:
        return self.part


def taken(bucket: Bucket, now: float, most: int = 10_000) -> int:
    """How many go at once, *most* at the most."""
    for number in range(most):
        if bucket.wait(now):
            return number
        bucket.take()
    return most


def greedy(bucket: Bucket, seconds: float) -> int:
    """How many go in so many seconds, if as many as may."""
    now, number = START, 0
    while now < START + seconds:
        wait = bucket.wait(now)
        now += wait
        if not wait:
            bucket.take()
            number += 1
    return number


def most_within(times: list[float], seconds: float) -> int:
    """The fullest of all windows of so many seconds, the first moment of which counts."""
    return max(
        (bisect_left(times, began + seconds) - at for at, began in enumerate(times)), default=0
    )


@pytest.mark.parametrize(("limit", "at_once"), [(300, 6), (4000, 80), (1500, 30), (30, 1), (1, 1)])
def test_a_full_bucket_gives_little_at_once(limit: int, at_once: int) -> None:
    bucket = Bucket(limit, Part())

    assert taken(bucket, START) == at_once


def test_it_says_when_the_next_may_go() -> None:
    bucket = Bucket(300, Part())
    taken(bucket, START)

    wait = bucket.wait(START)

    assert wait == pytest.approx(10.3 / 294)
    assert bucket.wait(START + wait * 0.9) > 0
    assert bucket.wait(START + wait) == 0


def test_it_does_not_fill_beyond_what_it_gives_at_once() -> None:
    bucket = Bucket(300, Part())
    taken(bucket, START)

    assert taken(bucket, START + 3600) == 6


@pytest.mark.parametrize("limit", [30, 300, 1500, 4000, 20_000])
def test_nine_tenths_of_the_limit_can_be_used(limit: int) -> None:
    assert greedy(Bucket(limit, Part()), 100) >= 0.9 * 10 * limit


@pytest.mark.parametrize(("replicas", "limit"), [(3, 300), (10, 300), (7, 4000)])
def test_replicas_that_share_keep_under_the_limit_together(replicas: int, limit: int) -> None:
    alone = greedy(Bucket(limit, Part(1 / replicas)), WINDOW_S)

    assert alone * replicas <= limit
    assert alone * replicas >= 0.8 * limit


def test_a_share_of_less_than_one_call_lets_one_through_now_and_then() -> None:
    bucket = Bucket(300, Part(1 / 600))

    assert taken(bucket, START) == 1
    assert 10 < bucket.wait(START) < 60


def test_a_share_that_shrinks_counts_at_once() -> None:
    share = Part()
    bucket = Bucket(300, share)
    share.part = 0.5

    assert taken(bucket, START) == 3


def test_a_share_that_grows_counts_from_then_on() -> None:
    share = Part(0.5)
    bucket = Bucket(300, share)
    taken(bucket, START)
    half = bucket.wait(START)
    share.part = 1.0

    assert bucket.wait(START) == pytest.approx(half / 2, rel=0.01)


STEPS = st.lists(
    st.tuples(st.floats(0, 4), st.integers(0, 60), st.sampled_from([0.1, 0.25, 0.5, 1.0])),
    max_size=60,
)


@given(limit=st.integers(1, 200), steps=STEPS, shares=st.booleans())
def test_no_ten_seconds_ever_hold_more_than_the_limit(
    limit: int, steps: list[tuple[float, int, float]], *, shares: bool
) -> None:
    share = Part()
    bucket = Bucket(limit, share)
    times: list[float] = []
    moments = accumulate((gap for gap, _, _ in steps), initial=START)
    for (_, wanted, part), now in zip(steps, moments, strict=False):
        share.part = part if shares else 1.0
        times += [now] * taken(bucket, now, wanted)

    assert most_within(times, WINDOW_S + LATE_S) <= limit
