"""Files made to do harm: refused, or text like any other; nothing in them is ever run."""

import ast
import gzip
import os
import pickle
import resource
import struct
import subprocess
import sys
import textwrap
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from brainnet import io
from brainnet.io import DataError, DataWarning

ROOT = Path(__file__).resolve().parents[2]
PAGE = "<script>alert(1)</script><img src=x onerror=alert(2)>&amp;{{ 7*7 }}{% raw %}"


class Trap:
    """What runs a command where a pickle of it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


# ---------------------------------------------------------------- text stays text


def test_html_and_templates_in_json_stay_text(tmp_path):
    content = {PAGE: [PAGE, {"Manufacturer": PAGE}], "__class__": "os.system", "$ref": "x.json"}
    path = io.save_json(content, tmp_path / "a.json")
    assert io.load_json(path) == content


def test_html_formulas_and_paths_in_tables_stay_text(tmp_path):
    cells = [PAGE, "=cmd|'/c calc'!A1", "sub-../../x", "../../etc/passwd", "@SUM(1)", "$(reboot)"]
    path = tmp_path / "participants.tsv"
    path.write_text("participant_id\tsite\n" + "".join(f"{cell}\t{cell}\n" for cell in cells))
    frame = io.load_table(path)
    assert frame["participant_id"].tolist() == frame["site"].tolist() == cells


def test_names_that_steer_a_terminal_are_escaped_in_messages(tmp_path):
    path = tmp_path / "sub-\x1b[2J\r\nok\udcff_T1w.nii.gz"
    with pytest.raises(DataError) as caught:
        io.load_img(path)
    text = str(caught.value)
    assert text.isprintable()
    assert "sub-\\x1b[2J\\r\\nok\\udcff_T1w.nii.gz" in text
    text.encode()
    assert caught.value.path == path
    (tmp_path / "a.tsv").write_text("\x1b[2J\t\x1b[2J\n1\t2\n")
    with pytest.raises(DataError) as caught:
        io.load_table(tmp_path / "a.tsv")
    assert "\x1b" not in str(caught.value)


# ---------------------------------------------------------------- what would run


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.tsv", "a.tsv.gz", "a.json", "a.txt"])
@pytest.mark.parametrize("protocol", [0, 5])
def test_a_pickle_is_never_opened(tmp_path, name, protocol):
    trap, path = tmp_path / "sprung", tmp_path / name
    raw = pickle.dumps(Trap(trap), protocol=protocol)
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    load = {".json": io.load_json, ".txt": io.load_text, ".nii": io.load_img}.get(
        Path(name.removesuffix(".gz")).suffix, io.load_table
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # no last line end
        try:
            loaded = load(path)
        except DataError:
            loaded = None
    assert loaded is None or protocol == 0  # which is lines of plain text, and stays so
    assert not trap.exists()


@pytest.mark.parametrize("kind", ["npz", "torch", "zip"])
@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.tsv", "a.json"])
def test_archives_under_another_name_are_refused(tmp_path, kind, name):
    path = tmp_path / name
    if kind == "npz":
        with path.open("wb") as stream:
            np.savez(stream, data=np.array([Trap(tmp_path / "sprung")], dtype=object))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("../../outside", b"x")
            archive.writestr("archive/data.pkl", pickle.dumps(Trap(tmp_path / "sprung")))
    load = {".json": io.load_json, ".tsv": io.load_table}.get(path.suffix, io.load_img)
    with pytest.raises(DataError):
        load(path)
    assert [each.name for each in tmp_path.iterdir()] == [name]


#: What runs code that stands in a file, or could; nothing in the package may call it.
FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "runpy.run_path",
    "pickle.load", "pickle.loads", "pickle.Unpickler", "cPickle.load", "dill.load", "dill.loads",
    "cloudpickle.load", "cloudpickle.loads", "marshal.load", "marshal.loads", "shelve.open",
    "joblib.load", "pd.read_pickle", "pandas.read_pickle", "np.load", "numpy.load",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "jsonpickle.decode", "torch.jit.load",
    "torch.package.PackageImporter",
}  # fmt: skip
#: (file, call): why no user's file can reach it.
ALLOWED = {
    (
        "workflows/engine/child.py",
        "pickle.loads",
    ): "what a process and its own child tell one another",
}


def calls(path):
    """Yield the dotted name and the node of each call in a module, aliases of imports resolved."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {each.asname: each.name for each in node.names if each.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            known |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            head, *rest = ast.unparse(node.func).split(".")
            yield ".".join([known.get(head, head), *rest]), node


def dangers(path):
    """Yield the calls of a module that could run what stands in a file."""
    for name, node in calls(path):
        given = {each.arg: ast.unparse(each.value) for each in node.keywords}
        unsafe_torch = name == "torch.load" and given.get("weights_only") != "True"
        if name in FORBIDDEN or unsafe_torch:
            yield name
        if given.get("allow_pickle", "False") != "False" or given.get("shell", "False") != "False":
            yield f"{name}({given})"


