"""10,000 mutated NIfTI headers: each gives a typed error, or what the standard says it means.

The judge is a reading of its own, written from the NIfTI-1 and NIfTI-2 standards with `struct`. It
shares no code with the gate and knows nothing of nibabel. An image that the gate returns must have
the shape, voxels, affine, space and time step of that reading; a header whose meaning no mutation
has touched must be accepted without a word. Run as a script, it prints the counts as JSON.
"""

import gzip
import json
import random
import resource
import struct
import tempfile
import tracemalloc
import warnings
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st

from brainnet import io
from brainnet.io import DataError, DataWarning

N_HEADERS = 10_000
BATCH = 25  # headers of one seed that hypothesis draws
MAX_PEAK = (
    1 << 18
)  # bytes that a file of 2 kB may make the gate allocate; traced in every 4th batch
MAX_GROWTH = 1 << 28  # bytes of address space that the whole campaign may add: all of them
SHAPE = (4, 5, 6)

# name: (offset, format of one element, number of elements), from the standards' C structs
NIFTI_1 = {
    "sizeof_hdr": (0, "i", 1), "data_type": (4, "B", 10), "db_name": (14, "B", 18),
    "extents": (32, "i", 1), "session_error": (36, "h", 1), "regular": (38, "B", 1),
    "dim_info": (39, "B", 1), "dim": (40, "h", 8), "intent_p": (56, "f", 3),
    "intent_code": (68, "h", 1), "datatype": (70, "h", 1), "bitpix": (72, "h", 1),
    "slice_start": (74, "h", 1), "pixdim": (76, "f", 8), "vox_offset": (108, "f", 1),
    "scl_slope": (112, "f", 1), "scl_inter": (116, "f", 1), "slice_end": (120, "h", 1),
    "slice_code": (122, "B", 1), "xyzt_units": (123, "B", 1), "cal": (124, "f", 2),
    "slice_duration": (132, "f", 1), "toffset": (136, "f", 1), "gl": (140, "i", 2),
    "descrip": (148, "B", 80), "aux_file": (228, "B", 24), "qform_code": (252, "h", 1),
    "sform_code": (254, "h", 1), "quatern": (256, "f", 3), "qoffset": (268, "f", 3),
    "srow": (280, "f", 12), "intent_name": (328, "B", 16), "magic": (344, "B", 4),
    "extension": (348, "B", 4),
}  # fmt: skip
NIFTI_2 = {
    "sizeof_hdr": (0, "i", 1), "magic": (4, "B", 8), "datatype": (12, "h", 1),
    "bitpix": (14, "h", 1), "dim": (16, "q", 8), "intent_p": (80, "d", 3),
    "pixdim": (104, "d", 8), "vox_offset": (168, "q", 1), "scl_slope": (176, "d", 1),
    "scl_inter": (184, "d", 1), "cal": (192, "d", 2), "slice_duration": (208, "d", 1),
    "toffset": (216, "d", 1), "slice_start": (224, "q", 1), "slice_end": (232, "q", 1),
    "descrip": (240, "B", 80), "aux_file": (320, "B", 24), "qform_code": (344, "i", 1),
    "sform_code": (348, "i", 1), "quatern": (352, "d", 3), "qoffset": (376, "d", 3),
    "srow": (400, "d", 12), "slice_code": (496, "i", 1), "xyzt_units": (500, "i", 1),
    "intent_code": (504, "i", 1), "intent_name": (508, "B", 16), "dim_info": (524, "B", 1),
    "unused": (525, "B", 15), "extension": (540, "B", 4),
}  # fmt: skip
MAGIC = {348: (NIFTI_1, tuple(b"n+1\0")), 540: (NIFTI_2, tuple(b"n+2\0\r\n\x1a\n"))}
MEANINGFUL = (
    "sizeof_hdr", "magic", "dim", "datatype", "bitpix", "pixdim", "vox_offset", "scl_slope",
    "scl_inter", "xyzt_units", "qform_code", "sform_code", "quatern", "qoffset", "srow",
    "intent_code",
)  # fmt: skip
TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4",
         1024: "i8", 1280: "u8"}  # fmt: skip
MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
SECONDS = {0: 1.0, 8: 1.0, 16: 1e-3, 24: 1e-6}
VECTORS = (1006, 1007)
INTEGERS = (0, 1, -1, 2, 3, 4, 5, 6, 7, 8, 16, 30, 32, 64, 127, 128, 255, 256, 348, 352, 540, 544,
            1007, 1024, 32767, -32768, 2**31 - 1, 2**62, -(2**63))  # fmt: skip
