"""What the training loop costs beside a bare one, and what pre-training brings.

Run it alone on a quiet machine::

    OMP_NUM_THREADS=1 python tests/benchmarks/training.py [--rounds 7] [--repeats 5]

The loop: a small 3-D UNet, the same batches, AdamW; `brainnet.models.core.fit` in turns with the
same few lines of plain torch, each round on a fresh network. The ratio is that of the medians;
1.1 or less is asked for. The pre-training: many planted volumes and networks without labels and a
few with, against the few alone, by Dice and accuracy on new ones. The last line is JSON.
"""

import argparse
import json
import statistics
import time

import numpy as np
import torch
from torch import nn

from brainnet.models.core.fit import fit, fork_seed
from brainnet.models.core.networks import build_network
from brainnet.models.core.pretrain import Crops, HideBlocks, pretrain_volumes, start_from
from brainnet.models.core.recipe import Recipe
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.graph.pretrain import pretrain_connectomes
from brainnet.models.voxel.degrade import smooth_noise

SHAPE = (16, 16, 16)
N_BATCHES, N_EPOCHS = 8, 6
OPTIONS = {
    "spatial_dims": 3, "in_channels": 1, "out_channels": 1, "channels": [8, 16, 24],
    "strides": [2, 2], "num_res_units": 1,
}  # fmt: skip
ASKED = 1.1


def entropy(model, pair):
    """Binary cross-entropy of a batch."""
    return nn.functional.binary_cross_entropy_with_logits(model(pair[0]), pair[1])


def unet():
    """The small network, always with the same weights."""
    with fork_seed(0):
        return build_network("UNet", OPTIONS)


def by_fit(batches, options):
    """Seconds of this package's loop."""
    model, recipe = unet(), Recipe(n_epochs=N_EPOCHS, **options)
    start = time.perf_counter()
    fit(model, lambda epoch: batches, entropy, recipe=recipe)
    return time.perf_counter() - start


def by_hand(batches):
    """Seconds of a bare loop."""
    model = unet()
    start = time.perf_counter()
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(N_EPOCHS):
        losses = []
        for batch in batches:
            optimizer.zero_grad(set_to_none=True)
            value = entropy(model, batch)
            value.backward()
            optimizer.step()
            losses.append(value.item())
    return time.perf_counter() - start


def loop(rounds):
    """Medians of both loops in turns, plain and with everything on."""
    made = torch.Generator().manual_seed(0)
    image = torch.randn((N_BATCHES, 1, 1, 32, 32, 32), generator=made)
    batches = [(each, (each > 0).float()) for each in image]
    whole = {"schedule": "cosine", "warmup": 0.1, "clip": 5.0, "average": 0.99}
    kinds = {
        "bare": lambda: by_hand(batches),
        "fit": lambda: by_fit(batches, {}),
        "fit_clip_average": lambda: by_fit(batches, whole),
    }
    spent = {name: [] for name in kinds}
    for number in range(rounds + 1):  # the first warms up
        for name, run in kinds.items():
            seconds = run()
            if number:
                spent[name].append(seconds)
    step = {k: statistics.median(v) / (N_BATCHES * N_EPOCHS) for k, v in spent.items()}
    return {
        "ms_a_step": {name: round(1000 * each, 2) for name, each in step.items()},
        "ratio": round(step["fit"] / step["bare"], 3),
        "ratio_clip_average": round(step["fit_clip_average"] / step["bare"], 3),
    }


def scenes(numbers):
    """Smooth bright shapes under heavy noise, and the shapes."""
    images, shapes = [], []
    for number in numbers:
        made = torch.Generator().manual_seed(number)
        shape = (smooth_noise(SHAPE, (4, 4, 4), made) > 0.2).float()
        images.append(0.3 + 0.4 * shape + 0.4 * torch.randn(SHAPE, generator=made))
        shapes.append(shape)
    return torch.stack(images)[:, None], torch.stack(shapes)[:, None]