def test_no_module_runs_what_stands_in_a_file():
    modules = [path for room in ("brainnet", "workflows", "atlases") for path in
               sorted((ROOT / room).rglob("*.py"))]  # fmt: skip
    assert len(modules) > 100
    found = {
        (path.relative_to(ROOT).as_posix(), name) for path in modules for name in dangers(path)
    }
    assert found - set(ALLOWED) == set()


@pytest.mark.parametrize(
    "line",
    [
        "import pickle as p; p.load(f)", "from pickle import loads; loads(b)", "eval(x)",
        "import torch; torch.load(f)", "import torch; torch.load(f, weights_only=False)",
        "import numpy as np; np.load(f)", "import yaml; yaml.load(f)",
        "import subprocess; subprocess.run(x, shell=True)", "thing.load(f, allow_pickle=True)",
        "from joblib import load as get; get(f)",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(tmp_path, line):
    path = tmp_path / "module.py"
    path.write_text(line)
    assert len(list(dangers(path))) == 1
    path.write_text("import torch; torch.load(f, weights_only=True); model.eval(); re.compile(x)")
    assert list(dangers(path)) == []


# ---------------------------------------------------------------- bombs and other ways to hang


def bomb(head, n_bytes):
    """Return a gzip stream of a head and zeros, of which no more than 4 MB is ever unpacked."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 22)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 22)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + block * (n_bytes >> 22) + packer.flush()


def header(n_voxels):
    """Return a NIfTI-1 header of a volume of uint8 with that many voxels."""
    head = bytearray(352)
    side = round(n_voxels ** (1 / 3))
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, side, side, side, 1, 1, 1, 1)
    struct.pack_into("<hh", head, 70, 2, 8)
    struct.pack_into("<8f", head, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<f", head, 108, 352)
    struct.pack_into("<hh", head, 252, 0, 1)
    struct.pack_into("<12f", head, 280, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    head[344:348] = b"n+1\0"
    return bytes(head)


def limited(call, path, n_bytes):
    """Return what a call of the gate prints in a process that may take only so many bytes more."""
    code = f"""
        import resource, sys
        from brainnet import io
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + {n_bytes}, used + {n_bytes}))
        try:
            io.{call}(sys.argv[1])
        except io.DataError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space as Linux does")
@pytest.mark.parametrize("declared", [30e9, 10e9])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, declared):
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(bomb(header(declared), int(declared)))
    assert path.stat().st_size < 40e6
    text = limited("load_img", path, 1 << 27)  # the file itself takes 30 MB
    assert "declares" in text
    assert "memory" not in text


def test_text_bombs_stop_at_their_limit(tmp_path, monkeypatch):
    from brainnet.io import files, tables

    monkeypatch.setattr(files, "MAX_JSON_BYTES", 1 << 20)
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", 1 << 20)
    for name, load in (("a.tsv.gz", io.load_table), ("a.json", io.load_json)):
        content = b"\t" * (1 << 22)
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        with pytest.raises(DataError, match="beyond the 1048576 that are read"):
            load(tmp_path / name)


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space as Linux does")
@pytest.mark.parametrize(("name", "call"), [("a.tsv", "load_table"), ("a.json", "load_json")])
def test_text_that_swells_in_memory_is_a_typed_error(tmp_path, name, call):
    row = b"ab\t" * 999 + b"ab\n"
    content = b'{"a": [' + b"[]," * 2_000_000 + b"1]}" if name == "a.json" else row * 2000
    (tmp_path / name).write_bytes(content)
    assert "does not fit into the memory" in limited(call, tmp_path / name, 1 << 26)


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space as Linux does")
def test_an_image_beyond_the_memory_is_a_typed_error(tmp_path):
    path = tmp_path / "a.nii"
    path.write_bytes(header(1e9))
    with path.open("r+b") as stream:
        stream.truncate(352 + 10**9)  # takes no space on the disk
    assert "does not fit into the memory" in limited("load_img", path, 1 << 28)


@pytest.mark.timeout(120)  # minutes, where what follows was copied for each member
def test_200_000_empty_gzip_members_take_no_time(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"", 1) * 200_000 + gzip.compress(b"the end"))
    assert io.load_text(path) == "the end"


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("it was longer")
    real = os.fstat
    for change in (-1, 1):

        def lying(handle, change=change):
            values = list(real(handle))
            values[6] += change
            return os.stat_result(values)

        monkeypatch.setattr(os, "fstat", lying)
        with pytest.raises(DataError, match="changed while it was read"):
            io.load_text(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_file_of_somebody_else_is_unreadable(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("{}")
    path.chmod(0o600)
    os.seteuid(65534)
    try:
        with pytest.raises(DataError, match="cannot be read"):
            io.load_json(path)
    finally:
        os.seteuid(0)
    assert io.load_json(path) == {}


def test_open_files_beyond_the_limit_are_a_typed_error(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("{}")
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, old[1]))
    try:
        with pytest.raises(DataError, match="Too many open files"):
            io.load_json(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, old)
