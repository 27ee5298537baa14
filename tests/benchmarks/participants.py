"""Time, memory and correctness of the main job.

    python tests/benchmarks/participants.py [--demo FOLDER] [--real BIDS --out OUT]

Prints start-up times, what the demonstration recovered of what its simulation planted (FOLDER
holds a finished demonstration; made in a temporary folder where not given), the accuracy and speed
of the motion estimate beside ANTs' on the same simulated volumes, and with ``--real`` wall time and
peak memory of the participant level on a real dataset. The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", type=Path)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    result: dict[str, object] = {"bench": "participants"}
    result |= start_up()
    with tempfile.TemporaryDirectory() as folder:
        if options.demo is None:
            options.demo = Path(folder) / "demo"
            result |= watch("demo", [sys.executable, "-m", "brainnet.cli", "demo", options.demo])
        result |= recovered(options.demo)
        result |= motion(options.demo / "bids")
        if options.real is not None:
            out = options.out or Path(folder) / "real"
            command = [sys.executable, "-m", "brainnet.cli", options.real, out, "participant"]
            result |= watch("real", [*command, "--simulate-pet"])
    for name, value in result.items():
        print(f"{name:40s} {value}")
    print(json.dumps(result))


def start_up() -> dict[str, float]:
    """Return the median wall time of import and help (s)."""
    commands = {
        "import_s": [sys.executable, "-c", "import brainnet"],
        "help_s": [sys.executable, "-m", "brainnet.cli", "--help"],
    }
    found = {}
    for name, command in commands.items():
        times = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times.append(time.perf_counter() - start)
        found[name] = round(float(np.median(times)), 3)
    return found


def watch(name: str, command: list[object]) -> dict[str, float]:
    """Run a command; return its wall time (s) and the peak memory of all its processes (GB)."""
    start = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], env=ENVIRONMENT)
    peak = [0]
    ended = threading.Event()

    def sample() -> None:
        root = psutil.Process(process.pid)
        while not ended.wait(0.5):
            total = 0
            for each in [root, *root.children(recursive=True)]:
                try:
                    total += each.memory_info().rss
                except psutil.Error:
                    continue
            peak[0] = max(peak[0], total)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    status = process.wait()
    ended.set()
    thread.join()
    if status != 0:
        raise SystemExit(f"{name} ended with status {status}")
    return {
        f"{name}_wall_s": round(time.perf_counter() - start, 1),
        f"{name}_peak_gb": round(peak[0] / 1e9, 2),
    }


def recovered(demo: Path) -> dict[str, float]:
    """Return the worst participant of each comparison with the planted truth."""
    from brainnet import io

    table = io.load_table(demo / "recovery.tsv").drop(columns="participant_id")
    worst = {
        name: table[name].min() if name.startswith("network_r") else table[name].max()
        for name in table
    }
    scores = io.load_table(demo / "cohort" / "group_scores.tsv")
    balanced = scores[scores["metric"] == "balanced_accuracy"].set_index("estimator")
    for name, row in balanced.iterrows():
        worst[f"simulated_cohort_{name}"] = row["estimate"]
        worst[f"simulated_cohort_{name}_low"] = row["low"]
        worst[f"simulated_cohort_{name}_high"] = row["high"]
    return {name: round(float(value), 4) for name, value in worst.items()}


def motion(bids_dir: Path, n_volumes: int = 12) -> dict[str, float]:
    """Estimate planted motion with ours and with ANTs, on the same volumes, one thread each."""
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
    import ants

    from brainnet import io
    from brainnet.imaging import motion as ours

    img = io.load_img(bids_dir / "sub-01" / "func" / "sub-01_task-rest_bold.nii.gz")
    few = img.slicer[..., :n_volumes]
    truth = io.load_table(bids_dir / "sourcedata" / "truth" / "sub-01_motion.tsv")
    planted = truth.to_numpy(np.float64).reshape(-1, 4, 4)[:n_volumes]
    start = time.perf_counter()
    found = ours.estimate_motion(few).matrices
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    theirs = _ants_motion(ants, few)
    seconds_ants = time.perf_counter() - start
    return {
        "motion_error_mm": _error(found, planted),
        "motion_error_mm_ants": _error(theirs, planted),
        "motion_s_per_volume": round(seconds / n_volumes, 3),
        "motion_speed_vs_ants": round(seconds_ants / seconds, 2),
    }


def _ants_motion(ants: object, img: object) -> np.ndarray:
    """Register each volume to the first with ANTs' rigid transform, as RAS pull matrices."""
    data, flip = img.get_fdata(dtype=np.float32), np.diag([-1.0, -1.0, 1.0, 1.0])
    volumes = []
    for index in range(data.shape[3]):
        volume = ants.from_numpy(np.ascontiguousarray(data[..., index]))
        lps = flip @ img.affine
        sizes = np.linalg.norm(lps[:3, :3], axis=0)
        volume.set_spacing(tuple(sizes))
        volume.set_origin(tuple(lps[:3, 3]))
        volume.set_direction(lps[:3, :3] / sizes)
        volumes.append(volume)
    matrices = []
    for volume in volumes:
        done = ants.registration(volumes[0], volume, "Rigid", random_seed=0)
        transform = ants.read_transform(done["fwdtransforms"][0])
        matrix = np.eye(4)
        matrix[:3, :3] = np.asarray(transform.parameters[:9]).reshape(3, 3)
        centre = np.asarray(transform.fixed_parameters)
        matrix[:3, 3] = transform.parameters[9:] + centre - matrix[:3, :3] @ centre
        matrices.append(flip @ matrix @ flip)
    return np.stack(matrices)


def _error(found: np.ndarray, planted: np.ndarray) -> float:
    """Return the largest displacement error over a 50 mm sphere, relative to the first volume."""
    from brainnet.workflows.recovery import displacements

    error = found @ np.linalg.inv(found[0]) @ np.linalg.inv(planted @ np.linalg.inv(planted[0]))
    return round(float(displacements(error, radius=50.0).max()), 4)


if __name__ == "__main__":
    main()
