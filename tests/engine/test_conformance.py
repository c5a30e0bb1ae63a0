"""check_model proves what is true of a checkpoint, and notices when its family's entry is wrong."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from tolerances import tolerance
from zoo import ZOO, save_tiny

from probe.cli import main
from probe.engine.conformance import PROOFS, check_model, mosaic
from probe.engine.decoder import Decoder
from probe.engine.families import Family
from probe.engine.grids import VisualGrid
from probe.engine.model import load

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds


@pytest.fixture(scope="module", params=ZOO)
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo") / request.param
    save_tiny(request.param, folder)
    return load(folder, dtype="float32")


def under(model, kind, **changes):
    """The same model with a family entry that is wrong in one way."""
    checkpoint, entry = model.checkpoint, model.checkpoint.family
    wrong = kind(**{**vars(entry), **changes})
    return replace(model, decoder=Decoder(replace(checkpoint, family=wrong)))


@dataclass(frozen=True)
class Wrong(Family):
    """An entry whose grid is not what it says."""

    fault: Callable[[VisualGrid], VisualGrid] = lambda grid: grid

    def grid(self, config, processor, video, inputs):
        return self.fault(super().grid(config, processor, video, inputs))


def transposed(grid):
    """Columns are taken for rows."""
    frames, rows, columns = grid.shape
    turned = grid.positions.unflatten(0, (frames, columns, rows)).mT.flatten()
    return VisualGrid(turned, grid.cells)


def sideways(grid):
    """The numbers of rows and columns are swapped."""
    cells = grid.cells
    return replace(grid, cells=replace(cells, rows=cells.columns, columns=cells.rows))


def late(grid):
    """Each token is taken for the cell before its own."""
    return VisualGrid(grid.positions.roll(-1), grid.cells)


def early(grid):
    """Each token is taken for the one behind it in the sequence."""
    return VisualGrid(grid.positions - 1, grid.cells)


def swapped(grid):
    """Two frames are taken for each other."""
    framed = grid.positions.unflatten(0, (grid.shape[0], -1)).clone()
    framed[[0, 1]] = framed[[1, 0]]
    return VisualGrid(framed.flatten(), grid.cells)


def test_a_true_entry_is_proved(model):
    report = check_model(model)
    assert report.passed, report.to_frame().to_string()
    assert [proof.name for proof in report.proofs] == ["grid", *PROOFS]
    grid, sums, painted, cut, eager = (proof.numbers for proof in report.proofs)
    assert grid["tokens"] == grid["cells"]
    assert sums["error"] <= tolerance(1)
    assert painted == {"hits": 1.0, "leak": 0.0}
    assert cut["moved"] > 0.1
    assert eager["error"] <= tolerance(1)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [transposed, sideways, late, early, swapped])
def test_a_wrong_grid_fails_through_the_painted_cells(model, fault):
    inputs = model.checkpoint.process(mosaic(), model.checkpoint.writer(before=0).text("?"))
    _, rows, columns = model.checkpoint.grid(mosaic(), inputs).shape
    if fault is sideways and rows == columns:
        pytest.skip("a square grid has as many rows as columns")
    report = check_model(under(model, Wrong, fault=fault))
    failed = [proof.name for proof in report.proofs if not proof.passed]
    assert "painted cells" in failed, report.to_frame().to_string()


@pytest.mark.parametrize("changes", [{"heading": 2}, {"trailing": 2}])
def test_a_wrong_count_fails_at_once_and_is_refused_when_a_model_is_opened(model, changes):
    wrong = under(model, Family, **changes)
    report = check_model(wrong)
    assert not report.passed
    assert "visual tokens cannot tile" in report.proofs[0].found
    assert [proof.found for proof in report.proofs[1:]] == [
        "not tried: the grid does not fit"
    ] * len(PROOFS)
    with pytest.raises(ValueError, match="visual tokens cannot tile"):
        wrong.decoder.check()


def test_merged_frames_taken_one_by_one_are_noticed(model):
    if getattr(model.checkpoint.processor.video_processor, "temporal_patch_size", 1) == 1:
        pytest.skip("this family merges no frames")
    true = model.checkpoint.family.cells

    def unmerged(*args):
        cells = true(*args)
        single = tuple((frame,) for sources in cells.frames for frame in sources)
        return replace(cells, frames=single)

    report = check_model(under(model, Family, cells=unmerged))
    assert not report.passed


def test_a_decoder_that_is_elsewhere_is_named(model):
    wrong = under(model, Family, language_model="model.no_such_part")
    with pytest.raises(ValueError, match=r"not built like a .* model: .*no_such_part"):
        wrong.decoder.check()


def test_lost_positions_are_noticed(model, monkeypatch):
    read_video = Decoder.read_video

    def forgetful(self, *args):
        prefix = read_video(self, *args)
        return replace(prefix, positions=prefix.positions + 1, following=prefix.following + 3)

    monkeypatch.setattr(Decoder, "read_video", forgetful)
    report = check_model(model)
    assert [proof.name for proof in report.proofs if not proof.passed] == ["eager attention"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_shipped_model_is_read_correctly(dtype):
    report = check_model(load(dtype=dtype))
    assert report.passed, report.to_frame().to_string()


def test_the_command_line_says_what_was_found_and_exits_with_1_if_a_proof_fails(
    tmp_path, monkeypatch, capsys
):
    save_tiny("smolvlm", tmp_path)
    monkeypatch.setattr("sys.argv", ["probe", "check-model", str(tmp_path), "--dtype", "float32"])
    main()
    assert capsys.readouterr().out.count("holds ") == 5
    true = Family.grid
    monkeypatch.setattr(Family, "grid", lambda *args: late(true(*args)))
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    said = capsys.readouterr()
    assert "FAILS  painted cells" in said.out
    assert "is not read correctly: painted cells" in said.err
