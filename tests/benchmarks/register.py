"""Registration beside ANTs and greedy: overlap, error, time and memory, in one run.

    pip install -e '.[bench]'
    python tests/benchmarks/register.py [--labelmaps DIR] [--bids DIR] [--pairs 12] [--threads 2]
        [--only deformable,fine,memory,affine,template,bold,pet] [--picture FILE.png]

- ``deformable``: brains made of label maps of real adults, at 2 mm, ordered pairs: SyN by local
  correlation, and greedy. ``fine``: the same at 1 mm with ANTs' default SyN, and greedy.
- ``memory``: one registration alone in a process: peak memory, and time before compilation.
- ``affine``: planted affines across contrasts, at 2 mm.
- ``template``, ``bold``, ``pet``: the real heads.

Every tool has the same number of threads. A time runs from images in memory to both fields (or the
matrix), affine part included; 'common start' is the deformable part alone, from ANTs' affine;
greedy's 'forward only' leaves out its inverse field, which the others give too. brainnet is
compiled before (the section ``memory`` says how long that takes), and the median of three runs
counts; the others run once. Times are medians over pairs, and so are ratios; overlap is a mean,
folding and inconsistency at 99.9 % are the worst. The last line is JSON; the exit status is 1 if
overlap or error is worse than a peer's, or a field folds.
"""

import argparse
import json
import os
import platform
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SECTIONS = ("deformable", "fine", "memory", "affine", "template", "bold", "pet")
#: Section, what to read there, the least that is asked, the aim; a ratio of times.
SPEED = [
    ("deformable", "whole times faster than ANTs SyN-CC", 50, 200),
    ("deformable", "alone times faster than ANTs SyN-CC", 50, 200),
    ("deformable", "whole times faster than greedy", 6, 15),
    ("deformable", "alone times faster than greedy", 6, 15),
    ("fine", "whole times faster than ANTs SyN", 6, 15),
    ("fine", "whole times faster than greedy", 6, 15),
    ("affine", "times faster than ANTs affine", 5, 20),
]


