"""Every figure, drawn anew in one process; with `--measure` every number is measured first.

python analyses/all.py              draw from the stored numbers (a quarter of a minute)
python analyses/all.py --measure    measure all again (the scripts add up to 25 minutes)
"""

import importlib
import json
import sys
from pathlib import Path

from common import HERE, numbers_of
from tqdm.auto import tqdm

SHARED = ("all", "common", "tables")
"""The files here that make no claim."""


def main() -> None:
    """Measure where asked to, and draw."""
    scripts = sorted(path for path in HERE.glob("*.py") if path.stem not in SHARED)
    for path in tqdm(scripts, desc="figures"):
        script = importlib.import_module(path.stem)
        numbers = numbers_of(path.name)
        if "--measure" in sys.argv[1:] and hasattr(script, "measure"):
            numbers.write_text(json.dumps(script.measure(), indent=1) + "\n")
        figure: Path = HERE / "figures" / f"{path.stem}.png"
        script.draw(json.loads(numbers.read_text())).savefig(figure)


if __name__ == "__main__":
    main()