FLOATS = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 0.001, 0.002, 1000.0, 352.0, 353.0, 1e-45, 1e-30, 1e9,
          1e30, 3e38, 1e300, float("nan"), float("inf"), float("-inf"))  # fmt: skip


# ---------------------------------------------------------------- what is mutated


def base(kind, version, order):
    """Return the bytes of a sound file of one kind, NIfTI version and byte order."""
    rng = np.random.default_rng(7)
    affine = np.array([[-2.0, 0, 0, 10], [0, 0, 3, -20], [0, 2.5, 0, 5], [0, 0, 0, 1]])
    data = {
        "scaled": rng.integers(-1000, 1000, SHAPE).astype("i2"),
        "float": rng.normal(100, 20, SHAPE).astype("f4"),
        "series": rng.integers(0, 255, (*SHAPE[:2], 3, 4)).astype("u1"),
        "labels": rng.integers(0, 400, SHAPE).astype("i4"),
    }[kind]
    image = {1: nib.Nifti1Image, 2: nib.Nifti2Image}[version](data, affine, dtype=data.dtype)
    image.set_sform(affine, 0 if kind == "float" else 1)
    image.set_qform(affine, 0 if kind == "series" else 1)
    image.header.set_xyzt_units("mm", "msec")
    if kind == "series":
        image.header.set_zooms((*image.header.get_zooms()[:3], 2000.0))
    header = image.header if order == "<" else image.header.as_byteswapped()
    raw = bytearray(header.binaryblock + bytes(4))
    raw += data.astype(data.dtype.newbyteorder(order)).tobytes(order="F")
    fields = {1: NIFTI_1, 2: NIFTI_2}[version]
    put(raw, fields, order, "vox_offset", 0, len(header.binaryblock) + 4)
    if kind == "scaled":
        put(raw, fields, order, "scl_slope", 0, 2.0)
        put(raw, fields, order, "scl_inter", 0, -10.0)
    return bytes(raw)


def put(raw, fields, order, name, index, value):
    """Write one element of a header field; a value that it cannot hold is cut to its bits."""
    offset, fmt, _ = fields[name]
    size = struct.calcsize(fmt)
    if fmt in "fd":
        with np.errstate(over="ignore"):
            packed = np.array(value, {"f": "f4", "d": "f8"}[fmt]).astype(f"{order}{fmt}").tobytes()
    else:
        ends = {"<": "little", ">": "big"}[order]
        packed = (int(value) % (1 << 8 * size)).to_bytes(size, ends)
    raw[offset + size * index : offset + size * (index + 1)] = packed


BASES = [
    (version, order, base(kind, version, order))
    for kind in ("scaled", "float", "series", "labels")
    for version in (1, 2)
    for order in ("<", ">")
]


def mutated(which, changes):
    """Return a base and its bytes after a few changes (way, place, value, element of a field)."""
    version, order, sound = BASES[which]
    fields = {1: NIFTI_1, 2: NIFTI_2}[version]
    raw, names = bytearray(sound), sorted(fields)
    size = {1: 352, 2: 544}[version]
    for way, place, value, element in changes:
        if way == 0:
            raw[place % size] = value
        elif way == 1:
            raw[place % size] ^= 1 << value % 8
        else:
            name = names[place % len(names)]
            _, fmt, number = fields[name]
            values = FLOATS if fmt in "fd" else INTEGERS
            put(raw, fields, order, name, element % number, values[value % len(values)])
    return sound, bytes(raw)


# ---------------------------------------------------------------- the judge


def fields_of(raw):
    """Return byte order and header fields, or None where it is no NIfTI in one file."""
    for order in "<>":
        size = struct.unpack_from(f"{order}i", raw)[0]
        if size in MAGIC:
            fields, magic = MAGIC[size]
            values = {
                name: struct.unpack_from(f"{order}{number}{fmt}", raw, offset)
                for name, (offset, fmt, number) in fields.items()
            }
            return (order, values) if values["magic"] == magic else None
    return None