def main() -> int:
    """Run the sections that were asked for; return 1 if something is worse than it must be."""
    parser = argparse.ArgumentParser(description="registration beside ANTs and greedy")
    parser.add_argument("--labelmaps", type=Path, default=DATA / "labelmaps")
    parser.add_argument("--bids", type=Path, default=DATA / "bids")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--fine-pairs", type=int, default=3)
    parser.add_argument("--plants", type=int, default=3)
    parser.add_argument("--only", default=",".join(SECTIONS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "ITK_GLOBAL_DEFAULT"):
        threads = "NUMBER_OF_THREADS" if name.startswith("ITK") else "NUM_THREADS"
        os.environ[f"{name}_{threads}"] = str(options.threads)
    warnings.filterwarnings("ignore")
    introduce(options)
    found: dict[str, Any] = {}
    for name in options.only.split(",") if options.only else ():
        print(f"{name}:", flush=True)
        found[name] = section(name)(options)
        report(found[name])
    if options.picture is not None:
        from register_picture import draw

        draw(options)
    verdicts = judge(found)
    for text, passed in verdicts.items():
        print(f"{'ok  ' if passed else 'FAIL'} {text}")
    summary = {"bench": "register", "threads": options.threads, "pairs": options.pairs}
    print(json.dumps(summary | rounded(found) | {"verdicts": verdicts}))
    return 0 if all(passed for text, passed in verdicts.items() if "faster" not in text) else 1


def introduce(options: argparse.Namespace) -> None:
    """Say what runs on what."""
    packages = ("brainnet", "antspyx", "picsl_greedy", "numpy", "numba")
    print(f"{platform.machine()}, python {platform.python_version()}, {options.threads} threads")
    print(", ".join(f"{name} {version(name)}" for name in packages), flush=True)


def section(name: str) -> Callable[[argparse.Namespace], dict[str, Any]]:
    """Import a section: only now, because libraries read the number of threads once."""
    import register_deformable as between
    import register_matrices as matrices

    if name in ("template", "bold", "pet"):
        import register_real as real

        return getattr(real, name)  # type: ignore[no-any-return]
    if name not in SECTIONS:
        raise SystemExit(f"--only must name sections of {', '.join(SECTIONS)}; got {name!r}.")
    return getattr(matrices if name == "affine" else between, name)  # type: ignore[no-any-return]


def report(found: dict[str, Any]) -> None:
    """Print a table of the tools, then what is not of one tool."""
    tools = {
        name: {key: value for key, value in row.items() if isinstance(value, float | int)}
        for name, row in found.items()
        if isinstance(row, dict) and name != "subjects" and "mm from" not in name
    }
    columns = list(dict.fromkeys(key for row in tools.values() for key in row))
    print("\n" + " " * 28 + " ".join(f"{key:>20s}" for key in columns))
    for name, row in tools.items():
        cells = (f"{row[key]:20.4g}" if key in row else " " * 20 for key in columns)
        print(f"{name:28s}" + " ".join(cells))
    for name, value in found.items():
        if not isinstance(value, dict):
            print(f"{name}: {value:.2f}")
        elif "mm from" in name:
            print(f"{name}: " + "; ".join(f"{key} {each:.2f}" for key, each in value.items()))
    print(flush=True)


def judge(found: dict[str, Any]) -> dict[str, bool]:
    """Hold what was measured against what is asked; a sentence with numbers for each."""
    verdicts = {}
    for name, key, least, aim in SPEED:
        if name in found:
            value = found[name][key]
            text = f"{name}: {value:.1f} {key} (at least {least}, aim {aim})"
            verdicts[text] = bool(value >= least)
    for name in ("deformable", "fine"):
        verdicts |= _judge_fields(name, found.get(name, {}))
    for name in ("affine", "bold", "pet"):
        if name in found:
            ours = found[name]["brainnet"]["error_mm"]
            theirs = next(row for tool, row in found[name].items() if tool.startswith("ANTs"))
            most = theirs["error_mm"] if name == "affine" else 1.0
            verdicts[f"{name}: mean error {ours:.3f} mm (at most {most:.3f})"] = ours <= most
    if "template" in found:
        for tissue in ("GM", "WM"):
            ours, theirs = (found["template"][tool][tissue] for tool in ("brainnet", "ANTs SyN"))
            verdicts[f"template: {tissue} {ours:.4f}, ANTs SyN {theirs:.4f}"] = ours >= theirs
    if "memory" in found:
        peak = max(row["peak_gb"] for row in found["memory"].values())
        verdicts[f"memory: peak {peak:.2f} GB (at most 2)"] = peak <= 2
    return verdicts


def _judge_fields(name: str, rows: dict[str, Any]) -> dict[str, bool]:
    """Judge overlap, consistency and folding of both fields."""
    if not rows:
        return {}
    ours, verdicts = rows["brainnet"], {}
    for tool, row in rows.items():
        if isinstance(row, dict) and not tool.startswith("brainnet") and "," not in tool:
            text = f"{name}: overlap {ours['dice']:.4f}, {tool} {row['dice']:.4f}"
            verdicts[text] = ours["dice"] >= row["dice"]
    mean, least = ours["inconsistency_mm"], ours["least_jacobian_anywhere"]
    text = f"{name}: inverse inconsistency {mean:.4f} mm (under 0.2)"
    verdicts[f"{text}; {ours['inconsistency_mm_999']:.3f} mm at 99.9 %"] = mean < 0.2
    verdicts[f"{name}: least Jacobian {least:.3f} (above 0)"] = least > 0
    return verdicts


def rounded(value: Any) -> Any:
    """Round all numbers in a nest of dicts and lists."""
    if isinstance(value, dict):
        return {str(key): rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    sys.exit(main())
