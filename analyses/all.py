"""Draw every figure in one process; with `--measure` measure every number first.

    python analyses/all.py              draw from the stored numbers (a quarter of a minute)
    python analyses/all.py --measure    measure all again (an hour on two cores)

Takes the options that each script takes. Claims that only the shapes can answer are left out if
another data set is given.
"""

import importlib

from common import HERE, Claim, errors_in_one_line
from tqdm.auto import tqdm

SHARED_FILES = (
    "all",
    "common",
    "grouping_runs",
    "measurement",
    "observations",
    "organism_runs",
    "parts",
    "response_runs",
    "tables",
    "things_observations",
    "things_runs",
)
"""Files of this folder that make no claim."""


def import_claims() -> list[Claim]:
    """Import the claim of each script, in the order of their names."""
    scripts = sorted(path.stem for path in HERE.glob("*.py"))
    return [importlib.import_module(name).CLAIM for name in scripts if name not in SHARED_FILES]


def main() -> None:
    """Measure if the command line asks for it, and draw."""
    # One process for all: importing torch and transformers takes longer than drawing a figure.
    for claim in tqdm(import_claims(), desc="figures"):
        options = claim.read_options()
        if not claim.accepts(options.config):
            tqdm.write(f"{claim.name}: left out, {claim.only_shapes}")
            continue
        if claim.measure is None and not claim.numbers_path(options.out).is_file():
            tqdm.write(f"{claim.name}: left out, not measured yet by its own script")
            continue
        # The name of the claim goes into the error: its own script was not what the user called.
        with errors_in_one_line(claim.name):
            claim.follow(options)


if __name__ == "__main__":
    main()
