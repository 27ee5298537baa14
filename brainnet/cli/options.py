"""The options of both levels: named, grouped and explained as users of fMRIPrep expect."""

import argparse
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from brainnet.cli import values

BOTH, PARTICIPANT, GROUP = "both levels", "participant", "group"
USAGE = "brainnet BIDS OUT {participant,group} [options]"
ORDER = ("The order is: brainnet BIDS OUT participant [options]; options that take several values "
         "come after it")  # fmt: skip


class Parser(argparse.ArgumentParser):
    """A parser whose errors are short, and say from which file the options came if from one."""

    source = ""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        hint = f". {ORDER}" if "arguments are required" in message else ""
        self.exit(2, f"usage: {USAGE}\nbrainnet: error: {self.source}{message}{hint}\n")


class Options:
    """The options of both levels, with their defaults and to which level each belongs.

    Attributes
    ----------
    parser : argparse.ArgumentParser
        Options only; it gives what was typed and nothing else.
    defaults : dict
        Of every option, by its ``dest``.
    levels : dict of str to str
        ``BOTH``, ``PARTICIPANT`` or ``GROUP``, by ``dest``.
    names : dict of str to str
        The flag without its dashes, as a configuration file has it, by ``dest``.
    """

    def __init__(self) -> None:
        self.parser = Parser(add_help=False, allow_abbrev=False, usage=USAGE)
        self.defaults: dict[str, Any] = {}
        self.levels: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self._flags: set[str] = {"--help", "--version"}
        for add_group in (_select, _compute, _networks, _resources, _run, _group):
            add_group(self)

    def group(self, title: str, level: str = PARTICIPANT) -> "_Group":
        """Start a group of options that belong to a level."""
        return _Group(self, self.parser.add_argument_group(title), level)

    def note(self, action: argparse.Action, default: Any, level: str) -> None:
        """Remember an option."""
        self._flags.update(action.option_strings)
        if action.dest not in self.defaults:
            self.defaults[action.dest] = default
            self.levels[action.dest] = level
            self.names[action.dest] = action.dest.replace("_", "-")

    def closest(self, flag: str) -> str:
        """Return words about the known flag that is closest to an unknown one."""
        near = difflib.get_close_matches(flag.partition("=")[0], self._flags, n=1, cutoff=0.6)
        return f": did you mean {near[0]}?" if near else "; brainnet --help lists those there are"

    def dashed(self, argv: Sequence[str]) -> list[str]:
        """Return arguments with ``--participant_label`` and the like spelt with dashes."""
        return [self._dashed(each) for each in argv]

    def _dashed(self, argument: str) -> str:
        name, equals, value = argument.partition("=")
        spelt = re.sub(r"(?<=\w)_(?=\w)", "-", name) if name.startswith("--") else name
        return f"{spelt}{equals}{value}" if spelt in self._flags else argument


class _Group:
    """Adds options to one group of the help."""

    def __init__(self, options: Options, group: argparse._ArgumentGroup, level: str) -> None:
        self._options, self._group, self._level = options, group, level

    def __call__(self, *flags: str, default: Any = None, level: str = "", **how: Any) -> None:
        action = self._group.add_argument(*flags, default=argparse.SUPPRESS, **how)
        self._options.note(action, default, level or self._level)


def _select(options: Options) -> None:
    add = options.group("which scans are taken")
    add(
        "--participant-label",
        nargs="+",
        metavar="LABEL",
        help="with or without sub-; @FILE reads labels from a file (default: everybody)",
    )
    add(
        "--session-label",
        nargs="+",
        metavar="LABEL",
        level=BOTH,
        help="with or without ses- (default: all; the group level takes one)",
    )
    add("-t", "--task-id", nargs="+", metavar="TASK", help="BOLD runs of these tasks only")
    add(
        "--bids-filter-file",
        type=Path,
        metavar="FILE",
        help='JSON, as for fMRIPrep: {"bold": {"run": 1}, "t1w": {"acquisition": null}}',
    )
    add(
        "-d",
        "--derivatives",
        nargs="+",
        type=Path,
        default=(),
        metavar="PATH",
        help="datasets of fMRIPrep and the like, whose brain masks and tissue maps are used",
    )
    add("--anat-only", action="store_true", default=False, help="T1w only: no BOLD, no PET")
    add("--skip-bids-validation", action="store_true", default=False,
        help="do not ask the BIDS validator first (it always reads all of BIDS)")  # fmt: skip


