"""Clips that are measured part by part, each of which is stored when it is done.

A run that is stopped goes on where it was. What is stored is enough for all statistics.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from common import Numbers
from measurement import Measurement, MeasurementConfig, Records
from tqdm.auto import tqdm

from probe.files import read_json, write_json

PART = 40
"""Clips that are measured and stored at once: so much is lost when a run is stopped."""


def measure_in_parts(
    config: MeasurementConfig,
    stem: Path,
    measure_part: Callable[..., None],
    workers: int = 1,
) -> Numbers:
    """Measure the parts of a configuration's clips that are not stored yet, and join all.

    Args:
        config: Model and clips.
        stem: Folder, and beginning of the name, of the files of the parts.
        measure_part: Measures the clips of a configuration, and writes them to `file`; it is
            sent to other processes, so it must be a function of a module, or a `partial` of one.
        workers: Processes that measure at the same time, each on one thread.

    Returns:
        What the first part tells of model and data, and the values of all clips in their order.
    """
    parts = divide(config, stem)
    missing = [(part, file) for file, part in parts.items() if not file.exists()]
    bar = tqdm(desc=stem.name, total=len(missing), unit="part")
    if workers == 1:
        # A process of its own would import torch anew, which takes as long as many clips.
        for part, file in missing:
            measure_part(part, file=file)
            bar.update()
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            begun = [pool.submit(measure_part, part, file=file) for part, file in missing]
            for done in as_completed(begun):
                done.result()
                bar.update()
    bar.close()
    return join_parts([read_json(file) for file in parts])


def divide(config: MeasurementConfig, stem: Path) -> dict[Path, MeasurementConfig]:
    """Divide the clips into parts, by the file of each."""
    return {
        stem.with_name(f"{stem.name}-{start:04d}.json"): replace(
            config, first=config.first + start, clips=min(PART, config.clips - start)
        )
        for start in range(0, config.clips, PART)
    }


def write_records(
    measurement: Measurement, records: Records[Mapping[str, float]], file: Path
) -> None:
    """Store one record of numbers for each clip; a failed clip is zero in everything."""
    rows = [*records, *[dict.fromkeys(records.values[0], 0.0)] * len(records.failed)]
    values = {key: [round(float(row[key]), 4) for row in rows] for key in rows[0]}
    write_part(file, measurement.provenance(records), values)


def write_part(file: Path, about: Numbers, values: Mapping[str, Sequence[Any]]) -> None:
    """Store a part: what is told of model and data, and lists of values by name."""
    write_json(file, {**about, "values": dict(values)})


def join_parts(parts: Sequence[Numbers]) -> Numbers:
    """Join the parts of a measurement: values in the order of the clips."""
    return {
        **parts[0],
        "cases": sum(part["cases"] for part in parts),
        "failed": {clip: why for part in parts for clip, why in part["failed"].items()},
        "values": {
            key: [value for part in parts for value in part["values"][key]]
            for key in parts[0]["values"]
        },
    }
