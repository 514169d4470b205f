"""How long to wait before trying again: longer each time, and random, so that many who failed
together don't come back together."""

import random


def pause_s(failures: int, first_s: float, most_s: float) -> float:
    """The pause after this many failures in a row, in s. Never nothing: what fails at once would be
    tried in a tight loop."""
    longest = min(most_s, first_s * 2.0 ** min(max(failures - 1, 0), 60))
    return random.uniform(longest / 2, longest)


class Backoff:
    """The pauses of one who tries until it works."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self.failures = 0

    def next_s(self) -> float:
        """It has failed (again): how long to wait now."""
        self.failures += 1
        return pause_s(self.failures, self._first_s, self._most_s)

    def reset(self) -> None:
        """It has worked."""
        self.failures = 0