def _compute(options: Options) -> None:
    add = options.group("how they are processed")
    add(
        "--output-spaces",
        nargs="+",
        default=("T1w",),
        metavar="SPACE",
        help="spaces of preprocessed images, such as MNI152NLin2009cAsym:res-2; T1w is always "
        "written, since networks are made there",
    )
    add(
        "--skull-strip",
        "--skull-strip-t1w",
        choices=["auto", "force", "skip"],
        default="auto",
        help="auto leaves alone a T1w that is already stripped (default auto)",
    )
    add(
        "--segmentation",
        choices=["mixture", "network"],
        default="mixture",
        help="brain mask by deepbet and tissue by a Gaussian mixture, or both by brainnet's own "
        "network, which gives labels and volumes of subcortical structures too (default mixture)",
    )
    add(
        "--registration",
        choices=["fast", "ants"],
        default="fast",
        help="brainnet's own registration, or ANTs', which is slower (default fast)",
    )
    add(
        "--reference-region",
        default="cerebellar_grey",
        choices=["cerebellar_grey", "whole_cerebellum", "brainstem"],
        help="reference of PET uptake ratios (default cerebellar_grey)",
    )
    add(
        "--simulate-pet",
        action="store_true",
        default=False,
        help="simulate a PET image where a participant has none; pages say so",
    )
    add(
        "--sloppy",
        action="store_true",
        default=False,
        help="register on the 2 mm template: for a quick look, not for results",
    )
    add("--random-seed", type=values.seed, default=0, metavar="SEED", level=BOTH,
        help="of every random step (default 0)")  # fmt: skip


def _networks(options: Options) -> None:
    add = options.group("networks and their measures")
    add(
        "--atlas",
        default="DesikanKilliany",
        level=BOTH,
        help="a name (brainnet atlas list) or a labels image (default DesikanKilliany)",
    )
    add(
        "--atlas-table",
        type=Path,
        metavar="FILE",
        level=BOTH,
        help="table of a labels image: columns index, name",
    )
    add(
        "--atlas-space",
        metavar="SPACE",
        level=BOTH,
        help="its space, such as MNI152NLin2009cAsym, if the file's name does not say",
    )
    add(
        "--connectome",
        nargs="+",
        default=("pearson", "js"),
        metavar="KIND",
        level=BOTH,
        help="edges: of function pearson, spearman, partial; of structure and metabolism js, kl; "
        "measures are taken of the first of each, and the group level learns from it (default "
        "pearson js)",
    )
    add(
        "--measures",
        nargs="+",
        default=("standard",),
        metavar="NAME",
        help="network measures by name or group (standard, all, binary, weighted, integration, "
        "segregation, centrality, resilience), or none (default standard)",
    )
    add("--measured", choices=["first", "all"], default="first",
        help="take measures of the first kind of edges of each modality, or of all of them "
        "(default first)")  # fmt: skip


