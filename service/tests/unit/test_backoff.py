"""One back-off for all who try again."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from livetally.base.backoff import Backoff, pause_s


@given(st.integers(1, 10_000), st.floats(0.001, 10), st.floats(0.001, 1000))
def test_a_pause_is_random_within_its_bounds(failures: int, first_s: float, most_s: float) -> None:
    """Never longer than the longest, never less than half of the shortest, after any number of
    failures."""
    pause = pause_s(failures, first_s, most_s)
    assert min(first_s, most_s) / 2 <= pause <= most_s


def test_pauses_double_until_the_longest() -> None:
    """Each is drawn between half and the whole of twice the one before, and so never shrinks below
    the half of that; having worked, it begins anew."""
    backoff = Backoff(1, 8)
    for longest in (1, 2, 4, 8, 8, 8):
        assert longest / 2 <= backoff.next_s() <= longest
    assert backoff.failures == 6
    backoff.reset()
    assert backoff.next_s() <= 1


def test_no_two_who_failed_together_come_back_together() -> None:
    """Of a hundred pauses no two are the same."""
    pauses = sorted(pause_s(3, 1, 60) for _ in range(100))
    assert all(one < other for one, other in pairwise(pauses))
