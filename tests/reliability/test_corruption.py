"""The corruption matrix: every kind of damage to every kind of file gives an error or right data.

`IMAGE_ROWS` x `IMAGES`, `TABLE_ROWS` x `TABLES` and `JSON_ROWS` x `SIDECARS` are the tables. A row
makes a damaged file and says what must come of it: the word that the `DataError` must hold, or
`RIGHT` (the true voxels, cells or fields), or `WARNED` (those, and a `DataWarning`), or, where
nothing in the format can tell a shorter cell from a cut one, `TOLD`. Nothing else may happen. Run
as a script, it prints the counts as JSON.
"""

import csv
import gzip
import json
import os
import pickle
import struct
import tempfile
import warnings
import zipfile
from collections import Counter
from io import BytesIO, StringIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from brainnet import io
from brainnet.io import DataError, DataWarning

RIGHT, WARNED = "right data", "right data and a warning"
TOLD = "a warning that the table may be cut"
AFFINE = np.array([[-2.0, 0, 0, 10], [0, 0, 3, -20], [0, 2.5, 0, 5], [0, 0, 0, 1]])
MILLI = np.diag([1e-3, 1e-3, 1e-3, 1])
# byte offsets in a NIfTI-1 header
DIM, DATATYPE, BITPIX, PIXDIM, VOX_OFFSET, SLOPE, XYZT = 40, 70, 72, 76, 108, 112, 123
QFORM, SFORM, SROW, MAGIC = 252, 254, 280, 344


# ---------------------------------------------------------------- the kinds of image


def image_kinds():
    """Return the stored voxels, scaling and time step of each kind of image."""
    rng = np.random.default_rng(5)
    return {
        "T1w": (rng.integers(0, 900, (6, 7, 8)).astype("i2"), 1, 0, 0),
        "BOLD": (rng.integers(200, 900, (6, 7, 5, 6)).astype("i2"), 1, 0, 2),
        "PET dynamic": (rng.integers(0, 32000, (6, 7, 5, 4)).astype("i2"), np.float32(0.37), 0, 60),
        "PET static": (rng.gamma(2, 4000, (6, 7, 8)).astype("f4"), 1, 0, 0),
        "CT": (rng.integers(0, 4000, (6, 7, 8)).astype("i2"), 1, -1024, 0),
        "labels": (rng.integers(0, 40, (6, 7, 8)).astype("u1"), 1, 0, 0),
    }


IMAGES = image_kinds()


def sound(kind, cls=nib.Nifti1Image):
    """Return the bytes of a sound file of a kind."""
    data, slope, inter, t_r = IMAGES[kind]
    img = cls(data, AFFINE, dtype=data.dtype)
    img.set_sform(AFFINE, 1)
    img.set_qform(AFFINE, 1)
    img.header.set_xyzt_units("mm", "sec")
    if data.ndim == 4:
        img.header.set_zooms((*img.header.get_zooms()[:3], t_r))
    if cls is nib.Nifti1Image:
        return at(img.to_bytes(), SLOPE, "ff", slope, inter)
    return at(img.to_bytes(), 176, "dd", slope, inter)


def truth(kind):
    """Return the voxels that a kind of image means."""
    data, slope, inter, _ = IMAGES[kind]
    return data if (slope, inter) == (1, 0) else (data * float(slope) + inter).astype("f4")


def at(raw, offset, fmt, *values):
    """Return the bytes with some replaced."""
    out = bytearray(raw)
    struct.pack_into(f"<{fmt}", out, offset, *values)
    return bytes(out)


def flip(raw, place):
    """Return the bytes with one bit of the byte at a place flipped."""
    out = bytearray(raw)
    out[place] ^= 4
    return bytes(out)


def with_voxels(kind, change):
    """Return a file of a kind, as float32, with its voxels changed."""
    data = truth(kind).astype("f4")
    img = nib.Nifti1Image(change(data), AFFINE)
    img.set_qform(AFFINE, 1)
    img.set_sform(AFFINE, 1)
    return img.to_bytes()


def with_grid(kind, affine, *, unit=2):
    """Return a file of a kind with another sform and no qform."""
    raw = at(sound(kind), SROW, "12f", *np.asarray(affine, float)[:3].ravel())
    sizes = np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)
    return at(at(at(raw, PIXDIM + 4, "3f", *sizes), QFORM, "h", 0), XYZT, "B", unit | 8)


