"""An example of each command, which its help ends with; they follow each other.

All but the last run in this order in one folder, with nothing but the package: each reads what
one before it wrote. The last needs pairs of the user's own.
"""

from collections.abc import Mapping
from types import MappingProxyType

EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "demo": "probe demo",
        "ground": 'probe ground probe-demo/clip.mp4 "the white cross that slides right"',
        "tokens": 'probe tokens probe-demo/clip.mp4 "Is there a white cross in this video?"',
        "evaluate": "probe evaluate shapes-val --method causal --limit 10",
        "report": "probe report probe-run",
        "convert": "probe convert probe-demo/answer.json --from answer --out clips.jsonl",
        "view": "probe view probe-demo --truth probe-demo/truth.json",
        "serve": "probe serve probe-demo/clip.mp4 --port 0",
        "check-model": "probe check-model organism",
        "concepts": "probe concepts --data shapes --layer 4 --clips 30",
        "responses": "probe responses train --data shapes --limit 20 --steps 5",
        "train-organism": "probe train-organism --quick --out quick-run",
        "pretrain": "probe pretrain --pairs pairs.csv --image-tower RN50 --device cuda",
    }
)
"""One command line that works, by the name of the command."""
