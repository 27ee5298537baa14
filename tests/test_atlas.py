import json
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from brainnet import atlas
from brainnet.atlas import files as atlas_files
from brainnet.io import DataError, DataWarning

PACKAGED = {"DesikanKilliany": 84, "Destrieux": 164, "AICHA": 384, "AAL": 120}
SCHAEFER_TIAN = {
    f"Schaefer{cortex}TianS{scale}": cortex + 16 * scale
    for cortex in (100, 200, 400)
    for scale in (1, 2)
}
TSPACE = "MNI152NLin2009cAsym"


def load_quietly(name, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return atlas.load(name, **options)


def labels_of(img):
    return np.asarray(img.dataobj)


@pytest.fixture
def shared_atlases(shared_data, monkeypatch):
    monkeypatch.setenv(atlas_files.PATH_VARIABLE, str(shared_data / "atlases"))
    return shared_data / "atlases"


@pytest.fixture
def own(tmp_path):
    """Write a labels image (two blocks in the brain, one on each side) and its table."""

    def write(labels=None, rows=None, name=f"mine_space-{TSPACE}_dseg.nii.gz", **columns):
        if labels is None:
            labels = np.zeros((60, 60, 60), np.int16)
            labels[10:20, 20:30, 30:40] = 3
            labels[40:50, 20:30, 30:40] = 7
        affine = np.diag([2.0, 2.0, 2.0, 1.0])
        affine[:3, 3] = [-59, -80, -50]
        nib.save(nib.Nifti1Image(labels, affine), tmp_path / name)
        rows = {"index": [3, 7], "name": ["left", "right"]} if rows is None else rows
        pd.DataFrame(rows | columns).to_csv(tmp_path / "table.tsv", sep="\t", index=False)
        return tmp_path / name, tmp_path / "table.tsv"

    return write


@pytest.mark.parametrize("name, n_regions", PACKAGED.items())
def test_packaged_atlases_have_their_regions(name, n_regions):
    loaded = load_quietly(name)
    assert loaded.n_regions == n_regions
    assert atlas.describe(name)["n_regions"] == n_regions
    assert set(np.unique(labels_of(loaded.labels_img))) == {0, *loaded.indices}
    assert len(set(loaded.names)) == n_regions


@pytest.mark.parametrize("name, n_regions", SCHAEFER_TIAN.items())
def test_schaefer_tian_come_from_the_path_variable(name, n_regions, shared_atlases):
    loaded = atlas.load(name)
    assert loaded.n_regions == n_regions
    assert loaded.space == TSPACE
    assert (loaded.regions["kind"] == "cortex").sum() == int(name[8:11])
    networks = {"Vis", "SomMot", "DorsAttn", "SalVentAttn", "Limbic", "Cont", "Default", "n/a"}
    assert set(loaded.regions["network"]) == networks


def test_schaefer_tian_are_recognised_by_their_bytes(shared_data):
    path = shared_data / "atlases" / "Schaefer200_TianS2_2009cAsym_2mm.nii.gz"
    assert atlas.load(path).name == "Schaefer200TianS2"
    assert atlas.load(str(path)).n_regions == 232


def test_desikan_killiany_is_68_cortical_14_subcortical_and_2_cerebellar():
    regions = atlas.load("DesikanKilliany").regions
    assert regions["kind"].value_counts().to_dict() == {
        "cortex": 68,
        "subcortex": 14,
        "cerebellum": 2,
    }
    assert not regions["name"].str.contains("unknown", case=False).any()
    assert (regions["hemisphere"] == "L").sum() == 42


@pytest.mark.parametrize("name", PACKAGED)
def test_sides_and_centroids_agree_with_the_voxels(name):
    """Centroids by an independent route: scipy over the stored, not the reoriented, volume."""
    from scipy import ndimage

    loaded = load_quietly(name)
    stored = nib.load(atlas_files.find_volume(name))
    voxels = ndimage.center_of_mass(
        np.ones(stored.shape), np.asarray(stored.dataobj), loaded.indices
    )
    world = nib.affines.apply_affine(stored.affine, voxels)
    regions = loaded.regions
    np.testing.assert_allclose(regions[["x", "y", "z"]], world, atol=0.006)
    assert (regions.loc[regions["hemisphere"] == "L", "x"] < 0).all()
    assert (regions.loc[regions["hemisphere"] == "R", "x"] > 0).all()


def test_labels_lie_where_their_anatomy_is():
    """Known places, in mm: occipital behind, frontal before, cerebellum below."""
    regions = atlas.load("DesikanKilliany").regions.set_index("name")
    assert regions.loc["ctx-lh-pericalcarine", "y"] < -70
    assert regions.loc["ctx-rh-frontalpole", "y"] > 50
    assert regions.loc["Left-Cerebellum-Cortex", "z"] < -30
    hippocampus = regions.loc["Left-Hippocampus", ["x", "y", "z"]].astype(float)
    np.testing.assert_allclose(hippocampus, [-25, -23, -14], atol=4)


def test_volume_is_ras_int32_and_in_mni():
    img = atlas.load("DesikanKilliany").labels_img
    assert nib.aff2axcodes(img.affine) == ("R", "A", "S")
    assert img.get_data_dtype() == np.int32
    assert img.header["sform_code"] == img.header["qform_code"] == 4


def test_cortex_of_desikan_killiany_lies_on_grey_matter_of_its_space():
    """T1w intensity of the template is higher in labelled white matter than in labelled cortex."""
    whole = atlas.load("DesikanKilliany", node_only=False)
    brain = atlas.template("brain")
    labels = labels_of(whole.labels_img)
    means = []
    for inside in (np.isin(labels, [2, 41]), labels >= 1000, np.isin(labels, [4, 43])):
        world = nib.affines.apply_affine(whole.labels_img.affine, np.argwhere(inside)[::50])
        voxels = np.rint(nib.affines.apply_affine(np.linalg.inv(brain.affine), world)).astype(int)
        means.append(brain.get_fdata()[tuple(voxels.T)].mean())
    white, cortex, ventricle = means
    assert white > cortex + 10 > ventricle + 20


def test_without_nodes_only_white_matter_and_ventricles_are_there_too():
    whole = atlas.load("DesikanKilliany", node_only=False)
    assert {"white_matter", "csf", "other"} < set(whole.regions["kind"])
    assert whole.n_regions == 112
    nodes = labels_of(atlas.load("DesikanKilliany").labels_img)
    kept = np.isin(labels_of(whole.labels_img), atlas.load("DesikanKilliany").indices)
    np.testing.assert_array_equal(nodes > 0, kept)


def test_aicha_is_192_homotopic_pairs():
    names = atlas.load("AICHA").names
    left = [name[:-2] for name in names if name.endswith("-L")]
    right = [name[:-2] for name in names if name.endswith("-R")]
    assert left == right
    assert len(left) == 192


def test_an_atlas_far_from_the_template_space_is_said():
    with pytest.warns(DataWarning, match="MNIColin27, which differs from MNI152NLin2009cAsym"):
        atlas.load("AAL")


def test_available_lists_all_without_loading_a_volume(monkeypatch):
    monkeypatch.setattr("brainnet.atlas.labels.read_labels", lambda path: pytest.fail(str(path)))
    monkeypatch.delenv(atlas_files.PATH_VARIABLE, raising=False)
    facts = {each["name"]: each for each in atlas.available()}
    assert set(facts) == {*PACKAGED, *SCHAEFER_TIAN, "Schaefer100", "Schaefer200", "Schaefer400"}
    for each in facts.values():
        assert all(each[key] for key in ("title", "space", "licence", "citation", "source"))
        json.dumps(each)
    assert all(facts[name]["present"] and not facts[name]["why_not"] for name in PACKAGED)
    missing = facts["Schaefer100TianS1"]
    assert not missing["present"]
    assert atlas_files.PATH_VARIABLE in missing["why_not"]


def test_text_for_the_command_line_names_every_atlas_and_region():
    listing = atlas.format_list()
    assert all(name in listing for name in PACKAGED)
    shown = atlas.format_one("AICHA")
    assert all(name in shown for name in atlas.load("AICHA").names)


def test_to_dict_is_ready_for_json():
    facts = json.loads(json.dumps(atlas.load("DesikanKilliany").to_dict()))
    assert len(facts["regions"]) == facts["n_regions"] == 84


def test_unknown_names_and_absent_volumes_say_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("NILEARN_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(atlas_files.PATH_VARIABLE, raising=False)
    with pytest.raises(ValueError, match=r"one of AAL, AICHA.*got 'Desikan'"):
        atlas.load("Desikan")
    with pytest.raises(DataError, match=r"atlas.load\('Schaefer100', download=True\)"):
        atlas.load("Schaefer100")
    with pytest.raises(DataError, match="yetianmed/subcortex and set BRAINNET_ATLAS_PATH"):
        atlas.load("Schaefer100TianS1")
    with pytest.raises(ValueError, match="go with a labels image"):
        atlas.load("AAL", space=TSPACE)


def test_a_changed_volume_is_not_taken_for_the_known_one(shared_data, monkeypatch, tmp_path):
    name = "Schaefer100_TianS1_2009cAsym_2mm.nii.gz"
    img = nib.load(shared_data / "atlases" / name)
    data = np.asarray(img.dataobj).copy()
    data[data == 5] = 6
    nib.save(nib.Nifti1Image(data, img.affine), tmp_path / name)
    monkeypatch.setenv(atlas_files.PATH_VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match="is not the expected file: its SHA-256"):
        atlas.load("Schaefer100TianS1")


def test_a_fetched_schaefer_is_found_and_its_names_are_compared(shared_data, monkeypatch, tmp_path):
    """Stand-in for nilearn's cache: the cortex of Schaefer100TianS1, renumbered from 1."""
    folder = tmp_path / "schaefer_2018"
    folder.mkdir()
    img = nib.load(shared_data / "atlases" / "Schaefer100_TianS1_2009cAsym_2mm.nii.gz")
    labels = np.maximum(np.asarray(img.dataobj).astype(np.int16) - 16, 0)
    stem = "Schaefer2018_100Parcels_7Networks_order"
    nib.save(nib.Nifti1Image(labels, img.affine), folder / f"{stem}_FSLMNI152_1mm.nii.gz")
    names = pd.read_csv(
        atlas_files.folder("Schaefer100") / "regions.tsv", sep="\t", keep_default_na=False
    )["name"]
    lines = [f"{number}\t{name}\t0\t0\t0\t0\n" for number, name in enumerate(names, start=1)]
    (folder / f"{stem}.txt").write_text("".join(lines))
    monkeypatch.setenv("NILEARN_DATA", str(tmp_path))
    assert atlas.load("Schaefer100").names == names.tolist()
    (folder / f"{stem}.txt").write_text("".join(lines).replace("Vis_3", "Vis_X"))
    with pytest.raises(DataError, match="Vis_X where 7Networks_LH_Vis_3 is expected"):
        atlas.load("Schaefer100")


def test_own_atlas_is_completed_from_its_image(own):
    path, table = own(network=["Default", "n/a"])
    mine = atlas.load(path, table=table)
    assert mine.names == ["left", "right"]
    assert mine.indices.tolist() == [3, 7]
    assert mine.space == TSPACE
    assert mine.regions["hemisphere"].tolist() == ["L", "R"]
    assert mine.regions["network"].tolist() == ["Default", "n/a"]
    np.testing.assert_allclose(mine.regions[["x", "y", "z"]], [[-30, -31, 19], [30, -31, 19]])


def test_own_atlas_keeps_the_order_of_its_table_and_drops_what_is_no_node(own):
    path, table = own(rows={"index": [7, 0, 3], "name": ["right", "nothing", "left"]})
    assert atlas.load(path, table=table).names == ["right", "left"]
    path, table = own(node=[0, 1])
    mine = atlas.load(path, table=table)
    assert mine.names == ["right"]
    assert set(np.unique(labels_of(mine.labels_img))) == {0, 7}


def test_own_atlas_stored_as_float_and_flipped_gives_the_same(own):
    path, table = own()
    plain = atlas.load(path, table=table)
    img = nib.load(path)
    flipped = nib.Nifti1Image(
        np.asarray(img.dataobj)[::-1].astype(np.float32),
        img.affine @ np.array([[-1, 0, 0, 59], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
    )
    nib.save(flipped, path)
    again = atlas.load(path, table=table)
    np.testing.assert_array_equal(labels_of(plain.labels_img), labels_of(again.labels_img))
    np.testing.assert_allclose(plain.labels_img.affine, again.labels_img.affine)


@pytest.mark.parametrize(
    "rows, problem",
    [
        ({"index": [3], "name": ["left"]}, r"1 labels have no row in table.tsv: \[7\]"),
        ({"index": [3, 7, 9], "name": ["a", "b", "lost"]}, "no voxel in mine.*: 9 lost"),
        ({"index": [3, 3], "name": ["a", "b"]}, r"index must not repeat; got \[3\]"),
        ({"index": [3, 7], "name": ["a", "a"]}, r"name must not repeat; got \['a'\]"),
        ({"index": [3, 7.5], "name": ["a", "b"]}, r"lines \[3\] lack a whole-number index"),
        ({"label": [3, 7], "name": ["a", "b"]}, "index"),
    ],
)
def test_own_tables_that_do_not_fit_are_refused(own, rows, problem):
    path, table = own(rows=rows)
    with pytest.raises(DataError, match=problem):
        atlas.load(path, table=table)


def test_own_images_that_are_no_labels_are_refused(own):
    path, table = own(labels=np.random.default_rng(0).random((20, 20, 20, 4)).astype("f4"))
    with pytest.raises(DataError, match=r"4-D .*probabilistic.*argmax"):
        atlas.load(path, table=table)
    path, table = own(labels=np.linspace(0, 9, 8000, dtype="f4").reshape(20, 20, 20))
    with pytest.raises(DataError, match="not whole numbers"):
        atlas.load(path, table=table)
    labels = np.zeros((20, 20, 20), np.int16)
    path, table = own(labels=labels)
    with pytest.raises(DataError):
        atlas.load(path, table=table)
    labels[5] = -4
    path, table = own(labels=labels)
    with pytest.raises(DataError, match=r"-4\.\.0"):
        atlas.load(path, table=table)


def test_own_atlas_needs_a_table_and_a_space(own):
    path, table = own()
    with pytest.raises(DataError, match="no table says"):
        atlas.load(path)
    path, table = own(name="mine.nii.gz")
    with pytest.raises(DataError, match="does not say which space"):
        atlas.load(path, table=table)
    assert atlas.load(path, table=table, space="MNI152NLin6Asym").space == "MNI152NLin6Asym"
    with pytest.warns(DataWarning, match="MNI152Lin, which differs"):
        atlas.load(path, table=table, space="MNI152Lin")


@pytest.mark.parametrize("space", ["T1w", "MNIPediatricAsym", "fsaverage", "MNI152"])
def test_a_space_that_is_no_adult_mni_space_is_refused(own, space):
    path, table = own(name="mine.nii.gz")
    with pytest.raises(DataError, match=f"is in space '{space}'"):
        atlas.load(path, table=table, space=space)


def test_name_and_argument_must_agree_on_the_space(own):
    path, table = own()
    with pytest.raises(DataError, match="its name says"):
        atlas.load(path, table=table, space="MNI152NLin6Asym")


def test_labels_outside_the_brain_are_not_in_the_space_they_say(own):
    path, table = own()
    img = nib.load(path)
    moved = img.affine.copy()
    moved[2, 3] += 75
    nib.save(nib.Nifti1Image(np.asarray(img.dataobj), moved), path)
    with pytest.raises(DataError, match="of its labelled voxels lie inside"):
        atlas.load(path, table=table)


def test_a_damaged_own_image_is_refused(own):
    path, table = own()
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError):
        atlas.load(path, table=table)
    with pytest.raises(DataError):
        atlas.load(path.with_name("absent.nii.gz"), table=table)


def test_template_is_the_2009c_brain_on_either_grid():
    fine, coarse = atlas.template(), atlas.template(res=2)
    assert fine.shape == (193, 229, 193)
    np.testing.assert_allclose(coarse.affine[:3, 3], fine.affine[:3, 3])
    mask = labels_of(atlas.template("mask"))
    assert mask.sum() / 1000 == pytest.approx(1886, abs=20)  # ml
    np.testing.assert_allclose(coarse.get_fdata().mean(), fine.get_fdata().mean(), rtol=0.05)
    corner = fine.get_fdata()[::2, ::2, ::2]
    assert np.corrcoef(corner.ravel(), coarse.get_fdata().ravel())[0, 1] > 0.98
    for bad in ({"kind": "head"}, {"res": 3}):
        with pytest.raises(ValueError, match="template must be"):
            atlas.template(**bad)


def test_a_template_of_another_version_is_refused(monkeypatch):
    monkeypatch.setattr("brainnet.atlas.mni._TEMPLATE_SHA256", "0" * 64)
    with pytest.raises(DataError, match="is not the expected file"):
        atlas.template()


@pytest.mark.parametrize(
    "name, low, high", [("cerebellar_grey", 90, 150), ("whole_cerebellum", 120, 190)]
)
def test_reference_regions_are_below_and_behind(name, low, high):
    img = atlas.reference_mask(name)
    mask = labels_of(img)
    world = nib.affines.apply_affine(img.affine, np.argwhere(mask > 0))
    assert low < len(world) / 1000 < high
    np.testing.assert_allclose(world.mean(axis=0), [0, -61, -36], atol=5)
    assert set(np.unique(mask)) == {0, 1}


def test_brainstem_is_on_the_midline_and_other_regions_are_refused():
    img = atlas.reference_mask("brainstem")
    world = nib.affines.apply_affine(img.affine, np.argwhere(labels_of(img) > 0))
    assert abs(world[:, 0].mean()) < 2
    with pytest.raises(ValueError, match="reference region must be one of"):
        atlas.reference_mask("pons")


def test_tables_can_be_made_again(shared_atlases, monkeypatch, tmp_path):
    """The maintainers' command gives the committed table, from the volume and its own names."""
    from brainnet.atlases import make

    for name in ("DesikanKilliany", "Schaefer100TianS1"):
        committed = pd.read_csv(
            atlas_files.folder(name) / "regions.tsv", sep="\t", keep_default_na=False
        )
        made = make._regions(name, atlas_files.find_volume(name))
        pd.testing.assert_frame_equal(made, committed[made.columns])


@pytest.mark.parametrize(
    "name, expected",
    [
        (
            "tpl-X_atlas-Schaefer2018_desc-100Parcels7Networks_dseg",
            "Schaefer2018100Parcels7Networks",
        ),
        (
            "tpl-X_atlas-Schaefer2018_desc-400Parcels7Networks_dseg",
            "Schaefer2018400Parcels7Networks",
        ),
        ("space-X_seg-Cammoun_scale-250_dseg", "Cammoun250"),
        ("space-X_seg-AAL_dseg", "AALOwn"),
        ("my labels", "mylabels"),
    ],
)
def test_own_atlases_that_differ_have_names_that_differ(name, expected):
    found = atlas._own_name(Path(f"{name}.nii.gz"))
    assert found == expected
    assert atlas._own_name(Path(f"space-X_seg-{found}_dseg.nii.gz")) == found  # of OUT's copy