def reading(raw):
    """Return shape, voxels, affines (mm), space, time step; None where the standard has none."""
    found = fields_of(raw)
    if found is None:
        return None
    order, head = found
    code, n_axes, (offset,) = head["datatype"][0], head["dim"][0], head["vox_offset"]
    if code not in TYPES or not 3 <= n_axes <= 7 or not np.isfinite(offset):
        return None
    kind = np.dtype(TYPES[code]).newbyteorder(order)
    shape = head["dim"][1 : n_axes + 1]
    n_voxels = int(np.prod(np.array(shape, dtype=object)))
    whole = offset == int(offset) and offset >= head["sizeof_hdr"][0] + 4
    if min(shape) < 1 or not whole or head["bitpix"][0] != 8 * kind.itemsize:
        return None
    if int(offset) + n_voxels * kind.itemsize != len(raw):
        return None
    stored = np.frombuffer(raw, kind, n_voxels, int(offset)).reshape(shape, order="F")
    while len(shape) > 3 and shape[-1] == 1:
        shape, stored = shape[:-1], stored[..., 0]
    unit = MM.get(head["xyzt_units"][0] & 7)
    if unit is None:
        return None
    t_r = head["pixdim"][4] * SECONDS.get(head["xyzt_units"][0] & 0x38, 0.0)
    return {
        "shape": shape,
        "data": scaled(stored, head["scl_slope"][0], head["scl_inter"][0]),
        "sform": sform(head, unit) if head["sform_code"][0] > 0 else None,
        "qform": qform(head, unit) if head["qform_code"][0] > 0 else None,
        "space": head["sform_code"][0] if head["sform_code"][0] > 0 else head["qform_code"][0],
        "t_r": t_r if 0 < t_r <= 86_400 else 0.0,  # as the gate has it: a day is no time step
        "unit": unit,
        "pixdim": np.array(head["pixdim"][1:4]) * unit,
        "intent": head["intent_code"][0],
    }


def scaled(stored, slope, inter):
    """Return the voxels as the standard scales them; a slope of 0 means not at all."""
    if slope == 0 or np.isnan(slope) or (slope, inter) == (1, 0):
        return stored
    with np.errstate(all="ignore"):
        return (stored.astype("f8") * slope + inter).astype("f4")


def sform(head, unit):
    """Return the affine of method 3."""
    return np.vstack([np.array(head["srow"]).reshape(3, 4) * unit, (0, 0, 0, 1)])


def qform(head, unit):
    """Return the affine of method 2, from the quaternion's formula in the standard."""
    b, c, d = head["quatern"]
    with np.errstate(all="ignore"):
        a = np.sqrt(max(1 - (b * b + c * c + d * d), 0.0))
        a, b, c, d = np.array([a, b, c, d]) / np.sqrt(a * a + b * b + c * c + d * d)
        rotation = np.array([
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ])  # fmt: skip
        qfac = -1.0 if head["pixdim"][0] < 0 else 1.0
        rotation *= np.array(head["pixdim"][1:4]) * (1, 1, qfac)
        affine = np.column_stack([rotation, head["qoffset"]]) * unit
    return np.vstack([affine, (0, 0, 0, 1)])


def apart(one, other, shape):
    """Return how far two affines place a corner apart, in voxels of the first."""
    corners = [(i, j, k, 1) for i in (0, shape[0] - 1) for j in (0, shape[1] - 1)
               for k in (0, shape[2] - 1)]  # fmt: skip
    with np.errstate(all="ignore"):
        shift = np.linalg.norm(((one - other) @ np.array(corners).T)[:3], axis=0).max()
        return shift / np.linalg.norm(one[:3, :3], axis=0).max()


def must_be_read(sound, raw):
    """Return whether every field that has a meaning for the image is as in the sound file."""
    before, after = fields_of(sound), fields_of(raw)
    return after is not None and all(
        np.array_equal(before[1][name], after[1][name]) for name in MEANINGFUL
    )


def assert_right(image, heard, raw):
    """Assert that an image is what its header means, and that what is odd was said."""
    truth = reading(raw)
    assert truth is not None, "the standard gives this header no meaning"
    affine = truth["sform"] if truth["sform"] is not None else truth["qform"]
    data = np.asarray(image.dataobj)
    assert image.shape == truth["shape"]
    if truth["data"].dtype.kind in "iu":
        assert data.dtype.kind in "iu"
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(data, truth["data"].astype(data.dtype))
    size = np.linalg.norm(affine[:3, :3], axis=0).max()
    np.testing.assert_allclose(image.affine, affine, rtol=1e-5, atol=1e-3 * size)
    assert image.header["sform_code"] == truth["space"]
    assert image.header["qform_code"] == truth["space"]
    if data.ndim > 3:
        assert image.header.get_zooms()[3] == pytest.approx(truth["t_r"], rel=1e-5)
    # plausible in itself
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    assert ((sizes > 0.09) & (sizes < 21)).all()
    assert np.abs(affine[:3, 3]).max() < 10_001
    assert np.isfinite(data).mean() >= 0.01
    finite = data[np.isfinite(data)]
    full_mask = data.dtype == np.uint8 and finite.min() == 1
    assert finite.min() < finite.max() or full_mask or truth["intent"] in VECTORS
    # and what another program would read otherwise was said
    if truth["unit"] != 1:
        assert "converted to mm" in heard
    if truth["sform"] is not None and truth["qform"] is not None:
        assert apart(truth["sform"], truth["qform"], image.shape) < 0.11 or "apart" in heard
    elif truth["sform"] is not None:
        off = np.abs(truth["pixdim"] - sizes) / sizes * np.array(image.shape[:3])
        assert (off < 0.11).all() or "pixdim" in heard
    if not np.isfinite(data).all():
        assert "not finite" in heard


