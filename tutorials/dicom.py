# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From DICOM to BIDS
#
# Scanners write DICOM; everything here starts from BIDS. `brainnet bids-from-dicom` converts a
# folder of series (T1w, BOLD, field maps, PET, CT) by a small mapping file, and checks every
# image against the files that it came from. It needs `pip install 'brainnet[dicom]'`.
#
# The two series here are made up: a T1w of a few slices and a CT, of a person who does not exist.

# %%
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from brainnet import io

folder = Path(tempfile.mkdtemp())
UID = "1.2.826.0.1.3680043.9.7777"
CLASSES = {"MR": "1.2.840.10008.5.1.4.1.1.4", "CT": "1.2.840.10008.5.1.4.1.1.2"}


def write_series(number: int, modality: str, description: str, **fields: object) -> np.ndarray:
    """Write one file a slice, as scanners do; return the voxels (column, row, slice)."""
    voxels = np.random.default_rng(number).integers(0, 1000, (24, 20, 6)).astype("<i2")
    for k in range(voxels.shape[2]):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CLASSES[modality]
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{UID}.{number}.{k + 1}"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{UID}.1", f"{UID}.1.{number}"
        ds.FrameOfReferenceUID = f"{UID}.2"
        ds.PatientName, ds.PatientID, ds.PatientBirthDate = "DOE^JANE", "MRN-0042", "19470311"
        ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = "20210304"
        ds.Modality, ds.SeriesNumber, ds.InstanceNumber = modality, number, k + 1
        ds.SeriesDescription, ds.Manufacturer, ds.PatientPosition = description, "ACME", "HFS"
        ds.Columns, ds.Rows = voxels.shape[:2]
        ds.PixelSpacing, ds.SliceThickness, ds.SpacingBetweenSlices = [1.5, 1.5], 2.0, 2.0
        ds.ImagePositionPatient = [-18.0, -15.0, 2.0 * k]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = (
            1,
            "MONOCHROME2",
            1,
        )
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit = 15
        for name, value in fields.items():
            setattr(ds, name, value)
        ds.PixelData = np.ascontiguousarray(voxels[:, :, k].T).tobytes()
        path = folder / "dicom" / f"IM{number:03d}_{k + 1:04d}"
        path.parent.mkdir(exist_ok=True)
        ds.save_as(path, enforce_file_format=True)
    return voxels


t1w = write_series(
    2, "MR", "T1_MPRAGE_sag", EchoTime=2.9, RepetitionTime=2300.0, InversionTime=900.0,
    MagneticFieldStrength=3.0, ScanningSequence="GR", SequenceVariant="SP",
    MRAcquisitionType="3D", ImageType=["ORIGINAL", "PRIMARY", "M", "ND"],
)  # fmt: skip
ct = write_series(
    3, "CT", "Head 2.0 H31s", RescaleSlope=1.0, RescaleIntercept=-1024.0, KVP=120.0,
    ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
)  # fmt: skip


def brainnet(arguments: str) -> str:
    """Run a command line, show it and what it prints, and return that."""
    command = [sys.executable, "-m", "brainnet.cli", *arguments.split()]
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True)
    print(f"$ brainnet {arguments}\n{done.stdout}{done.stderr}")
    assert done.returncode == 0
    return done.stdout


# %% [markdown]
# ## What is there
#
# Without a mapping, `--dry-run` lists the series and prints a mapping file with a guess for each.

# %%
said = brainnet("bids-from-dicom dicom bids --dry-run")

# %% [markdown]
# ## The mapping
#
# Keep this file outside the dataset: it is the one place that knows patients' numbers. Each
# `[[series]]` says which series it means (`match`: DICOM keywords, `*` for anything, any case; the
# first that fits wins), what the image is called (`bids`), and what DICOM does not know
# (`metadata`). Repeats become `run-1`, `run-2`; somebody who came on several days needs
# `[sessions]` with `by = "date"`.

# %%
(folder / "map.toml").write_text(
    """
[dataset]
Name = "Phantoms"

[participants]
"MRN-0042" = "01"

[[series]]
match = { SeriesDescription = "*mprage*", Modality = "MR" }
bids = { datatype = "anat", suffix = "T1w" }

[[series]]
match = { Modality = "CT" }
bids = { datatype = "ct", suffix = "ct" }
"""
)
said = brainnet("bids-from-dicom dicom bids --map map.toml --dry-run")

# %% [markdown]
# ## The conversion
#
# Series that nothing fits are listed and left out. A faulty series is named, the others go on,
# and the exit status is 1. The same command again converts only what is missing.

# %%
said = brainnet("bids-from-dicom dicom bids --map map.toml")
said = brainnet("bids-from-dicom dicom bids --map map.toml")
for path in sorted((folder / "bids").rglob("*")):
    if path.is_file():
        print(path.relative_to(folder / "bids"))

# %% [markdown]
# Every voxel stands where the scanner measured it, CT in Hounsfield units, and nothing about the
# person came along but what the mapping says. Faces stay in the images: deface before sharing.

# %%
img = io.load_img(folder / "bids" / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
inside = np.linalg.inv(img.affine) @ [18.0, 15.0, 0.0, 1.0]  # RAS mm of the first voxel
i, j, k = np.rint(inside[:3]).astype(int)
print("T1w there:", img.get_fdata()[i, j, k], "planted:", t1w[0, 0, 0])
assert img.get_fdata()[i, j, k] == t1w[0, 0, 0]
ct_img = io.load_img(folder / "bids" / "sub-01" / "ct" / "sub-01_ct.nii.gz")
print("lowest CT value:", ct_img.get_fdata().min(), "HU; planted:", ct.min() - 1024.0)
assert ct_img.get_fdata().min() == ct.min() - 1024.0
sidecar = io.load_json(folder / "bids" / "sub-01" / "anat" / "sub-01_T1w.json")
print({key: sidecar[key] for key in ("EchoTime", "RepetitionTime", "Manufacturer")})
assert not any("DOE" in path.read_text() for path in (folder / "bids").rglob("*.json"))

# %%
shutil.rmtree(folder)
