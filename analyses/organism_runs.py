"""The organisms of `protocol.md`, and their observations: measured part by part, and stored."""

import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Annotated

import torch
from common import HERE, ClaimOptions
from measurement import MeasurementConfig
from observations import Chosen, choose, observe
from parts import measure_in_parts, write_records
from tqdm.auto import tqdm
from tyro.conf import UseAppendAction, arg

from probe.engine.model import ORGANISM
from probe.files import read_json, write_json
from probe.organism.network import make_network, save_checkpoint

FROZEN, ABLATED, SHORT, PAIRS = "frozen", "ablated", "short", "pairs"
EARLIER, CONTROL = "earlier", "control"

FIRST_SHIPPED = "83eafb0"
"""The organism that was shipped when the protocol was written, which calls it `shipped`."""

SHIPPED = "seed-2"
"""The organism whose weights are in the package."""

ORGANISMS = {
    FIRST_SHIPPED: EARLIER,
    **{f"seed-{seed}": FROZEN for seed in range(4)},
    **{f"ablated-{seed}": ABLATED for seed in range(2)},
    "short-0": SHORT,
    "protoclip-0": PAIRS,
    "fd3ab77": EARLIER,
    "942180f": EARLIER,
    "untrained": CONTROL,
}
"""Kind of recipe by name of the organism; those of earlier ones are commits of this repository."""

TRAINED_HERE = (FROZEN, ABLATED, SHORT, PAIRS)
"""Recipes whose organisms lie in `WEIGHTS`."""

WEIGHTS = HERE / "organisms"
"""Folder of the organisms that were trained; of the shipped one it has recipe and curve alone."""

NUMBER_TYPE = "float32"
"""Number type of all organisms, as the shipped one has by default. Their files are in float16, in
which the gradients of the published loss overflowed on one clip in eight."""

CHOOSING_CLIPS = 120


def observations_folder(out: Path | None) -> Path:
    """Return the folder with the observations of each organism."""
    return (HERE / "numbers" if out is None else out) / "claims"


def find_organism(name: str, folder: Path) -> str:
    """Return the model of a name, for `probe.load`; two are made in a folder if need be.

    Raises:
        ValueError: if its weights are not there.
    """
    if name == SHIPPED:
        return ORGANISM
    if ORGANISMS[name] in TRAINED_HERE:
        place = WEIGHTS / name
        if not place.is_dir():
            raise ValueError(f"{place}: no such organism; `probe train-organism` trains it")
        return str(place)
    if ORGANISMS[name] == CONTROL:
        return str(make_whole(folder / name, partial(save_checkpoint, make_network(0))))
    return str(make_whole(folder / name, partial(_extract_earlier, name)))


def make_whole(place: Path, write: Callable[[Path], None]) -> Path:
    """Write the folder of a model, unless it is there; it has its name when it is whole."""
    if not place.is_dir():
        # One that a stop left half written would be taken for the model.
        beginning = place.with_name(f".{place.name}")
        shutil.rmtree(beginning, ignore_errors=True)
        write(beginning)
        beginning.rename(place)
    return place


def _extract_earlier(commit: str, place: Path) -> None:
    """Take the weights of an earlier organism out of the repository's history."""
    packed = subprocess.run(
        ["git", "archive", f"{commit}:probe/organism/weights"],
        cwd=HERE.parent,
        capture_output=True,
        check=False,
    )
    if packed.returncode:
        raise ValueError(f"{commit}: its weights are in the git history, which is not here")
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(place, filter="data")


@dataclass(frozen=True)
class ClaimsOptions(ClaimOptions):
    """Draw which claims hold from the stored observations; measure missing ones with --measure."""

    only: Annotated[tuple[str, ...], arg(metavar="NAME"), UseAppendAction] = ()
    """Organism to measure; all of the protocol by default."""

    workers: int = 1
    """Processes that measure at the same time, each on one thread."""

    def names(self) -> tuple[str, ...]:
        """Return the organisms to measure: those named, or all that there are.

        Raises:
            ValueError: if there is no such organism.
        """
        if unknown := [name for name in self.only if name not in ORGANISMS]:
            raise ValueError(f"no organism {unknown[0]!r}; there are {', '.join(ORGANISMS)}")
        trained = [name for name, recipe in ORGANISMS.items() if recipe in TRAINED_HERE]
        here = {SHIPPED, *(path.name for path in WEIGHTS.glob("*"))}
        missing = [name for name in trained if name not in here]
        if missing and not self.only:
            tqdm.write(f"not trained yet, so left out: {', '.join(missing)} (protocol.md)")
        return self.only or tuple(name for name in ORGANISMS if name not in missing)


def measure_organisms(options: ClaimsOptions) -> None:
    """Measure what is missing of each organism, and store it whole, organism by organism."""
    stored, clips = observations_folder(options.out), options.config.clips
    # Parts of another number of clips are others: they must not be joined.
    working = stored.parent / ".claims" / str(clips)
    working.mkdir(parents=True, exist_ok=True)
    for name in options.names():
        if (whole := stored / f"{name}.json").exists():
            if (found := read_json(whole)["cases"]) != clips:
                raise ValueError(f"{whole}: {found} clips were measured; delete it, or give --out")
            continue
        model = find_organism(name, working)
        config = replace(options.config, model=model, dtype=NUMBER_TYPE)
        chosen_file = working / f"{name}-chosen.json"
        choose_once(config, chosen_file)
        measure = partial(_measure_part, chosen_file=chosen_file)
        joined = measure_in_parts(config, working / name, measure, options.workers)
        stored.mkdir(parents=True, exist_ok=True)
        about = {"recipe": ORGANISMS[name], "chosen": read_json(chosen_file)}
        # The folder's name only: where it was on this machine tells nobody else anything.
        model = {**joined["model"], "name": name}
        write_json(whole, {**joined, **about, "model": model})
    if not options.only:
        shutil.rmtree(working.parent, ignore_errors=True)


def _measure_part(config: MeasurementConfig, chosen_file: Path, file: Path) -> None:
    """Measure some clips, in a process of its own, and store what was observed."""
    torch.set_num_threads(1)
    measurement = config.open()
    chosen, protocol = read_chosen(chosen_file), measurement.dataset.protocol
    records = measurement.measure_cases(partial(observe, chosen=chosen, protocol=protocol))
    write_records(measurement, records, file)


def choose_once(config: MeasurementConfig, path: Path) -> None:
    """Choose the best fixed token on other clips than a configuration's, unless it is stored."""
    if not path.exists():
        opened = replace(config.for_choosing(), clips=min(config.clips, CHOOSING_CLIPS)).open()
        write_json(path, asdict(choose(opened)))


def read_chosen(path: Path) -> Chosen:
    """Read the best fixed token that was stored."""
    stored = read_json(path)
    shares = {int(token): share for token, share in stored["shares"].items()}
    return Chosen(stored["token"], stored["layer"], shares)
