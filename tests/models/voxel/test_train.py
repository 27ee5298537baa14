"""A toy network learns a toy head, and goes on after a kill to the same weights."""

import pytest
import torch

from brainnet.io import DataError
from brainnet.models.core import fit as fit_module
from brainnet.models.core.recipe import Recipe
from brainnet.models.voxel.synthesis import HeadSynthesis, Scanner
from brainnet.models.voxel.train import Epoch, train_segmentation

UNET = {
    "name": "UNet",
    "options": {
        "spatial_dims": 3, "in_channels": 1, "channels": [8, 16, 32], "strides": [2, 2],
        "num_res_units": 1, "norm": "instance",
    },
}  # fmt: skip
SMALL = {"name": "UNet", "options": UNET["options"] | {"channels": [2, 4, 8]}}
GENTLE = Scanner(
    rotation=4, scaling=0.05, shift=3, warp=0.5, spacing=3, bias=0.2, noise=0.04,
    p_known=1, p_cut=0, p_stripped=0.2,
)  # fmt: skip
RECIPE = Recipe(
    n_epochs=8, learning_rate=1e-2, schedule="cosine", warmup=0.05, average=0.9, clip=5.0
)


def _synthesis(heads, table, shape=(24, 24, 24), **options):
    return HeadSynthesis(
        heads, table, shapes=[shape], voxel_size=2.5, scanner=GENTLE, contrasts=["T1w", "T2w"],
        **options,
    )  # fmt: skip


def _truth(sample, table):
    """Label numbers: the structure with the largest share, on its side."""
    structure = sample["structure"].argmax(0)
    right = sample["side"][1] > sample["side"][0]
    numbers = torch.zeros(2, 1 + table.n_structures, dtype=torch.int64)
    for place, (name, side) in enumerate(
        zip(table.regions["structure"], table.regions["side"], strict=True), start=1
    ):
        numbers[int(side == "right"), 1 + table.structures.index(name)] = place
    return numbers[right.long(), structure]


def test_learns_structures_and_sides_of_a_head_it_never_saw(toy_table, toy_head):
    heads = [toy_head(seed=seed) for seed in range(3)]
    model, history = train_segmentation(
        UNET, _synthesis(heads, toy_table), recipe=RECIPE, n_an_epoch=20
    )
    assert not model.training
    assert history.train_loss[-1] < 0.4 * history.train_loss[0]
    unseen = _synthesis([toy_head(seed=9)], toy_table, seed=5)
    both, sizes = torch.zeros(5), torch.zeros(5)
    for number in range(8):
        sample = unseen[number]
        truth = _truth(sample, toy_table)
        with torch.no_grad():
            found = toy_table.probabilities(model(sample["image"][None]))[0].argmax(0)
        for label in range(5):
            both[label] += 2 * ((found == label) & (truth == label)).sum()
            sizes[label] += (found == label).sum() + (truth == label).sum()
    assert float((both / sizes).min()) > 0.8


class _Killed(Exception):
    """What ends a run in the middle."""


def _dying(synthesis, at):
    """Let a synthesis end the run when a sample is asked for."""
    make = synthesis.__class__.__getitem__

    class Dying(HeadSynthesis):
        def __getitem__(self, number):
            if number == at:
                raise _Killed
            return make(self, number)

    synthesis.__class__ = Dying
    return synthesis


@pytest.mark.parametrize("at", [1, 4, 11])
def test_killed_and_resumed_equals_uninterrupted(toy_table, toy_head, tmp_path, monkeypatch, at):
    monkeypatch.setattr(fit_module, "SAVE_EVERY", 0.0)
    recipe = Recipe(n_epochs=3, learning_rate=1e-2, schedule="cosine", average=0.9)

    def train(synthesis, folder):
        return train_segmentation(SMALL, synthesis, recipe=recipe, n_an_epoch=4, folder=folder)

    def synthesis():
        return _synthesis([toy_head()], toy_table, shape=(16, 16, 16))

    whole, history = train(synthesis(), tmp_path / "whole")
    with pytest.raises(_Killed):
        train(_dying(synthesis(), at), tmp_path / "killed")
    made = []
    resumed, again = train(_noting(synthesis(), made), tmp_path / "killed")
    assert again == history
    assert made == list(range(at, 12))  # what was done is not done again
    for one, other in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def _noting(synthesis, made):
    make = synthesis.__class__.__getitem__

    class Noting(HeadSynthesis):
        def __getitem__(self, number):
            made.append(number)
            return make(self, number)

    synthesis.__class__ = Noting
    return synthesis


def test_a_state_of_another_network_is_refused(toy_table, toy_head, tmp_path):
    recipe = Recipe(n_epochs=1)
    synthesis = _synthesis([toy_head()], toy_table, shape=(8, 8, 8))
    train_segmentation(SMALL, synthesis, recipe=recipe, n_an_epoch=1, folder=tmp_path)
    with pytest.raises(DataError, match="another network"):
        train_segmentation(UNET, synthesis, recipe=recipe, n_an_epoch=1, folder=tmp_path)
    with pytest.raises(DataError, match=r"another recipe \(n_epochs"):
        train_segmentation(
            SMALL, synthesis, recipe=Recipe(n_epochs=2), n_an_epoch=1, folder=tmp_path
        )


def test_starts_from_the_weights_that_fit(toy_table, toy_head):
    synthesis = _synthesis([toy_head()], toy_table, shape=(8, 8, 8))
    # a step so small that it changes nothing: what is left is where it began
    recipe = Recipe(n_epochs=1, learning_rate=1e-30, weight_decay=0.0)
    fresh, _ = train_segmentation(SMALL, synthesis, recipe=recipe, n_an_epoch=1)
    first = next(iter(fresh.state_dict()))
    given = {first: torch.ones_like(fresh.state_dict()[first]), "other": torch.ones(3)}
    wrong_shape = {name: torch.ones(1, 1) for name in list(fresh.state_dict())[1:]}
    model, _ = train_segmentation(
        SMALL, synthesis, recipe=recipe, n_an_epoch=1, start=given | wrong_shape
    )
    for name, each in model.state_dict().items():
        expected = given[name] if name == first else fresh.state_dict()[name]
        torch.testing.assert_close(each, expected)
    with pytest.raises(ValueError, match="none of 1 has the name and shape"):
        train_segmentation(
            SMALL, synthesis, recipe=recipe, n_an_epoch=1, start={"other": torch.ones(3)}
        )


def test_fields_of_view_must_suit_the_network(toy_table, toy_head):
    synthesis = _synthesis([toy_head()], toy_table, shape=(16, 18, 16))
    with pytest.raises(ValueError, match=r"of \(16, 18, 16\) it makes"):
        train_segmentation(SMALL, synthesis, recipe=RECIPE)
    two = {"name": "UNet", "options": SMALL["options"] | {"in_channels": 2}}
    with pytest.raises(ValueError, match="one input channel"):
        train_segmentation(two, _synthesis([toy_head()], toy_table), recipe=RECIPE)


def test_an_epoch_goes_on_in_the_endless_samples(toy_table, toy_head):
    synthesis = _synthesis([toy_head()], toy_table, shape=(8, 8, 8))
    epoch = Epoch(synthesis, 2, 3)
    assert len(epoch) == 3
    for place, batch in enumerate(epoch):
        assert batch["image"].is_contiguous(memory_format=torch.channels_last_3d)
        assert torch.equal(batch["image"][0], synthesis[6 + place]["image"])
    with pytest.raises(IndexError):
        epoch[3]
