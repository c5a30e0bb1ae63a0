"""Types of the public names; written by `python -m probe.public`."""

from probe.engine.model import load as load
from probe.engine.model import VideoLM as VideoLM
from probe.engine.conformance import check_model as check_model
from probe.video.video import read_video as read_video
from probe.video.video import read_image as read_image
from probe.video.video import Video as Video
from probe.engine.view import View as View
from probe.engine.readings import Reading as Reading
from probe.engine.readings import AttentionMaps as AttentionMaps
from probe.engine.prompts import GENERIC as GENERIC
from probe.engine.attention import Heatmap as Heatmap
from probe.engine.grids import VisualGrid as VisualGrid
from probe.interpret.grounding_tokens import rank_tokens as rank_tokens
from probe.interpret.grounding_tokens import grounding_token as grounding_token
from probe.engine.interventions import Intervention as Intervention
from probe.interpret.cuts import Cut as Cut
from probe.interpret.knockouts import knock_out as knock_out
from probe.interpret.effects import Effect as Effect
from probe.interpret.causal import causal_grounding as causal_grounding
from probe.interpret.causal import deletion_curve as deletion_curve
from probe.interpret.heads import HeadList as HeadList
from probe.interpret.logit_lens import logit_lens as logit_lens
from probe.interpret.word_lens import word_lens as word_lens
from probe.engine.latent_prompts import LatentPrompt as LatentPrompt
from probe.grounding.reattention import reattend as reattend
from probe.grounding.reattention import Reattention as Reattention
from probe.grounding.reattention import Learning as Learning
from probe.grounder import ground as ground
from probe.grounding.config import GrounderConfig as GrounderConfig
from probe.grounding.presets import CAUSAL as CAUSAL
from probe.grounding.presets import BEST as BEST
from probe.grounding.presets import PLAIN as PLAIN
from probe.grounding.presets import PAPER as PAPER
from probe.grounding.presets import RELEASED_CODE as RELEASED_CODE
from probe.grounding.answers import Answer as Answer
from probe.grounding.queries import decompose as decompose
from probe.grounding.queries import Queries as Queries
from probe.candidates.proposals import propose_tracks as propose_tracks
from probe.candidates.tracks import load_tracks as load_tracks
from probe.candidates.tracks import save_tracks as save_tracks
from probe.candidates.detectors import load_detector as load_detector
from probe.candidates.detectors import detect_tracks as detect_tracks
from probe.video.tubes import Span as Span
from probe.video.tubes import Tube as Tube
from probe.datasets import load_dataset as load_dataset
from probe.evaluation import evaluate as evaluate
from probe.metrics import score as score
from probe.metrics import score_query as score_query
from probe.drawing.figures import compare_maps as compare_maps
from probe.drawing.overlays import overlay as overlay
from probe.viewer.page import page as page
from probe.viewer.widget import show as show
from probe.interpret.token_rules import MostActive as MostActive
from probe.interpret.token_rules import AnswerOpening as AnswerOpening
from probe.interpret.token_rules import Fixed as Fixed
from probe.interpret.token_rules import AllOf as AllOf
from probe.engine.attention import assemble as assemble
from probe.engine.grids import Cells as Cells
from probe.interpret.grounding_tokens import visual_activation as visual_activation
from probe.interpret.knockouts import MeanAblation as MeanAblation
from probe.interpret.knockouts import NoiseAblation as NoiseAblation
from probe.interpret.knockouts import mean_outputs as mean_outputs
from probe.interpret.knockouts import swap_tokens as swap_tokens
from probe.interpret.knockouts import compare as compare
from probe.interpret.cuts import CutVideo as CutVideo
from probe.interpret.shares import Amplify as Amplify
from probe.interpret.shares import SetAttention as SetAttention
from probe.interpret.steering import Steer as Steer
from probe.interpret.steering import Patch as Patch
from probe.interpret.steering import PatchHeads as PatchHeads
from probe.interpret.steering import record_states as record_states
from probe.interpret.steering import record_outputs as record_outputs
from probe.interpret.causal import rank_agreement as rank_agreement
from probe.interpret.causal import random_map as random_map
from probe.interpret.causal import insertion_curve as insertion_curve
from probe.interpret.heads import head_scores as head_scores
from probe.interpret.heads import localization_heads as localization_heads
from probe.interpret.heads import heads_on_track as heads_on_track
from probe.interpret.heads import attention_sinks as attention_sinks
from probe.interpret.time_heads import time_head_scores as time_head_scores
from probe.interpret.time_heads import time_heads as time_heads
from probe.interpret.time_heads import time_contrast as time_contrast
from probe.interpret.head_rules import GatheredInTime as GatheredInTime
from probe.interpret.head_rules import TheseHeads as TheseHeads
from probe.interpret.baseline_maps import last_token as last_token
from probe.interpret.baseline_maps import attention_rollout as attention_rollout
from probe.interpret.baseline_maps import gradient_attention as gradient_attention
from probe.interpret.logit_lens import LogitLens as LogitLens
from probe.interpret.reading_diffs import diff as diff
from probe.interpret.reading_diffs import ReadingDiff as ReadingDiff
from probe.interpret.object_states import object_states as object_states
from probe.interpret.object_states import ObjectStates as ObjectStates
from probe.metrics.zero_shot import zero_shot_report as zero_shot_report
from probe.metrics.zero_shot import ZeroShotReport as ZeroShotReport
from probe.trained.concepts.concept_probe import ConceptProbe as ConceptProbe
from probe.trained.concepts.attributes import ClassAttributes as ClassAttributes
from probe.interpret.tower_maps import tower_attention as tower_attention
from probe.interpret.tower_maps import tower_rollout as tower_rollout
from probe.trained.responses.responses import Responses as Responses
from probe.grounding.reattention import Absolute as Absolute
from probe.grounding.reattention import Relative as Relative
from probe.grounding.box_steering import steer_to as steer_to
from probe.grounding.box_steering import Steering as Steering
from probe.interpret.regions import weigh_cells as weigh_cells
from probe.grounding.presets import NOUN as NOUN
from probe.grounding.presets import ENTROPY_GRADIENT as ENTROPY_GRADIENT
from probe.grounding.absence import Absence as Absence
from probe.grounding.absence import AbsenceError as AbsenceError
from probe.grounding.losses import exponential as exponential
from probe.grounding.losses import contrast as contrast
from probe.grounding.losses import entropy as entropy
from probe.grounding.losses import LookOutside as LookOutside
from probe.grounding.span_rules import TopHull as TopHull
from probe.grounding.span_rules import GrowFromPeak as GrowFromPeak
from probe.grounding.span_rules import BestContrast as BestContrast
from probe.grounding.span_rules import best_span as best_span
from probe.grounding.relevance import OverGeneric as OverGeneric
from probe.grounding.relevance import MinusGeneric as MinusGeneric
from probe.grounding.again import ReadAgain as ReadAgain
from probe.grounding.answers import Look as Look
from probe.grounder import look as look
from probe.engine.generation import write_answer as write_answer
from probe.video.frame_rate import FrameRate as FrameRate
from probe.engine.answering import generate as generate
from probe.video.parts import read_part as read_part
from probe.engine.kept_views import keep_views as keep_views
from probe.evaluation.batch import ground_many as ground_many
from probe.candidates.proposals import heatmap_tracks as heatmap_tracks
from probe.candidates.nested_tracks import NestedConfig as NestedConfig
from probe.candidates.nested_tracks import propose_nested_tracks as propose_nested_tracks
from probe.candidates.tracks import best_track as best_track
from probe.candidates.detectors import Detector as Detector
from probe.candidates.detectors import load_picture_detector as load_picture_detector
from probe.video.masks import Mask as Mask
from probe.grounding.targets import NearBest as NearBest
from probe.grounding.targets import Target as Target
from probe.candidates.detections import DetectionConfig as DetectionConfig
from probe.viewer.page import save_page as save_page
from probe.viewer.live.live_widget import ask_live as ask_live
from probe.interpret import token_rules as token_rules
from probe.grounding import track_rules as track_rules
from probe.grounding import span_rules as span_rules
from probe.grounding import losses as losses

__version__: str

__all__ = [
    "load",
    "VideoLM",
    "check_model",
    "read_video",
    "read_image",
    "Video",
    "View",
    "Reading",
    "AttentionMaps",
    "GENERIC",
    "Heatmap",
    "VisualGrid",
    "rank_tokens",
    "grounding_token",
    "Intervention",
    "Cut",
    "knock_out",
    "Effect",
    "causal_grounding",
    "deletion_curve",
    "HeadList",
    "logit_lens",
    "word_lens",
    "LatentPrompt",
    "reattend",
    "Reattention",
    "Learning",
    "ground",
    "GrounderConfig",
    "CAUSAL",
    "BEST",
    "PLAIN",
    "PAPER",
    "RELEASED_CODE",
    "Answer",
    "decompose",
    "Queries",
    "propose_tracks",
    "load_tracks",
    "save_tracks",
    "load_detector",
    "detect_tracks",
    "Span",
    "Tube",
    "load_dataset",
    "evaluate",
    "score",
    "score_query",
    "compare_maps",
    "overlay",
    "page",
    "show",
    "token_rules",
    "track_rules",
    "span_rules",
    "losses",
]