def swapped(kind):
    """Return a file of a kind in the other byte order."""
    img = nib.Nifti1Image.from_bytes(sound(kind))
    data, slope, inter, _ = IMAGES[kind]
    header = img.header.as_byteswapped()
    header["scl_slope"], header["scl_inter"], header["vox_offset"] = slope, inter, 352
    return header.binaryblock + bytes(4) + data.astype(data.dtype.newbyteorder()).tobytes("F")


def sheared():
    """Return the affine of a CT whose gantry was tilted by 15 degrees."""
    out = np.diag([0.9, 0.9, 2.5, 1])
    out[1, 2] = 2.5 * np.tan(np.radians(15))
    return out


def archived(raw):
    """Return a zip archive that holds the bytes."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("image.nii", raw)
    return stream.getvalue()


def n_bytes(raw, number):
    """Return the header alone, declaring that many bytes of one volume of uint8."""
    raw = at(at(raw, DATATYPE, "h", 2), BITPIX, "h", 8)
    side = round(number ** (1 / 3))
    return at(raw, DIM, "8h", 3, side, side, side, 1, 1, 1, 1)[:352]


pack = gzip.compress
NII, GZ = "a.nii", "a.nii.gz"
PACKED = "packed by the judge, named a.nii.gz"
#: row: (name of the file, bytes made of a kind's name, what must come of it)
IMAGE_ROWS = {
    # the design's table
    "gz cut at half": (GZ, lambda k: pack(sound(k))[: len(pack(sound(k))) // 2], "cut"),
    "gz without its last byte": (GZ, lambda k: pack(sound(k))[:-1], "cut"),
    "gz cut in its header": (GZ, lambda k: pack(sound(k))[:9], "cut"),
    "nii cut at half": (NII, lambda k: sound(k)[: len(sound(k)) // 2], "declares|cut"),
    "nii without its last byte": (NII, lambda k: sound(k)[:-1], "declares"),
    "flipped bit": (GZ, lambda k: flip(pack(sound(k)), len(pack(sound(k))) // 2), "damaged"),
    "bad CRC": (GZ, lambda k: flip(pack(sound(k)), -7), "damaged"),
    "bad length": (GZ, lambda k: flip(pack(sound(k)), -2), "damaged"),
    "all NaN": (PACKED, lambda k: with_voxels(k, lambda x: x * np.nan), "no voxel is finite"),
    "units in metres, sizes in mm": (PACKED, lambda k: at(sound(k), XYZT, "B", 9), "voxel size"),
    "units in metres": (PACKED, lambda k: with_grid(k, MILLI @ AFFINE, unit=1),
                        WARNED),
    "units in microns": (PACKED, lambda k: with_grid(k, np.diag([1e3] * 3 + [1]) @ AFFINE, unit=3),
                         WARNED),
    "sizes in metres, units in mm": (PACKED, lambda k: with_grid(k, MILLI @ AFFINE), "voxel size"),
    "sform = qform = 0": (PACKED, lambda k: at(sound(k), QFORM, "hh", 0, 0), "neither sform nor"),
    # the way it is packed
    "sound, plain": (NII, sound, RIGHT),
    "sound, packed": (GZ, lambda k: pack(sound(k)), RIGHT),
    "two gzip members": (GZ, lambda k: pack(sound(k)[:100]) + pack(sound(k)[100:]), RIGHT),
    "empty gzip members": (GZ, lambda k: pack(b"") * 99 + pack(sound(k)) + pack(b""), RIGHT),
    "zeros after the gzip stream": (GZ, lambda k: pack(sound(k)) + bytes(512), RIGHT),
    "rubbish after the gzip stream": (GZ, lambda k: pack(sound(k)) + b"rubbish", "damaged"),
    "rubbish after the voxels, packed": (GZ, lambda k: pack(sound(k) + b"x"), "more than"),
    "rubbish after the voxels": (NII, lambda k: sound(k) + b"x", "declares"),
    "packed twice": (GZ, lambda k: pack(pack(sound(k))), "packed twice"),
    "plain, named .gz": (GZ, sound, "not gzip"),
    "packed, named .nii": (NII, lambda k: pack(sound(k)), "packed by gzip"),
    "zip, named .gz": (GZ, lambda k: archived(sound(k)), "not gzip"),
    "zip, named .nii": (NII, lambda k: archived(sound(k)), "not a NIfTI"),
    "pickle, named .nii": (NII, lambda k: pickle.dumps(sound(k)), "not a NIfTI"),
    "pickle, packed": (GZ, lambda k: pack(pickle.dumps(sound(k))), "not a NIfTI"),
    "a page of a web server": (GZ, lambda _: b"<html>404 Not found</html>", "not gzip"),
    "a DataLad pointer": (GZ, lambda _: b"/annex/objects/MD5E-s1--0.nii.gz\n", "not gzip"),
    "empty": (GZ, lambda _: b"", "empty"),
    "empty when unpacked": (GZ, lambda _: pack(b""), "cut inside its header"),
    "header alone": (NII, lambda k: sound(k)[:348], "declares"),
    "header alone, packed": (GZ, lambda k: pack(sound(k)[:352]), "holds"),
    "bomb: 18 GB of zeros": (GZ, lambda k: pack(n_bytes(sound(k), 18e9)) + bytes(18_000_000),
                             "beyond the 17179869184"),
    "bomb: 1.5 GB of zeros": (GZ, lambda k: pack(n_bytes(sound(k), 1.5e9)) + bytes(2_000_000),
                              "200 times"),
    "bomb: more than gzip can hold": (GZ, lambda k: pack(n_bytes(sound(k), 1e9)), "cannot unpack"),
    # headers
    "other byte order": (GZ, lambda k: pack(swapped(k)), RIGHT),
    "NIfTI-2": (GZ, lambda k: pack(sound(k, nib.Nifti2Image)), RIGHT),
    "pair of files": (NII, lambda k: at(sound(k), MAGIC, "4s", b"ni1\0"), "magic"),
    "no magic": (NII, lambda k: at(sound(k), MAGIC, "4s", b""), "magic"),
    "no dimensions": (NII, lambda k: at(sound(k), DIM, "h", 0), "dim is"),
    "nine dimensions": (NII, lambda k: at(sound(k), DIM, "h", 9), "dim is"),
    "two dimensions": (NII, lambda k: at(sound(k), DIM, "h", 2), "2 dimensions"),
    "negative dimension": (NII, lambda k: at(sound(k), DIM + 2, "h", -6), "dim is"),
    "dimension of 0": (PACKED, lambda k: at(sound(k), DIM + 4, "h", 0), "dim is"),
    "one dimension too long": (PACKED, lambda k: at(sound(k), DIM + 4, "h", 8), "holds"),
    "product beyond 64 bits": (NII, lambda k: at(sound(k), DIM, "8h", 7, *[32767] * 7), "declares"),
    "bitpix": (NII, lambda k: at(sound(k), BITPIX, "h", 7), "bitpix"),
    "unknown type": (NII, lambda k: at(sound(k), DATATYPE, "h", 3), "unknown type"),
    "complex": (NII, lambda k: at(sound(k), DATATYPE, "h", 32), "complex"),
    "colour": (NII, lambda k: at(sound(k), DATATYPE, "h", 128), "colour"),
    "slope infinite": (NII, lambda k: at(sound(k), SLOPE, "f", np.inf), "scaling"),
    "intercept NaN": (NII, lambda k: at(sound(k), SLOPE, "ff", 2, np.nan), "scaling"),
    "slope that flattens": (NII, lambda k: at(sound(k), SLOPE, "ff", 1e-44, 5), "every voxel is 5"),
    "voxels at byte 0": (NII, lambda k: at(sound(k), VOX_OFFSET, "f", 0), "vox_offset"),
    "voxels at no byte": (NII, lambda k: at(sound(k), VOX_OFFSET, "f", np.nan), "vox_offset"),
    "voxels beyond the end": (NII, lambda k: at(sound(k), VOX_OFFSET, "f", 1e9), "declares"),
    # where it lies
    "gantry tilt": (PACKED, lambda k: with_grid(k, sheared()), "right angles"),
    "sform and qform disagree": (PACKED, lambda k: at(sound(k), SROW + 12, "f", 90), "apart"),
    "sform NaN": (NII, lambda k: at(sound(k), SROW, "f", np.nan), "finite"),
    "sform of rank 2": (NII, lambda k: with_grid(k, np.diag([2, 0, 2, 1])), "voxel size"),
    "sform of two equal axes": (NII, lambda k: with_grid(k, [[2, 2, 0, 0], [1, 1, 0, 0],
                                                             [0, 0, 2, 0], [0, 0, 0, 1]]),
                                "inverted"),
    "a mile away": (NII, lambda k: with_grid(k, AFFINE + np.eye(4, k=3) * 1.6e6), "the origin"),
    "pixdim of another image": (NII, lambda k: at(at(sound(k), QFORM, "h", 0), PIXDIM + 4, "f", 4),
                                WARNED),
    "code of no space": (NII, lambda k: at(sound(k), SFORM, "h", 77), "sform_code is 77"),
    "unit of no length": (NII, lambda k: at(sound(k), XYZT, "B", 5), "unit 5"),
    # voxels
    "every voxel is 0": (PACKED, lambda k: with_voxels(k, lambda x: x * 0), "every voxel is 0"),
    "99.7 % infinite": (NII, lambda k: with_voxels(k, lambda x: np.where(
        np.arange(x.size).reshape(x.shape) < 0.003 * x.size, x, np.inf)), "finite"),
    "contrast lost to an intercept": (NII, lambda k: at(sound(k), SLOPE, "ff", 0.5, 1e14), "every"),
}  # fmt: skip


# ---------------------------------------------------------------- what is no file at all


def folder_in_place(path, _):
    path.mkdir()


def pipe_in_place(path, _):
    os.mkfifo(path)


def device_in_place(path, _):
    path.symlink_to("/dev/zero")


def dangling_link(path, _):
    path.symlink_to(path.with_name("annexed"))


def link_to_itself(path, _):
    path.symlink_to(path)


def nothing(_, __):
    pass


def name_in_file(path, _):
    path.parent.joinpath("file").write_bytes(b"x")
    return path.parent / "file" / path.name


def null_in_name(path, _):
    return path.with_name(f"\0{path.name}")


def name_too_long(path, _):
    return path.with_name(f"{'a' * 300}{path.name}")


#: row: (what it puts at the path, the word of the error); for every kind of file
PLACE_ROWS = {
    "nothing there": (nothing, "does not exist"),
    "a folder": (folder_in_place, "it is a folder"),
    "a pipe": (pipe_in_place, "a pipe or device"),
    "a device": (device_in_place, "a pipe or device"),
    "a link to nothing": (dangling_link, "datalad get"),
    "a link to itself": (link_to_itself, "link"),
    "below a file": (name_in_file, "Not a directory"),
    "a NUL in its name": (null_in_name, "name"),
    "a name too long": (name_too_long, "too long"),
}

# ---------------------------------------------------------------- tables

TABLES = {
    "participants.tsv": "participant_id\tage\tstage\tsite\nsub-01\t71.5\tAD\tA\n"
    "sub-02\tn/a\tCN\tRöntgen\nsub-03\t68\tMCI\tB\n",
    "events.tsv": "onset\tduration\ttrial_type\n0.5\t1\tface\n2.25\t1\thouse\n",
    "relmat.tsv": "name\tL\tR\tC\nL\t0\t0.25\t-1e-3\nR\t0.25\t0\tn/a\nC\t-1e-3\tn/a\t0\n",
}


def cells(text):
    """Return the cells of a sound table, read by the standard library."""
    return list(csv.reader(StringIO(text, newline=""), delimiter="\t"))


def column_twice(text):
    """Return a table whose last column bears the name of the second."""
    return "\n".join([row.replace(row.split("\t")[-1], row.split("\t")[1]) if not i else row
                      for i, row in enumerate(text.split("\n"))])  # fmt: skip


def first_cell(text, cell):
    """Return a table with another cell at the start of its second line."""
    head, line, *rest = text.split("\n")
    return "\n".join([head, "\t".join([cell, *line.split("\t")[1:]]), *rest])


#: row: (bytes made of the sound text, what must come of it)
TEXT_ROWS = {
    "sound": (lambda t: t.encode(), RIGHT),
    "byte order mark": (lambda t: b"\xef\xbb\xbf" + t.encode(), RIGHT),
    "two byte order marks": (lambda t: b"\xef\xbb\xbf" * 2 + t.encode(), "byte order mark"),
    "empty": (lambda _: b"", "empty"),
    "UTF-16": (lambda t: t.encode("utf-16"), "UTF-16"),
    "UTF-16 without a mark": (lambda t: t.encode("utf-16-le"), "UTF-8|NUL"),
    "UTF-32": (lambda t: t.encode("utf-32"), "UTF-16"),
    "NUL bytes": (lambda t: t.replace("1", "\0").encode() + b"\0" * 512, "NUL"),
    "zeros alone": (lambda t: bytes(len(t)), "NUL"),
    "binary": (lambda t: np.random.default_rng(1).bytes(len(t)), "UTF-8"),
    "Latin-1": (lambda t: t.replace("1", "é").encode("latin-1"), "UTF-8"),
    "gzip without its name": (lambda t: pack(t.encode()), "UTF-8"),
    "zip": (lambda t: archived(t), "UTF-8|NUL"),
    "pickle": (lambda t: pickle.dumps(t), "UTF-8"),
}
TABLE_ROWS = {
    **TEXT_ROWS,
    "cut inside a line": (lambda t: t[: t.rindex("\t")].encode(), "cells"),
    "cut inside the last cell": (lambda t: t[:-2].encode(), TOLD),
    "line ends of Windows": (lambda t: t.replace("\n", "\r\n").encode(), RIGHT),
    "line ends of the old Mac": (lambda t: t.replace("\n", "\r").encode(), RIGHT),
    "no last line end": (lambda t: t[:-1].encode(), WARNED),
    "blank lines alone": (lambda _: b"\n\n\n", "the table is empty"),
    "unbalanced quote": (lambda t: first_cell(t, '"sub-01').encode(), "not a table"),
    "unbalanced quotes, two": (lambda t: (first_cell(t, '"a') + '"b').encode(), "not a table"),
    "a column twice": (lambda t: column_twice(t).encode(), "twice|same names"),
    "a column without name": (lambda t: t.replace("\t", "\t\t", 1).encode(), "no name|cells|names"),
    "a cell too many": (lambda t: t.replace("\n", "\tx\n").replace("\tx", "", 1).encode(), "cells"),
    "a cell too few": (lambda t: t.rsplit("\t", 1)[0].encode() + b"\n", "cells"),
    "commas for tabs": (lambda t: t.replace("\t", ",").encode(), "commas"),
    "semicolons for tabs": (lambda t: t.replace("\t", ";").encode(), "commas"),
    "a cell of 200,000 letters": (lambda t: first_cell(t, "x" * 200_000).encode(), "not a table"),
}

# ---------------------------------------------------------------- JSON

SIDECARS = {
    "T1w.json": {"MagneticFieldStrength": 3, "Manufacturer": "Siemens 1"},
    "bold.json": {"RepetitionTime": 2.1, "TaskName": "rest", "SliceTiming": [0, 1.05]},
    "pet.json": {"FrameTimesStart": [0, 10], "TracerName": "FDG", "ScaleFactor": [1.5e-12, 1]},
}
JSON_ROWS = {
    **TEXT_ROWS,
    "cut at half": (lambda t: t.encode()[: len(t) // 2], "not valid JSON"),
    "without its last brace": (lambda t: t.rstrip("}\n").encode(), "not valid JSON"),
    "a list": (lambda t: f"[{t}]".encode(), "not an object"),
    "a number": (lambda _: b"1", "not an object"),
    "null": (lambda _: b"null", "not an object"),
    "two objects": (lambda t: (t + t).encode(), "Extra data"),
    "rubbish behind": (lambda t: (t + "x").encode(), "Extra data"),
    "comment": (lambda t: ("// made by hand\n" + t).encode(), "not valid JSON"),
    "single quotes": (lambda t: t.replace('"', "'").encode(), "not valid JSON"),
    "trailing comma": (lambda t: t.replace("\n}", ",\n}").encode(), "not valid JSON"),
    "a key twice": (lambda t: t.replace("{", '{"a": 1, "a": 2, ', 1).encode(), "stands twice"),
    "NaN": (lambda t: t.replace("{", '{"a": NaN, ', 1).encode(), "NaN is not JSON"),
    "infinity": (lambda t: t.replace("{", '{"a": [-Infinity], ', 1).encode(), "not JSON"),
    "1e400": (lambda t: t.replace("{", '{"a": -1e400, ', 1).encode(), "too large"),
    "5,000 digits": (lambda t: t.replace("{", f'{{"a": {"9" * 5000}, ', 1).encode(), "too large"),
    "100,000 lists deep": (lambda t: t.replace("{", f'{{"a": {"[" * 10**5}{"]" * 10**5}, ',
                                               1).encode(), "nested too deep"),
    "100,000 objects deep": (lambda _: b'{"a":' * 10**5 + b"1" + b"}" * 10**5, "nested too deep"),
    "half a character": (lambda t: t.replace("{", '{"a": "\\ud800", ', 1).encode(), "half a char"),
    "half a character as key": (lambda t: t.replace("{", '{"a": [{"\\uDFFF": 1}], ', 1).encode(),
                                "half a char"),
    "an escaped NUL": (lambda t: t.replace("{", '{"a": "b\\u0000", ', 1).encode(), "NUL"),
    "a raw line end in a text": (lambda t: t.replace("{", '{"a": "b\n", ', 1).encode(), "control"),
}  # fmt: skip


# ---------------------------------------------------------------- the judge


def attempt(load, path):
    """Return what was loaded, or the typed error."""
    try:
        return load(path), None
    except DataError as error:
        return None, error


def outcome(load, path, is_right):
    """Return the text of the error, RIGHT, WARNED, or what went wrong in silence."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded, refusal = attempt(load, path)
    if refusal is not None:
        named = path.name.replace("\0", "\\x00") in str(refusal) and len(refusal.remedy) > 4
        return f"refused: {refusal}" if named else f"an error without file or remedy: {refusal}"
    if any(not issubclass(each.category, DataWarning) for each in caught):
        return f"a warning of another kind: {caught[0].message}"
    if any("may have been cut" in str(each.message) for each in caught) and not is_right(loaded):
        return TOLD
    if not is_right(loaded):
        return f"SILENT: {[str(each.message) for each in caught]}"
    return WARNED if caught else RIGHT


