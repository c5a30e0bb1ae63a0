"""The benchmarks of the world of things."""

from probe.organism.benchmark import Benchmark
from probe.organism.things.world import THINGS

THINGS_VAL = Benchmark("things-val", 810_001, 500, THINGS)
"""The benchmark on which recipes, layers and rules are chosen."""

THINGS_REPORT = Benchmark("things-report", 810_002, 1000, THINGS, chosen_on=THINGS_VAL)
"""The benchmark of reports: nothing is ever chosen on it."""