def _resources(options: Options) -> None:
    add = options.group("time and memory")
    add(
        "--nprocs",
        "--nthreads",
        "--n-cpus",
        type=values.count,
        metavar="N",
        level=BOTH,
        help="processors to use in all, as in fMRIPrep: N / --omp-nthreads participants (at the "
        "group level: models) run at a time (default: all that are here and have 4 GB of free "
        "memory each); 0: one after another in this process, without limits, to look for faults",
    )
    add(
        "--omp-nthreads",
        type=values.positive,
        default=1,
        metavar="N",
        help="processors that one participant may use (default 1)",
    )
    add(
        "--mem",
        "--mem-gb",
        type=values.gigabytes,
        metavar="GB",
        help="memory to use in all: 16, 16G, 16000MB (default: what is free); no more participants "
        "run at a time than have 4 GB each, and a step beyond its share is ended",
    )
    add("--mem-mb", type=values.megabytes, dest="mem", help=argparse.SUPPRESS)
    add(
        "--step-timeout",
        type=values.minutes,
        metavar="MIN",
        help="end a step that takes longer (default: 40 times what it usually takes, 30 at least)",
    )
    add(
        "--scheduler",
        metavar="ADDRESS",
        help="take the workers of a Dask scheduler that runs, such as tcp://host:8786",
    )
    add("--cluster", choices=["slurm"], help="start workers as jobs of a cluster")
    add(
        "--cluster-config",
        type=Path,
        metavar="FILE",
        help="TOML: queue, cores, memory, walltime, jobs of the cluster",
    )
    add(
        "--dashboard",
        action="store_true",
        default=False,
        help="serve Dask's dashboard on this machine, and say where",
    )
    add(
        "-w",
        "--work-dir",
        type=Path,
        metavar="DIR",
        help="where temporary files go (default: the system's folder). It is emptied as the run "
        "ends; results, and what a run that was killed goes on from, are in OUT itself",
    )
    add("--clean-workdir", action="store_true", default=False,
        help="before the run remove from --work-dir what killed runs left there: folders that "
        "brainnet made, nothing else")  # fmt: skip


def _run(options: Options) -> None:
    add = options.group("this run")
    add(
        "--config-file",
        type=Path,
        metavar="FILE",
        level=BOTH,
        help="TOML of options by the names of their flags: nprocs = 4, participant-label = "
        '["01"]; what is typed wins. Every run leaves one in OUT/logs/config.toml',
    )
    add(
        "--dry-run",
        action="store_true",
        default=False,
        help="say what would run, with an estimate of time, memory and disk; write nothing",
    )
    add(
        "--reports-only",
        action="store_true",
        default=False,
        help="write the pages again from what is in OUT, and run nothing else",
    )
    add(
        "--stop-on-first-crash",
        action="store_true",
        default=False,
        help="start no further participant once one has failed",
    )
    add("-v", "--verbose", action="count", default=0, level=BOTH,
        help="say more: each step as it begins")  # fmt: skip


def _group(options: Options) -> None:
    add = options.group("group level", GROUP)
    add(
        "--target",
        default="stage",
        metavar="COLUMN",
        help="column of participants.tsv to predict (default stage)",
    )
    add(
        "--scheme",
        choices=("three", "five"),
        default=None,
        help="read the labels and codes of ADNI, OASIS and AIBL as CN, MCI, AD, or as CN, SMC, "
        "EMCI, LMCI, AD (default: labels that are stages stay as they are, others are read as the "
        "finer scheme that has them all; columns DXCURREN, DIAGNOSIS, CDRTOT, ... hold codes)",
    )
    add(
        "--participants",
        type=Path,
        metavar="FILE",
        help="table to use in place of BIDS/participants.tsv",
    )
    add(
        "--estimators",
        nargs="+",
        default=(),
        metavar="NAME",
        help="models to compare: baselines majority, covariates, linear, svm, tangent, forest, "
        "boosting, kernel, mlp, everything, stack; graph networks gcn, gatv2, gin, brainnetcnn, "
        "braingnn, transformer; and multiplex, brainnet's own (default: majority covariates linear "
        "forest everything stack gcn multiplex)",
    )
    add("--n-splits", type=values.splits, default=5, metavar="N",
        help="folds of the cross-validation (default 5)")  # fmt: skip
    add("--n-repeats", type=values.positive, default=1, metavar="N",
        help="how often the folds are dealt (default 1)")  # fmt: skip
    add(
        "--leave-site-out",
        action="store_true",
        default=False,
        help="test each site (column site) by models of all others, in place of folds",
    )
    add(
        "--harmonise",
        action="store_true",
        default=False,
        help="take what a site adds out of the networks by ComBat, learned in each fold; tells "
        "whether the site can still be told",
    )
    add(
        "--search",
        action="store_true",
        default=False,
        help="choose each model's settings on inner folds: slow, a nested cross-validation",
    )
    add(
        "--permutations",
        type=values.count,
        default=0,
        metavar="N",
        help="try the saved model N times with stages dealt anew, for a p-value (default 0)",
    )
