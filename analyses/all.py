"""Every figure, drawn anew in one process; with `--measure` every number is measured first.

    python analyses/all.py              draw from the stored numbers (a quarter of a minute)
    python analyses/all.py --measure    measure all again (a quarter of an hour on two cores)

Takes the options that each script takes. A claim that only the shapes can answer is left out where
another data set is given.
"""

import importlib

from common import HERE, Claim, errors_in_one_line
from tqdm.auto import tqdm

SHARED = ("all", "common", "measurement", "tables")
"""The files here that make no claim."""


def claims() -> list[Claim]:
    """The claim of each script, by name."""
    scripts = sorted(path.stem for path in HERE.glob("*.py"))
    return [importlib.import_module(name).CLAIM for name in scripts if name not in SHARED]


def main() -> None:
    """Measure where asked to, and draw."""
    for claim in tqdm(claims(), desc="figures"):
        options = claim.options()
        if not claim.accepts(options.config):
            tqdm.write(f"{claim.name}: left out, {claim.only_shapes}")
            continue
        with errors_in_one_line(claim.name):
            claim.follow(options)


if __name__ == "__main__":
    main()
