"""Names that the help lists: data sets, methods, rules.

They are repeated here, since the tables that they come from are in modules that import torch and
transformers, which takes seconds: a misspelt name is told before. A test compares both.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from probe.spelling import explain_unknown

DATASETS = (
    "shapes-val",
    "shapes-test",
    "shapes-report-2",
    "things-val",
    "things-report",
    "hcstvg1",
    "hcstvg2",
    "vidstg",
    "vidstg-declarative",
    "vidstg-interrogative",
)

METHODS = (
    "causal",
    "noun",
    "best",
    "entropy-gradient",
    "plain",
    "paper",
    "released-code",
    "mean-of-roles",
    "fixed-token",
    "noun-token",
    "time-heads",
    "over-generic",
    "read-again",
    "read-again-boxes",
    "lens",
    "responses",
    "largest-track-middle-half",
    "whole-clip",
    "random-track",
    "random-tube",
    "direct",
)

TOKEN_RULES = ("MostActive", "AllOf", "AnswerOpening", "Noun")

RULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "token": TOKEN_RULES,
        "token_when": TOKEN_RULES,
        "heads_when": ("GatheredInTime",),
        "relevance_when": ("OverGeneric", "MinusGeneric"),
        "maps": ("shipped_responses",),
        "fuse": ("entropy_gradient",),
        "track": ("AttentionPeak", "AttentionBySize", "CausalEffect"),
        "frame_scores": ("PeakInTrack",),
        "span": ("TopHull", "GrowFromPeak", "BestContrast"),
        "again": ("ReadAgain",),
        "loss": ("exponential", "contrast", "entropy"),
    }
)
"""Names of shipped rules by the field of `RuleOptions`."""

MAPS_SUFFIX = ".safetensors"
"""The end of the name of a file of trained response maps."""

UNLISTED = frozenset({"centre", "Fixed", "TheseHeads"})
"""Names that are taken or refused with a reason of their own, and that the help leaves out."""


def check_dataset(name: str) -> None:
    """Check that there may be a data set of this name, or a user's own.

    Raises:
        ValueError: if there is none.
    """
    if not name.lower().endswith(".jsonl"):  # a file of the user's
        also = "a file of yours as mine.jsonl, functions of yours as module:name"
        _check("data set", name, DATASETS, also)


def check_method(name: str) -> None:
    """Check that there may be a method of this name, or a user's own.

    Raises:
        ValueError: if there is none.
    """
    _check("method", name, METHODS, "methods of yours as module:name")


def check_rule(kind: str, name: str) -> None:
    """Check that there may be a rule of this kind and name, or a user's own.

    Raises:
        ValueError: if there is none.
    """
    also = "rules of yours as module:name"
    if kind == "maps":
        if name.endswith(MAPS_SUFFIX):
            return
        also = f"a file of `probe responses train` as FILE{MAPS_SUFFIX}, {also}"
    _check(f"{kind.replace('_', '-')} rule", name, RULES[kind], also)


def _check(kind: str, name: str, known: Iterable[str], also: str) -> None:
    # The object of a user's own name is looked for later, by importing its module.
    if ":" not in name and name not in known and name not in UNLISTED:
        raise ValueError(explain_unknown(kind, name, known, also))