def image_outcome(folder, row, kind):
    """Return what comes of a row of `IMAGE_ROWS` or `PLACE_ROWS` for a kind of image."""

    def is_right(img):
        return np.array_equal(np.asarray(img.dataobj), truth(kind)) and np.allclose(
            img.affine, AFFINE, atol=1e-4
        )

    if row in PLACE_ROWS:
        path = folder / "sub-01.nii.gz"
        return outcome(io.load_img, PLACE_ROWS[row][0](path, None) or path, is_right)
    name, make, _ = IMAGE_ROWS[row]
    content = make(kind)
    path = folder / (GZ if name == PACKED else name)
    path.write_bytes(pack(content) if name == PACKED else content)
    return outcome(io.load_img, path, is_right)


def text_outcome(folder, row, name):
    """Return what comes of a row of `TABLE_ROWS`, `JSON_ROWS` or `PLACE_ROWS` for a text file."""
    path = folder / name
    if name.endswith(".json"):
        load, text = io.load_json, json.dumps(SIDECARS[name], indent=1) + "\n"
    else:
        load, text = (io.load_matrix if name == "relmat.tsv" else io.load_table), TABLES[name]

    def is_right(loaded):
        if name.endswith(".json"):
            return loaded == SIDECARS[name]
        frame = loaded.reset_index(names="name") if name == "relmat.tsv" else loaded
        again = io.save_table(frame, folder / "again.tsv").read_text(encoding="utf-8")
        return same_cells(cells(again), cells(text))

    rows = {**TABLE_ROWS, **PLACE_ROWS} if name.endswith(".tsv") else {**JSON_ROWS, **PLACE_ROWS}
    if row in PLACE_ROWS:
        return outcome(load, rows[row][0](path, None) or path, is_right)
    path.write_bytes(rows[row][0](text))
    return outcome(load, path, is_right)


