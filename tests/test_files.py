"""Files are there whole or not at all, whoever is stopped, and whatever is wrong is named."""

import errno
import json
import os
import resource
import stat
import struct
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from probe.files import (
    PARTIAL,
    FileFormat,
    read_json,
    read_tensors,
    remove_partials,
    write_atomically,
    write_bytes,
    write_json,
    write_tensors,
    write_text,
)
from probe.video import Span

NOBODY = 65534
OLD, NEW = b"the old one", b"the new one\n" * 40_000


def one_line(work, *, of=""):
    """The message of the error that `work` raises, shown to be one line that names the file."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the caller reads the message
        work()
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(of))
    return message


def run_python(program, *words, **environment):
    """Run a program in a process of its own, which has not imported torch; return what it says."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)],
        capture_output=True,
        env=os.environ | environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def permissions(path):
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def under_umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def as_nobody():
    """Without the rights of root, whom no permission stops."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder that everybody may enter, as pytest's own may not be."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


# Whole or not at all

KILLED_AT_EVERY_STEP = """
import json, os, signal, sys
from pathlib import Path
from probe.files import PARTIAL, write_bytes

folder, old, new = Path(sys.argv[1]), b"the old one", b"the new one\\n" * 40_000
outcomes = []
for step in range(100):
    path = folder / f"{step}.txt"
    path.write_bytes(old)
    if not (child := os.fork()):
        left = step
        def count(event, arguments):
            global left
            if event in ("open", "os.chmod", "os.rename", "os.remove", "os.fsync"):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        fsync = os.fsync
        os.fsync = lambda file: (count("os.fsync", ()), fsync(file))
        sys.addaudithook(count)
        write_bytes(path, new)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    content = path.read_bytes()
    partials = list(folder.glob(f"{PARTIAL}*"))
    for partial in partials:
        partial.unlink()
    kind = "old" if content == old else "new" if content == new else "torn"
    outcomes.append([os.WIFSIGNALED(status), kind, len(partials)])
    if not os.WIFSIGNALED(status):
        break
print(json.dumps(outcomes))
"""


def test_a_writer_killed_at_any_step_leaves_the_old_file_or_the_new_one(tmp_path):
    outcomes = json.loads(run_python(KILLED_AT_EVERY_STEP, tmp_path))
    *killed, last = outcomes
    assert last == [False, "new", 0], "a writer that nobody stops gets to its end"
    assert all(stopped for stopped, *_ in killed)
    kinds = [kind for _, kind, _ in killed]
    assert set(kinds) == {"old", "new"}, "stopped before the rename and after it"
    assert kinds == sorted(kinds, reverse=True), "first the old one is there, then the new one"
    assert any(partials for *_, partials in killed), "some were stopped while they wrote"


KILLED_AT_ANY_MOMENT = """
import json, os, random, signal, sys, time
from pathlib import Path
from probe.files import PARTIAL, write_text

