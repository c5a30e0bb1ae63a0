"""The organisms of `protocol.md`, and their observations: measured part by part, and stored.

A run that is stopped goes on where it was: an organism's clips are measured in parts, each in a
process of its own and stored when it is done. What is stored is enough for all statistics.
"""

import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import partial
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import torch
from common import HERE, ClaimOptions, Numbers
from measurement import MeasurementConfig
from observations import Chosen, choose, observe
from tqdm.auto import tqdm
from tyro.conf import UseAppendAction, arg

from probe.engine.model import ORGANISM
from probe.files import read_json, write_json
from probe.organism.network import make_network, save_checkpoint

FROZEN, ABLATED, SHORT, EARLIER, CONTROL = "frozen", "ablated", "short", "earlier", "control"

ORGANISMS = {
    "shipped": EARLIER,
    **{f"seed-{seed}": FROZEN for seed in range(4)},
    **{f"ablated-{seed}": ABLATED for seed in range(2)},
    "short-0": SHORT,
    "fd3ab77": EARLIER,
    "942180f": EARLIER,
    "untrained": CONTROL,
}
"""Kind of recipe by name of the organism; two names are commits of this repository."""

TRAINED_HERE = (FROZEN, ABLATED, SHORT)
"""Recipes whose organisms lie in `WEIGHTS`."""

WEIGHTS = HERE / "organisms"
"""Folder of the organisms that were trained and are not shipped with the package."""

NUMBER_TYPE = "float32"
"""Number type of all organisms, as the shipped one has by default. Their files are in float16, in
which the gradients of the published loss overflowed on one clip in eight."""

CHOOSING_CLIPS = 120
PART = 40
"""Clips that are measured and stored at once: so much is lost when a run is stopped."""


def observations_folder(out: Path | None) -> Path:
    """Return the folder with the observations of each organism."""
    return (HERE / "numbers" if out is None else out) / "claims"


def find_organism(name: str, folder: Path) -> str:
    """Return the model of a name, for `probe.load`; two are made in a folder if need be.

    Raises:
        ValueError: if its weights are not there.
    """
    if name == "shipped":
        return ORGANISM
    if ORGANISMS[name] in TRAINED_HERE:
        place = WEIGHTS / name
        if not place.is_dir():
            raise ValueError(f"{place}: no such organism; `probe train-organism` trains it")
        return str(place)
    place = folder / name
    if not place.is_dir():
        # Named when it is whole: one that a stop left half written would be taken for the model.
        beginning = folder / f".{name}"
        shutil.rmtree(beginning, ignore_errors=True)
        if ORGANISMS[name] == CONTROL:
            save_checkpoint(make_network(0), beginning)
        else:
            _extract_earlier(name, beginning)
        beginning.rename(place)
    return str(place)


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
        missing = [name for name in trained if not (WEIGHTS / name).is_dir()]
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
        if not chosen_file.exists():
            opened = replace(config.for_choosing(), clips=min(config.clips, CHOOSING_CLIPS)).open()
            write_json(chosen_file, asdict(choose(opened)))
        parts = _divide(config, working / name)
        missing = [(file, part) for file, part in parts.items() if not file.exists()]
        with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
            begun = [pool.submit(_measure_part, part, chosen_file, file) for file, part in missing]
            for done in tqdm(as_completed(begun), desc=name, total=len(begun), unit="part"):
                done.result()
        stored.mkdir(parents=True, exist_ok=True)
        joined = _join_parts([read_json(file) for file in parts])
        about = {"recipe": ORGANISMS[name], "chosen": read_json(chosen_file)}
        # The folder's name only: where it was on this machine tells nobody else anything.
        model = {**joined["model"], "name": name}
        write_json(whole, {**joined, **about, "model": model})
    if not options.only:
        shutil.rmtree(working.parent, ignore_errors=True)


def _divide(config: MeasurementConfig, stem: Path) -> dict[Path, MeasurementConfig]:
    """Divide the clips into parts, by the file of each."""
    return {
        stem.with_name(f"{stem.name}-{start:04d}.json"): replace(
            config, first=config.first + start, clips=min(PART, config.clips - start)
        )
        for start in range(0, config.clips, PART)
    }


def _measure_part(config: MeasurementConfig, chosen_file: Path, file: Path) -> None:
    """Measure some clips, in a process of its own, and store what was observed."""
    torch.set_num_threads(1)
    measurement = config.open()
    chosen, protocol = _read_chosen(chosen_file), measurement.dataset.protocol
    records = measurement.measure_cases(partial(observe, chosen=chosen, protocol=protocol))
    # A failed clip is zero in everything.
    rows = [*records, *[dict.fromkeys(records.values[0], 0.0)] * len(records.failed)]
    values = {key: [round(float(row[key]), 4) for row in rows] for key in rows[0]}
    write_json(file, {**measurement.provenance(records), "values": values})


def _read_chosen(path: Path) -> Chosen:
    stored = read_json(path)
    shares = {int(token): share for token, share in stored["shares"].items()}
    return Chosen(stored["token"], stored["layer"], shares)


def _join_parts(parts: Sequence[Numbers]) -> Numbers:
    """Join the parts of an organism: values in the order of the clips."""
    return {
        **parts[0],
        "cases": sum(part["cases"] for part in parts),
        "failed": {clip: why for part in parts for clip, why in part["failed"].items()},
        "values": {
            key: [value for part in parts for value in part["values"][key]]
            for key in parts[0]["values"]
        },
    }