def same_cells(one, other):
    """Return whether two tables hold the same cells, numbers compared as numbers."""

    def value(cell):
        try:
            return float(cell)
        except ValueError:
            return cell

    return [[value(c) for c in row] for row in one] == [[value(c) for c in row] for row in other]


def meets(found, expected):
    """Return whether an outcome is the one that a row asks for."""
    if expected in (RIGHT, WARNED, TOLD):
        return found == expected
    return found.startswith("refused") and any(word in found for word in expected.split("|"))


# ---------------------------------------------------------------- the matrices


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("row", IMAGE_ROWS | PLACE_ROWS)
def test_images(tmp_path, row, kind):
    found = image_outcome(tmp_path, row, kind)
    assert meets(found, ({**IMAGE_ROWS, **PLACE_ROWS})[row][-1]), found


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("row", TABLE_ROWS | PLACE_ROWS)
def test_tables(tmp_path, row, name):
    found = text_outcome(tmp_path, row, name)
    assert meets(found, ({**TABLE_ROWS, **PLACE_ROWS})[row][-1]), found


@pytest.mark.parametrize("name", SIDECARS)
@pytest.mark.parametrize("row", JSON_ROWS | PLACE_ROWS)
def test_sidecars(tmp_path, row, name):
    found = text_outcome(tmp_path, row, name)
    assert meets(found, ({**JSON_ROWS, **PLACE_ROWS})[row][-1]), found


