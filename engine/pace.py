"""How many requests of a kind may come within a span of time."""

import time
from collections import deque
from collections.abc import Callable


class Pace:
    """Counts attempts over the last seconds.

    Args:
        most: so many may come within `span_s`.
        span_s: seconds.
        clock: seconds, monotonic.
    """

    def __init__(
        self, most: int, span_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.most, self.span_s = most, span_s
        self._clock = clock
        self._attempts: deque[float] = deque(maxlen=most + 1)

    def too_fast(self) -> bool:
        """Notes an attempt; True if there were too many of late to look at this one."""
        now = self._clock()
        while self._attempts and now - self._attempts[0] > self.span_s:
            self._attempts.popleft()
        self._attempts.append(now)
        return len(self._attempts) > self.most
