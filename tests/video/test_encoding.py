import pytest

from probe.organism.world import make_clip
from probe.video.encoding import write_video


@pytest.mark.slow
def test_the_same_frames_give_the_same_file(tmp_path):
    clip = make_clip(4)
    files = set()
    for _ in range(3):
        # Drawn anew each time: what lies in memory next to a picture must not reach the file.
        write_video(tmp_path / "clip.mp4", (clip.frame(i, scale=4) for i in range(32)), 16)
        files.add((tmp_path / "clip.mp4").read_bytes())
    assert len(files) == 1
