"""The public names, in reading order, and the module that each of them comes from.

This table is the only place where they are listed: `probe/__init__.py` imports from it when a name
is first used, and `python -m probe.public` writes the types of it into `probe/__init__.pyi`.
"""

from pathlib import Path

PUBLIC: tuple[tuple[str, tuple[str, ...]], ...] = (
    # A model, a video, and what the model does with questions about it.
    ("engine.model", ("load", "VideoLM")),
    ("engine.conformance", ("check_model",)),
    ("video.video", ("read_video", "read_image", "Video")),
    ("engine.view", ("View",)),
    ("engine.readings", ("Reading", "AttentionMaps")),
    ("engine.prompts", ("GENERIC",)),
    ("engine.attention", ("Heatmap",)),
    ("engine.grids", ("VisualGrid",)),
    # Grounding tokens.
    ("interpret.grounding_tokens", ("rank_tokens", "grounding_token")),
    # Interventions, and what they change.
    ("engine.interventions", ("Intervention",)),
    ("interpret.cuts", ("Cut",)),
    ("interpret.knockouts", ("knock_out",)),
    ("interpret.effects", ("Effect",)),
    ("interpret.causal", ("causal_grounding", "deletion_curve")),
    ("interpret.heads", ("HeadList",)),
    ("interpret.logit_lens", ("logit_lens",)),
    ("interpret.word_lens", ("word_lens",)),
    ("engine.latent_prompts", ("LatentPrompt",)),
    ("grounding.reattention", ("reattend", "Reattention", "Learning")),
    # The grounder.
    ("grounder", ("ground",)),
    ("grounding.config", ("GrounderConfig",)),
    ("grounding.presets", ("CAUSAL", "BEST", "PLAIN", "PAPER", "RELEASED_CODE")),
    ("grounding.answers", ("Answer",)),
    ("grounding.queries", ("decompose", "Queries")),
    ("candidates.proposals", ("propose_tracks",)),
    ("candidates.tracks", ("load_tracks", "save_tracks")),
    ("candidates.detectors", ("load_detector", "detect_tracks")),
    ("video.tubes", ("Span", "Tube")),
    # Benchmarks.
    ("datasets", ("load_dataset",)),
    ("evaluation", ("evaluate",)),
    ("metrics", ("score", "score_query")),
    # Pictures and pages.
    ("drawing.figures", ("compare_maps",)),
    ("drawing.overlays", ("overlay",)),
    ("viewer.page", ("page",)),
    ("viewer.widget", ("show",)),
)
"""Module below `probe`, and the names that it gives: those that `from probe import *` brings."""

NAMESPACES: tuple[tuple[str, str], ...] = (
    ("token_rules", "interpret.token_rules"),
    ("track_rules", "grounding.track_rules"),
    ("span_rules", "grounding.span_rules"),
    ("losses", "grounding.losses"),
)
"""Groups of rules that go by one name, such as `probe.span_rules.TopHull`, and their modules."""

ALSO: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("interpret.token_rules", ("MostActive", "AnswerOpening", "Fixed", "AllOf")),
    ("engine.attention", ("assemble",)),
    ("engine.grids", ("Cells",)),
    ("interpret.grounding_tokens", ("visual_activation",)),
    (
        "interpret.knockouts",
        ("MeanAblation", "NoiseAblation", "mean_outputs", "swap_tokens", "compare"),
    ),
    ("interpret.cuts", ("CutVideo",)),
    ("interpret.shares", ("Amplify", "SetAttention")),
    (
        "interpret.steering",
        ("Steer", "Patch", "PatchHeads", "record_states", "record_outputs"),
    ),
    ("interpret.causal", ("rank_agreement", "random_map", "insertion_curve")),
    (
        "interpret.heads",
        ("head_scores", "localization_heads", "heads_on_track", "attention_sinks"),
    ),
    ("interpret.time_heads", ("time_head_scores", "time_heads", "time_contrast")),
    ("interpret.head_rules", ("GatheredInTime", "TheseHeads")),
    (
        "interpret.baseline_maps",
        ("last_token", "attention_rollout", "gradient_attention"),
    ),
    ("interpret.logit_lens", ("LogitLens",)),
    ("interpret.reading_diffs", ("diff", "ReadingDiff")),
    ("interpret.object_states", ("object_states", "ObjectStates")),
    ("metrics.zero_shot", ("zero_shot_report", "ZeroShotReport")),
    ("trained.concepts.concept_probe", ("ConceptProbe",)),
    ("trained.concepts.attributes", ("ClassAttributes",)),
    ("interpret.tower_maps", ("tower_attention", "tower_rollout")),
    ("trained.responses.responses", ("Responses",)),
    ("grounding.reattention", ("Absolute", "Relative")),
    ("grounding.box_steering", ("steer_to", "Steering")),
    ("interpret.regions", ("weigh_cells",)),
    ("grounding.presets", ("NOUN", "ENTROPY_GRADIENT")),
    ("grounding.absence", ("Absence", "AbsenceError")),
    ("grounding.losses", ("exponential", "contrast", "entropy", "LookOutside")),
    ("grounding.span_rules", ("TopHull", "GrowFromPeak", "BestContrast", "best_span")),
    ("grounding.relevance", ("OverGeneric", "MinusGeneric")),
    ("grounding.again", ("ReadAgain",)),
    ("grounding.answers", ("Look",)),
    ("grounder", ("look",)),
    ("engine.generation", ("write_answer",)),
    ("video.frame_rate", ("FrameRate",)),
    ("engine.answering", ("generate",)),
    ("video.parts", ("read_part",)),
    ("engine.kept_views", ("keep_views",)),
    ("evaluation.batch", ("ground_many",)),
    ("candidates.proposals", ("heatmap_tracks",)),
    ("candidates.nested_tracks", ("NestedConfig", "propose_nested_tracks")),
    ("candidates.tracks", ("best_track",)),
    ("candidates.detectors", ("Detector", "load_picture_detector")),
    ("video.masks", ("Mask",)),
    ("grounding.targets", ("NearBest", "Target")),
    ("candidates.detections", ("DetectionConfig",)),
    ("viewer.page", ("save_page",)),
    ("viewer.live.live_widget", ("ask_live",)),
)
"""Names that can be had from `probe` too, but are left out of `from probe import *`."""

HOMES = {name: module for module, names in (*PUBLIC, *ALSO) for name in names}
"""The module below `probe` that each name comes from."""

ALL = (*(name for _, names in PUBLIC for name in names), *(name for name, _ in NAMESPACES))
"""The names of `from probe import *`, in reading order."""


def stub() -> str:
    """Write out, for type checkers, where each name comes from."""
    lines = ['"""Types of the public names; written by `python -m probe.public`."""', ""]
    for module, names in (*PUBLIC, *ALSO):
        lines += [f"from probe.{module} import {name} as {name}" for name in names]
    for name, module in NAMESPACES:
        room, _, file = module.rpartition(".")
        lines.append(f"from probe.{room} import {file} as {name}")
    listed = "".join(f'    "{name}",\n' for name in ALL)
    return "\n".join(lines) + f"\n\n__version__: str\n\n__all__ = [\n{listed}]\n"


if __name__ == "__main__":
    Path(__file__).with_name("__init__.pyi").write_text(stub(), encoding="utf-8")
