"""A stopwatch: how long each part of an answer took."""

import time
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Seconds between one mark and the next, by the name of the mark."""

    seconds: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.perf_counter)

    def mark(self, name: str) -> None:
        """End the part of this name, and start the next."""
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now
