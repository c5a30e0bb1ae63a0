"""Families: the names of each architecture's parts, and how its visual tokens tile a video.

`family` says what an entry has, `tilings` which cell of the video each visual token is, and `table`
has the entries; those for pictures are in `pictures`, reasons for having none in `refused`, and
`lookup` finds the right one. To add a family:

1. Find the decoder, the part whose layers are at `.layers`, in the architecture's source:
   `language_model`, or else. That is `language_model` of the entry.
2. Find the entry of the configuration with the id that marks a visual token: `placeholder`.
3. Say which source frames, rows and columns these tokens are: by a function of `tilings` that fits,
   or a new one of a few lines that gives `Cells`; `shown_region` knows of resizing and cropping.
   Measure the pictures that the processor made, do not count tokens: their number is the proof.
4. Count tokens that bear the same id and are no cells: `heading` a frame, `trailing` at the end.
5. Name a switch for thinking that is not `enable_thinking` (`template`), and marks of vision that
   the processor writes twice (`frame_marks`).
6. Put the entry into `table`.
7. Build a tiny checkpoint of random weights in `tests/zoo`; `probe check-model` is the proof.
"""

from probe.engine.families.family import Family, Inputs, shown_region
from probe.engine.families.lookup import entry_for, family_of
from probe.engine.families.pictures import PICTURES
from probe.engine.families.table import FAMILIES

__all__ = ["FAMILIES", "PICTURES", "Family", "Inputs", "entry_for", "family_of", "shown_region"]
