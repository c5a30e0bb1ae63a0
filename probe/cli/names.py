"""Names that the help lists: data sets, methods, rules.

They are repeated here, since the tables that they come from are in modules that import torch and
transformers, which takes seconds. A test compares both.
"""

from collections.abc import Mapping
from types import MappingProxyType

DATASETS = (
    "shapes-val",
    "shapes-test",
    "shapes-report-2",
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
        "fuse": ("entropy_gradient",),
        "track": ("AttentionPeak", "AttentionBySize", "CausalEffect"),
        "frame_scores": ("PeakInTrack",),
        "span": ("TopHull", "GrowFromPeak", "BestContrast"),
        "again": ("ReadAgain",),
        "loss": ("exponential", "contrast", "entropy"),
    }
)
"""Names of shipped rules by the field of `RuleOptions`."""