def volumes(repeats):
    """Dice on new volumes, alone and pre-trained, by the number of labelled volumes."""
    crops = Crops(scenes(range(200))[0], shape=SHAPE, n_batches=25, batch_size=4)
    recipe = Recipe(n_epochs=12, learning_rate=3e-3, schedule="cosine", warmup=0.05)
    hide = HideBlocks(size=2, share=0.5)
    network = {"name": "UNet", "options": OPTIONS}
    start, _ = pretrain_volumes(network, lambda epoch: crops, recipe=recipe, hide=hide)
    images, shapes = scenes(range(10_000, 10_020))
    rows = []
    for n_labelled in (1, 4):
        for repeat in range(repeats):
            first = 500 + 10 * repeat
            pair = scenes(range(first, first + n_labelled))
            row = {"data": "volumes", "n_labelled": n_labelled, "repeat": repeat}
            for name, weights in (("alone", None), ("pretrained", start.state_dict())):
                model = unet()
                if weights is not None:
                    start_from(model, weights)
                recipe = Recipe(n_epochs=30, learning_rate=3e-3, seed=repeat)
                fit(model, lambda epoch, pair=pair: [pair], entropy, recipe=recipe)
                with torch.no_grad():
                    found = model(images) > 0
                row[name] = float(2 * (found & (shapes > 0)).sum() / (found.sum() + shapes.sum()))
            rows.append(row)
    return rows


def planted_networks(n_subjects, seed):
    """Two modalities of noisy networks; three hubs lose edges from stage to stage."""
    rng = np.random.default_rng(seed)
    stages = np.arange(n_subjects) % 3
    hubs = np.zeros((12, 12))
    hubs[:3], hubs[:, :3] = 1, 1
    networks = 0.35 + rng.normal(0, 0.15, (n_subjects, 2, 12, 12))
    networks -= 0.1 * stages[:, None, None, None] * hubs
    networks = (networks + networks.swapaxes(2, 3)) / 2
    networks[..., np.arange(12), np.arange(12)] = 0
    return networks, stages


def connectomes(repeats):
    """Accuracy on new subjects, alone and pre-trained, by the number of labelled subjects."""
    rows = []
    for repeat in range(repeats):
        networks, stages = planted_networks(480, repeat)
        recipe = Recipe(n_epochs=60, learning_rate=5e-3, schedule="cosine", seed=repeat)
        start = pretrain_connectomes(networks[:300], n_hidden=16, recipe=recipe)
        for n_labelled in (6, 24):
            rows_in = slice(300, 300 + n_labelled)
            row = {"data": "networks", "n_labelled": n_labelled, "repeat": repeat}
            for name, each in (("alone", None), ("pretrained", start)):
                model = GraphClassifier(
                    start=each, n_hidden=16, learning_rate=0.01, n_epochs=60, seed=repeat
                ).fit(networks[rows_in], stages[rows_in])
                row[name] = float(model.score(networks[330:], stages[330:]))
            rows.append(row)
    return rows


def summary(rows):
    """Means over repeats, and in how many the pre-trained one is better."""
    table = []
    for key in dict.fromkeys((row["data"], row["n_labelled"]) for row in rows):
        mine = [row for row in rows if (row["data"], row["n_labelled"]) == key]
        mean = {k: round(statistics.mean(row[k] for row in mine), 3)
                for k in ("alone", "pretrained")}  # fmt: skip
        better = sum(row["pretrained"] > row["alone"] for row in mine)
        table.append({"data": key[0], "n_labelled": key[1], **mean, "better": better,
                      "of": len(mine)})  # fmt: skip
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cost = loop(options.rounds)
    print(f"ms a step: {cost['ms_a_step']}")
    print(f"fit / bare loop: {cost['ratio']} (with clipping and average "
          f"{cost['ratio_clip_average']}); asked {ASKED}")  # fmt: skip
    table = summary(volumes(options.repeats) + connectomes(options.repeats))
    print(f"\n{'data':10}{'labelled':>10}{'alone':>8}{'pre-trained':>13}{'better in':>12}")
    for row in table:
        print(f"{row['data']:10}{row['n_labelled']:10}{row['alone']:8.3f}{row['pretrained']:13.3f}"
              f"{row['better']:8} / {row['of']}")  # fmt: skip
    print(json.dumps({"loop": cost, "loop_ok": cost["ratio"] <= ASKED, "pretraining": table}))


if __name__ == "__main__":
    main()
