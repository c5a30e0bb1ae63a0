"""The kinds of files that are damaged: how each is damaged, and read as a user would."""

import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from probe.candidates.tracks import load_tracks
from probe.datasets import check_samples, load_dataset
from probe.engine.latent_prompts import LatentPrompt
from probe.evaluation.runs import open_run, read_run
from probe.grounding.answers import Answer
from probe.grounding.queries import Decompositions
from probe.interpret.heads import HeadList
from probe.video import read_video, source_frames
from probe.video.encoding import write_video
from tests.fuzz.mutators import mutate_bytes, mutate_json, mutate_tensors
from tests.fuzz.seeds import stand_in

STREAMED = 40
"""Frames of a damaged video that are streamed: three times as many as the good ones have."""


class RefusedError(Exception):
    """A refusal that is no error but a finding."""


@dataclass(frozen=True)
class Kind:
    """A kind of file: damage done to a copy of the seeds, and the reading of it."""

    damage: Callable[[Any, Path, Path], Path]
    """Given a generator, the folder of seeds and an empty folder: makes the damaged file in it."""

    read: Callable[[Path], Any]


def draw_file(rng, folder, pattern="*"):
    files = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return files[rng.integers(len(files))]


def damage_bytes(rng, seeds, folder):
    source = draw_file(rng, seeds)
    path = folder / source.name
    path.write_bytes(mutate_bytes(rng, source.read_bytes()))
    return path


def damage_picture(rng, seeds, folder):
    return damage_bytes(rng, seeds, folder).parent


def damage_json(rng, seeds, folder):
    source = draw_file(rng, seeds, "*.json")
    path = folder / source.name
    path.write_bytes(mutate_json(rng, source.read_text()))
    return path


def damage_tensors(rng, seeds, folder):
    path = folder / "a.safetensors"
    mutate_tensors(rng, draw_file(rng, seeds), path)
    return path


def damage_answer(rng, seeds, folder):
    shutil.copy(seeds / "clip.mp4", folder)
    return damage_json(rng, seeds, folder)


def damage_one_of(rng, seeds, folder):
    """Copy a folder, and damage one of its text files."""
    shutil.copytree(seeds, folder, dirs_exist_ok=True)
    files = [path for pattern in ("*.json", "*.jsonl") for path in sorted(folder.rglob(pattern))]
    path = files[rng.integers(len(files))]
    if path.suffix == ".jsonl":
        lines = path.read_bytes().splitlines(keepends=True)
        at = rng.integers(len(lines))
        damaged = (
            mutate_json(rng, lines[at]) if rng.random() < 0.7 else mutate_bytes(rng, lines[at])
        )
        lines[at] = damaged + (b"\n" if rng.random() < 0.9 else b"")
        path.write_bytes(b"".join(lines))
    else:
        path.write_bytes(mutate_json(rng, path.read_text()))
    return folder


def damage_annotations(rng, seeds, folder):
    kinds = sorted(seeds.iterdir())
    place = folder / kinds[rng.integers(len(kinds))].name
    return damage_one_of(rng, seeds / place.name, place)


def read_and_rewrite(path):
    """Read a video, and write what can be streamed of it."""
    video = read_video(path, 4)
    write_video(path.with_name("out.mp4"), islice(source_frames(video), STREAMED), video.fps)


def read_pictures(folder):
    """Read a folder of one picture."""
    return read_video(folder, 1)


def read_samples(folder):
    """Check a data set: what is wrong with a sample is a finding there, and no error."""
    (finding, *_) = [*check_samples(load_dataset(folder.name, folder)), None]
    if finding is not None and finding.fatal:
        raise RefusedError(finding.text)


def read_and_continue(folder):
    run = read_run(folder)
    config = {name: value for name, value in run.config.items() if name != "format"}
    with open_run(folder, config, run.environment):
        pass


KINDS = {
    "videos": Kind(damage_bytes, read_and_rewrite),
    "pictures": Kind(damage_picture, read_pictures),
    "tracks": Kind(damage_json, lambda path: load_tracks(path, stand_in())),
    "annotations": Kind(damage_annotations, read_samples),
    "answers": Kind(damage_answer, Answer.load),
    "runs": Kind(damage_one_of, read_and_continue),
    "latents": Kind(damage_tensors, LatentPrompt.load),
    "heads": Kind(damage_json, HeadList.load),
    "splits": Kind(damage_json, Decompositions.load),
}


def read_quietly(kind, path):
    """Read a damaged file; warnings are of no interest here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return KINDS[kind].read(path)