# ---------------------------------------------------------------- the campaign


@contextmanager
def limited_memory():
    """Let this process take no more than `MAX_GROWTH` of address space beyond what it has."""
    old = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MAX_GROWTH, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)
        tracemalloc.stop()


def attempt(path):
    """Return the image and no text, or no image and the text of the typed error."""
    try:
        return io.load_img(path), ""
    except DataError as error:
        return None, str(error)


def judge(path, which, packed, changes):
    """Load one mutated file; return 'refused', 'warned' or 'right', or fail."""
    sound, raw = mutated(which, changes)
    path = path.with_name("a.nii.gz" if packed else "a.nii")
    path.unlink(missing_ok=True)  # quicker than to write over it
    path.write_bytes(gzip.compress(raw, 1) if packed else raw)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        image, refusal = attempt(path)
        peak = tracemalloc.get_traced_memory()[1] - before
    assert "memory" not in refusal, refusal
    assert peak < MAX_PEAK, f"{peak} bytes allocated for a file of {len(raw)}"
    assert {each.category for each in caught} <= {DataWarning}, [str(c.message) for c in caught]
    if image is None:
        assert str(path) in refusal
        assert not must_be_read(sound, raw), refusal
        return "refused", peak
    heard = " ".join(str(each.message) for each in caught)
    assert_right(image, heard, raw)
    assert not (heard and must_be_read(sound, raw)), heard
    return ("warned" if heard else "right"), peak


def campaign(number=N_HEADERS):
    """Judge that many mutated headers and return how each kind of end was met."""
    counts, peaks = Counter(), [0]

    @settings(
        max_examples=number // BATCH,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
    )
    @given(seed=st.integers(0, 2**64 - 1))
    def each(seed):
        rng = random.Random(seed)
        if seed % 4 == 0:
            tracemalloc.start()
        for _ in range(BATCH):
            which, packed = rng.randrange(len(BASES)), rng.random() < 0.5
            changes = [
                (rng.randrange(3), rng.randrange(2**16), rng.randrange(256), rng.randrange(12))
                for _ in range(rng.randint(1, 3))
            ]
            note(f"which={which}, packed={packed}, changes={changes}")
            end, peak = judge(path, which, packed, changes)
            counts[end] += 1
            peaks[0] = max(peaks[0], peak)
        tracemalloc.stop()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.nii")
        for which in range(len(BASES)):
            assert judge(path, which, False, [])[0] == "right"  # imports done, bases sound
        with limited_memory():
            each()
    return {"headers": sum(counts.values()), **counts, "silent": 0, "peak_bytes": peaks[0]}


def every_field():
    """Judge every element of every field that has a meaning, set to every odd value."""
    counts = Counter()
    every = [
        (name, index, value)
        for name in MEANINGFUL
        for index in range(NIFTI_1[name][2])
        for value in range(len(FLOATS if NIFTI_1[name][1] == "f" else INTEGERS))
    ]
    with tempfile.TemporaryDirectory() as folder, limited_memory():
        for kind in range(4):
            for turn, (name, index, value) in enumerate(every):
                which = 4 * kind + turn % 4  # versions and byte orders by turns
                names = sorted({1: NIFTI_1, 2: NIFTI_2}[BASES[which][0]])
                change = (2, names.index(name), value, index)
                end, _ = judge(Path(folder, "a.nii"), which, False, [change])
                counts[end] += 1
    return counts


def test_mutated_headers_give_a_typed_error_or_what_the_standard_says():
    counts = campaign()
    print(json.dumps(counts))
    assert counts["headers"] >= N_HEADERS
    assert counts["right"] > N_HEADERS / 5  # nor does the gate refuse what means the same
    assert counts["refused"] > N_HEADERS / 5


def test_every_field_with_every_odd_value_gives_a_typed_error_or_what_the_standard_says():
    counts = every_field()
    print(json.dumps(counts))
    assert counts["right"] > 500
    assert counts["refused"] > 500


if __name__ == "__main__":
    print(json.dumps(campaign()))