@pytest.mark.parametrize("kind", ["BOLD", "labels"])
def test_an_image_cut_anywhere_is_refused(tmp_path, kind):
    for name, whole in ((NII, sound(kind)), (GZ, pack(sound(kind)))):
        for length in range(0, len(whole), 7):
            path = tmp_path / f"{length}-{name}"
            path.write_bytes(whole[:length])
            with pytest.raises(DataError):
                io.load_img(path)


@pytest.mark.parametrize("kind", ["BOLD", "labels"])
def test_a_bit_flipped_anywhere_in_a_gzip_file_is_refused_or_without_effect(tmp_path, kind):
    whole, without_effect = pack(sound(kind), mtime=0), 0
    for place in range(len(whole)):
        path = tmp_path / f"{place}.nii.gz"
        path.write_bytes(flip(whole, place))
        img, refusal = attempt(io.load_img, path)
        if refusal is None:
            np.testing.assert_array_equal(np.asarray(img.dataobj), truth(kind))
            without_effect += 1
    assert without_effect < 20  # the packer's flags, time and system; a code that is not used


@pytest.mark.parametrize("name", SIDECARS)
def test_json_cut_anywhere_is_refused(tmp_path, name):
    text = json.dumps(SIDECARS[name], indent=1)
    for length in range(len(text)):
        path = tmp_path / f"{length}.json"
        path.write_text(text[:length])
        with pytest.raises(DataError):
            io.load_json(path)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_cut_anywhere_but_at_a_line_end_is_told(tmp_path, name):
    text = TABLES[name].encode()
    for length in range(len(text)):
        path = tmp_path / f"{length}.tsv"
        path.write_bytes(text[:length])
        if text[:length].endswith(b"\n"):  # fewer rows: only a record of its hash can tell
            continue
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            frame, _ = attempt(io.load_table, path)
        assert frame is None or any("may have been cut" in str(each.message) for each in caught)
        if name == "relmat.tsv" and length < len(text) - 1:  # a square shows missing rows too
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DataWarning)
                frame, _ = attempt(io.load_matrix, path)
            assert frame is None or text[length:].find(b"\t") < 0


def summary():
    """Return the counts of the three matrices; 'silent' counts whatever is none of the others."""
    counts: Counter[str] = Counter()
    jobs = [(image_outcome, row, kind) for row in IMAGE_ROWS | PLACE_ROWS for kind in IMAGES]
    jobs += [(text_outcome, row, name) for row in TABLE_ROWS | PLACE_ROWS for name in TABLES]
    jobs += [(text_outcome, row, name) for row in JSON_ROWS | PLACE_ROWS for name in SIDECARS]
    for judge, row, kind in jobs:
        with tempfile.TemporaryDirectory() as folder:
            found = judge(Path(folder), row, kind)
        known = {RIGHT: "right", WARNED: "warned", TOLD: "told"}
        counts["refused" if found.startswith("refused") else known.get(found, "silent")] += 1
    return {"cases": len(jobs), **counts, "silent": counts["silent"]}


if __name__ == "__main__":
    print(json.dumps(summary()))