folder, draw = Path(sys.argv[1]), random.Random(0)
torn, partials = [], 0
for attempt in range(60):
    path = folder / "numbers.json"
    path.unlink(missing_ok=True)
    if not (child := os.fork()):
        for version in range(10_000):
            write_text(path, json.dumps([version] * 50_000))
        os._exit(0)
    time.sleep(draw.uniform(0.001, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if path.exists():
        try:
            numbers = json.loads(path.read_text())
            torn += [] if len(numbers) == 50_000 and len(set(numbers)) == 1 else [attempt]
        except ValueError:
            torn.append(attempt)
    for partial in folder.glob(f"{PARTIAL}*"):
        partials += partial.stat().st_size > 0
        partial.unlink()
print(json.dumps([torn, partials]))
"""


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_nothing_half_written_under_the_name(tmp_path):
    torn, partials = json.loads(run_python(KILLED_AT_ANY_MOMENT, tmp_path))
    assert torn == []
    assert partials > 0, "some were killed in the middle of their bytes"


WRITING = """
import sys
from probe.files import write_json

for version in range(40):
    write_json(sys.argv[1], [f"{sys.argv[2]}-{version}"] * 20_000)
"""


@pytest.mark.slow
def test_several_processes_may_write_one_file_while_another_reads_it(tmp_path):
    path = tmp_path / "shared.json"
    write_json(path, ["none"] * 20_000)
    writers = [subprocess.Popen([sys.executable, "-c", WRITING, str(path), name]) for name in "abc"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        content = read_json(path)
        assert len(content) == 20_000
        assert len(set(content)) == 1
        seen.add(content[0])
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert len(seen) > 1, "it was read while it was written"
    assert read_json(path)[0].endswith("-39"), "the last of one writer"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_block_that_is_stopped_leaves_the_old_file_and_no_other(tmp_path, stop):
    path = tmp_path / "kept.bin"
    path.write_bytes(OLD)

    def write():
        with write_atomically(path) as temporary:
            temporary.write_bytes(NEW)
            raise stop

    with pytest.raises(stop):
        write()
    assert path.read_bytes() == OLD
    assert [*tmp_path.iterdir()] == [path]


def test_file_and_folder_reach_the_disk_before_and_after_the_rename(tmp_path, monkeypatch):
    steps, fsync, replace = [], os.fsync, Path.replace

    def flush(handle):
        steps.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def rename(source, target):
        steps.append("rename")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(Path, "replace", rename)
    write_text(tmp_path / "a.txt", "a")
    assert steps == ["file", "rename", "folder"]


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    write_text(tmp_path / "a.txt", "a")
    (tmp_path / f"{PARTIAL}0123456789ab.txt").write_text("half of a")
    remove_partials(tmp_path)
    assert [*tmp_path.iterdir()] == [tmp_path / "a.txt"]


def test_a_block_may_leave_the_folder_it_was_in(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with write_atomically("a.txt") as temporary:
        os.chdir(tmp_path / "elsewhere")
        temporary.write_bytes(NEW)
    assert (tmp_path / "a.txt").read_bytes() == NEW


def test_the_temporary_name_keeps_the_suffix_and_a_long_name_is_no_trouble(tmp_path):
    path = tmp_path / f"{'n' * 250}.png"
    with write_atomically(path) as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path
        temporary.write_bytes(NEW)
    assert path.read_bytes() == NEW


# Permissions and links

WRITERS = {
    "text": lambda path: write_text(path, "words"),
    "json": lambda path: write_json(path, [1, 2]),
    "tensors": lambda path: write_tensors(path, {"a": torch.ones(3)}, None),
}


def put_another_in_place(path):
    """Write as libraries do that make a file with permissions of their own, and rename it."""
    with write_atomically(path) as temporary:
        other = temporary.with_name("other")
        other.touch(mode=0o600)
        other.replace(temporary)


WRITERS["a file put in place by a library"] = put_another_in_place


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o027, 0o077])
@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_a_new_file_has_the_permissions_that_the_umask_gives(tmp_path, writer, mask):
    with under_umask(mask):
        writer(tmp_path / "new")
    assert permissions(tmp_path / "new") == 0o666 & ~mask


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o666])
@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path, writer, mode):
    path = tmp_path / "known"
    path.touch()
    path.chmod(mode)
    for mask in (0o000, 0o077):
        with under_umask(mask):
            writer(path)
        assert permissions(path) == mode


def test_nobody_else_reads_the_next_version_of_a_private_file_while_it_is_written(tmp_path):
    path = tmp_path / "private"
    path.touch(mode=0o600)
    with under_umask(0), write_atomically(path) as temporary:
        assert permissions(temporary) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to any group")
def test_a_file_that_is_replaced_keeps_its_group(tmp_path):
    path = tmp_path / "shared"
    path.touch()
    os.chown(path, -1, NOBODY)
    write_text(path, "words")
    assert path.stat().st_gid == NOBODY


def test_a_link_stays_and_the_file_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    real, link = tmp_path / "far" / "real.txt", tmp_path / "link.txt"
    for content in ("first", "second"):  # the first leads nowhere yet
        link.unlink(missing_ok=True)
        link.symlink_to("far/real.txt")
        write_text(link, content)
        assert link.is_symlink()
        assert real.read_text() == link.read_text() == content
    assert [*real.parent.iterdir()] == [real]


# What cannot be written


def test_where_a_file_cannot_be_written_is_said_before_the_work_is_done(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    problems = {
        "none/a.txt": r"the folder .*none does not exist; make it first",
        "file/a.txt": r"the folder .*file is not a folder",
        "folder": "a folder; give the name of a file",
        "loop": "a symbolic link that leads to itself",
        "pipe": "not an ordinary file",
        "n" * 300: r"cannot be written \(File name too long\)",
    }
    worked = []
    for name, problem in problems.items():
        path = tmp_path / name
        with pytest.raises(ValueError, match=problem) as caught, write_atomically(path):
            worked.append(name)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
    assert worked == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "loop", "pipe"]


def test_a_folder_that_may_not_be_written_is_named_before_the_work_is_done(open_folder):
    path = open_folder / "a.txt"
    open_folder.chmod(0o555)
    with as_nobody():
        message = one_line(lambda: write_text(path, "words"), of=path)
    assert "(Permission denied); give a folder that you may write to" in message


def test_a_file_that_is_protected_is_not_replaced(open_folder):
    path = open_folder / "a.txt"
    path.write_text("precious")
    path.chmod(0o444)
    with as_nobody():
        assert "write-protected" in one_line(lambda: write_text(path, "words"), of=path)
    assert path.read_text() == "precious"


def test_a_folder_that_may_not_be_entered_is_named(open_folder):
    path = open_folder / "closed" / "inner" / "a.json"
    path.parent.parent.mkdir(mode=0)
    with as_nobody():
        assert "Permission denied" in one_line(lambda: write_json(path, 1), of=path)
        assert "Permission denied" in one_line(lambda: read_json(path), of=path)


def test_a_file_that_grows_too_large_is_named_and_leaves_nothing(tmp_path):
    path = tmp_path / "large.bin"
    path.write_bytes(OLD)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    try:
        message = one_line(lambda: write_bytes(path, bytes(2**21)), of=path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "cannot be written (File too large); make room" in message
    assert path.read_bytes() == OLD
    assert [*tmp_path.iterdir()] == [path]


def test_a_disk_that_is_full_only_when_it_is_flushed_is_named_and_leaves_nothing(
    tmp_path, monkeypatch
):
    def full(_handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    message = one_line(lambda: write_bytes(tmp_path / "a.bin", NEW), of=tmp_path / "a.bin")
    assert "(No space left on device); make room" in message
    assert not [*tmp_path.iterdir()]


def test_an_error_about_a_file_that_the_block_reads_is_not_ours(tmp_path):
    with pytest.raises(FileNotFoundError), write_atomically(tmp_path / "a.txt"):
        (tmp_path / "source").read_bytes()
    with pytest.raises(OSError, match="cannot write mode"), write_atomically(tmp_path / "a.jpg"):
        raise OSError("cannot write mode RGBA as JPEG")


# JSON and text

CONTENT = {"name": "the dög 犬", "huge": 2**70, "small": 5e-324, "large": 1.7976931348623157e308}


def test_json_comes_back_to_the_last_bit(tmp_path):
    write_json(tmp_path / "a.json", CONTENT)
    assert read_json(str(tmp_path / "a.json")) == CONTENT
    assert "dög 犬" in (tmp_path / "a.json").read_text(encoding="utf-8"), "a person can read it"


def test_the_locale_does_not_matter(tmp_path):
    program = (
        "import sys; from probe.files import *; content = {'name': 'the d\\xf6g \\u72ac'};"
        "write_json(sys.argv[1], content); assert read_json(sys.argv[1]) == content;"
        "write_text(sys.argv[2], content['name'] + '\\n')"
    )
    places = tmp_path / "a.json", tmp_path / "a.txt"
    run_python(program, *places, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert read_json(places[0]) == {"name": "the dög 犬"}
    assert places[1].read_bytes() == "the dög 犬\n".encode()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_is_read_in_every_unicode_encoding(tmp_path, encoding):
    (tmp_path / "a.json").write_bytes(json.dumps(CONTENT, ensure_ascii=False).encode(encoding))
    assert read_json(tmp_path / "a.json") == CONTENT


def test_a_file_name_that_is_not_unicode_survives(tmp_path):
    name = os.fsdecode(b"d\xf6g.mp4")
    write_json(tmp_path / "a.json", {name: [name]})
    assert read_json(tmp_path / "a.json") == {name: [name]}
    write_text(tmp_path / "a.txt", name)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == r"d\udcf6g.mp4"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"{", "Expecting property name"),
        (b"[1, 2", "Expecting ',' delimiter"),
        (b"\xff\xfe\x00", "codec can't decode"),
        (b'"\xe9"', "codec can't decode"),
        (bytes(9), "codec can't decode"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b"[" * 150 + b"]" * 150, "nested too deeply"),
        (b'{"a":' * 150 + b"1" + b"}" * 150, "nested too deeply"),
        (b'{"a": 1, "b": 2, "a": 3}', "'a' is there twice in one object"),
        (b'[{"x": {"a": 1, "a": 1}}]', "'a' is there twice in one object"),
        (b'{"' + b"x" * 10**6 + b'": 1, "' + b"x" * 10**6 + b'": 1}', "is there twice"),
        (b"9" * 5000, "4300 digits"),
    ],
)
def test_what_is_not_json_is_said_in_one_line(tmp_path, content, problem):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    message = one_line(lambda: read_json(path), of=path)
    assert "cannot be read as JSON" in message
    assert problem in message
    assert len(message) < len(str(path)) + 200


def test_json_may_be_as_deep_as_anybody_needs(tmp_path):
    deep = json.loads("[" * 99 + '{"a": 1}' + "]" * 99)
    write_json(tmp_path / "a.json", deep)
    assert read_json(tmp_path / "a.json") == deep


@pytest.mark.slow
def test_a_text_of_any_length_is_read(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"name": "x" * 10**8}))
    assert len(read_json(tmp_path / "a.json")["name"]) == 10**8


def test_a_file_that_memory_would_not_hold_is_refused_at_once(tmp_path):
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # a terabyte of which the disk keeps nothing
    assert "too large (1099512 MB); at most 537 MB are read" in one_line(lambda: read_json(path))


def test_numbers_beyond_all_floats_are_read_as_infinite(tmp_path):
    (tmp_path / "a.json").write_text("[1e999, -1e999, 1e-999]")
    assert read_json(tmp_path / "a.json") == [float("inf"), float("-inf"), 0.0]


@pytest.mark.parametrize("read", [read_json, read_tensors])
def test_what_is_no_file_is_named(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    problems = {
        "none": "no such file (looked from ",
        "file/below": "no such file",
        "": "a folder, not a file",
        "pipe": "a pipe, not an ordinary file; give a file",
        "n" * 300: "File name too long); give another path",
    }
    for name, problem in problems.items():
        assert problem in one_line(lambda name=name: read(tmp_path / name), of=tmp_path / name)
    assert "null" in one_line(lambda: read("a\0b"))


# Tensors


def test_tensors_come_back_with_their_metadata(tmp_path):
    path = tmp_path / "a.safetensors"
    whole = torch.arange(24.0).reshape(4, 6)
    tensors = {
        "whole": whole,
        "turned": whole.T,
        "part": whole[1:3, ::2],
        "half": whole.bfloat16(),
        "single": torch.tensor(3),
        "none": torch.zeros(0, 5),
        "grown": whole.clone().requires_grad_() * 2,
        "flags": whole > 3,
    }
    about = {"name": "the dög", "layers": [1, 2], "nothing": None}
    write_tensors(path, tensors, about)
    found, read = read_tensors(path)
    assert read == about
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


def test_a_file_of_another_program_has_no_metadata_of_ours(tmp_path):
    path = tmp_path / "a.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file({"a": torch.ones(2)}, path, metadata)
        tensors, about = read_tensors(path)
        assert about is None
        assert tensors["a"].tolist() == [1, 1]
    save_file({"a": torch.ones(2)}, path, {"about": "no JSON"})
    assert "not a safetensors file" in one_line(lambda: read_tensors(path), of=path)


def test_a_damaged_safetensors_file_is_said_in_one_line(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": torch.ones(3, 4), "b": torch.ones(2)}, {"name": "a"})
    whole = path.read_bytes()
    for length in range(0, len(whole), 5):
        path.write_bytes(whole[:length])
        assert "not a safetensors file" in one_line(lambda: read_tensors(path), of=path)
    (size,) = struct.unpack("<Q", whole[:8])
    refused = 0
    for place in range(8 + size):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :])
        try:
            read_tensors(path)  # a letter of a name may change without harm
        except ValueError as failure:
            refused += "\n" not in str(failure)
    assert refused > size / 2
    path.write_bytes(struct.pack("<Q", 2**62) + whole[8:])
    one_line(lambda: read_tensors(path), of=path)


# File formats

TOYS = FileFormat("grounding-probe/toys", 2, "toys", "save_toys")


def test_a_file_of_ours_is_known_by_its_header(tmp_path):
    write_json(tmp_path / "a.json", {**TOYS.header, "toys": ["bear"]})
    content = TOYS.check("a.json", read_json(tmp_path / "a.json"))
    assert content["toys"] == ["bear"]


@pytest.mark.parametrize("content", [None, [], "toys", 3, {}, {"format": "grounding-probe/toy"}])
def test_a_file_of_another_kind_is_refused(content):
    message = one_line(lambda: TOYS.check("a.json", content), of="a.json")
    assert message == "a.json: not toys; give a file that save_toys wrote"


@pytest.mark.parametrize("version", [None, 1, 3, "2", "a\nb"])
def test_another_version_is_refused(version):
    content = {"format": "grounding-probe/toys", "version": version}
    message = one_line(lambda: TOYS.check("a.json", content), of="a.json")
    assert f"version {version!r} of toys, but this program reads version 2" in message


@pytest.mark.parametrize(
    "search",
    [
        lambda content: content["dolls"],
        lambda content: content["toys"][5],
        lambda content: content["toys"]["bear"],
        lambda content: content["toys"].items(),
        lambda content: int(content["huge"]),
    ],
)
def test_an_entry_that_is_missing_or_of_another_type_is_said_in_one_line(search):
    content = {"toys": ["bear"], "huge": float("inf")}

    def look():
        with TOYS.reading("a.json"):
            search(content)

    assert "damaged; cannot be read as toys" in one_line(look, of="a.json")


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda: int("x"), "a.json: cannot be read as toys (invalid literal for int"),
        (lambda: Span(3, 2), "a.json: cannot be read as toys (a span cannot stop at 2"),
        (lambda: TOYS.check("a.json", []), "a.json: not toys; give a file"),
        (lambda: torch.tensor([10**30]), "a.json: "),
        (lambda: torch.zeros(3).view(2, 2), "a.json: damaged; cannot be read as toys (Runtime"),
        (lambda: {}["\n" * 10**6], "a.json: damaged; cannot be read as toys (KeyError"),
    ],
)
def test_whatever_is_made_of_the_entries_an_error_names_the_file_once(work, said):
    def look():
        with TOYS.reading("a.json"):
            work()

    message = one_line(look, of="a.json")
    assert message.startswith(said)
    assert message.count("a.json") == 1
    assert len(message) < 400


def test_reading_and_writing_json_does_not_import_torch(tmp_path):
    program = (
        "import sys; from probe.files import *; write_json(sys.argv[1], [1]);"
        "read_json(sys.argv[1]); print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    assert run_python(program, tmp_path / "a.json").split() == ["False", "False"]


def test_every_signal_that_stops_a_program_politely_cleans_up(tmp_path):
    program = (
        "import os, signal, sys, time\nfrom probe.files import write_atomically\n"
        # A shell starts what runs in the background with this signal ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "try:\n"
        "    with write_atomically(sys.argv[1]) as temporary:\n"
        "        temporary.write_text('half')\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(5)\n"
        "except KeyboardInterrupt:\n    print('stopped')\n"
    )
    assert run_python(program, tmp_path / "a.txt").split() == ["stopped"]
    assert not [*tmp_path.iterdir()]
