"""The paper's tables and its plot, of an evaluation that other tools have been scored in.

    python tools/peers/paper.py out/paper/evaluation out/paper/rounds --selection out/paper/selection --out out/paper

reads `rounds.csv` and `targets/` of the evaluation, `rounds.csv` of the one that compares selections (by default the
same) and the peak memory (`TOOL.memory`) beside the recorded rounds, and writes `tables.md` and `dsc_over_rounds.png`.
Every target counts once; runs that differ by chance are averaged first.
"""

import argparse
import csv
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

SELECTIONS = ("quality", "lowest_quality", "random", "oracle", "oracle_gain", "uncertainty")
NAMES = {
    "unet3d_small": "Interactive 3D U-Net",
    "unet3d_large": "Interactive 3D U-Net, three times",
    "deepigeos_small": "DeepIGeoS",
    "deepigeos_large": "DeepIGeoS, three times",
}
INTERACTIONS = ("scribble", "box", "extreme_points", "click", "mask")
SHOWN = (1, 3, 6)


def data_set(case):
    """The data set of a case: its name up to the last number."""
    return case.rstrip("0123456789").rstrip("_-") or case


class Results:
    """Figures of every target by method, interaction and round."""

    def __init__(self, path):
        # (interaction, method) -> (case, label) -> run -> round -> line.
        self.lines = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
        with open(path, newline="") as file:
            for line in csv.DictReader(file):
                # A tool was not asked in a round of 0 seconds: rivals.predict --rounds.
                if line["method"] not in SELECTIONS and line["slice"] and float(line["propagate_s"]) == 0:
                    continue
                key = (line["interaction"], line["method"])
                target = (line["case"], line["label"])
                self.lines[key][target][line["run"]][int(line["round"])] = line
        if not self.lines:
            raise ValueError(f"{path} holds no round; run mem3d evaluate first")
        # The selection that stands for mem3d; --record writes the rounds of the first one named.
        names = {method for _, method in self.lines}
        self.own = next(name for name in SELECTIONS if name in names)

    def interactions(self):
        """Interactions that were drawn, in the order of the tables."""
        return [i for i in INTERACTIONS if any(key[0] == i for key in self.lines)]

    def methods(self):
        """mem3d with its own selection, then the other tools: rivals before classical ones."""
        tools = sorted({m for _, m in self.lines if m not in SELECTIONS}, key=lambda m: (m not in NAMES, m))
        return [self.own, *tools]

    def data_sets(self):
        return sorted({data_set(case) for targets in self.lines.values() for case, _ in targets})

    def rounds(self):
        """Rounds that tables show: 1, 3, 6 and the last."""
        last = max(n for targets in self.lines.values() for runs in targets.values() for r in runs.values() for n in r)
        return [*(n for n in SHOWN if n < last), last]

    def values(self, interaction, method, figure, number, only=None):
        """A figure of every target after a round, mean over its runs; `only`: of one data set."""
        found = []
        for (case, _), runs in self.lines.get((interaction, method), {}).items():
            if only is None or data_set(case) == only:
                here = [float(rounds[number][figure]) for rounds in runs.values() if number in rounds]
                found += [statistics.fmean(here)] if here else []
        return found

    def mean(self, *arguments):
        values = self.values(*arguments)
        return statistics.fmean(values) if values else None

    def seconds(self, method, first):
        """Median seconds of a first or of a later round in which a slice was annotated; those of tools alone."""
        found = []
        for (_, name), targets in self.lines.items():
            if name != method:
                continue
            for runs in targets.values():
                for rounds in runs.values():
                    for n, line in rounds.items():
                        if (n == 1) == first and line["slice"]:
                            found.append(float(line["interact_s"]) + float(line["propagate_s"]))
        return statistics.median(found) if found else None


def name_of(method):
    """Name of a method in tables."""
    if method in SELECTIONS:
        return f"mem3d ({method.replace('_', ' ')})"
    return NAMES.get(method, method.replace("_", " "))


def table(head, rows):
    """Lines of a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines] + [""]


def number(value, digits=3):
    return "-" if value is None else f"{value:.{digits}f}"


def table_1(results, only=None):
    """Methods by interaction: DSC and NSD after the shown rounds."""
    shown = results.rounds()
    head = ["interaction", "method", "targets", *(f"{f} {n}" for f in ("DSC", "NSD") for n in shown)]
    rows = []
    for interaction in results.interactions():
        for method in results.methods():
            count = len(results.values(interaction, method, "dsc", shown[0], only))
            if count:
                figures = [results.mean(interaction, method, f, n, only) for f in ("dsc", "nsd") for n in shown]
                rows.append([interaction, name_of(method), str(count), *map(number, figures)])
    return table(head, rows)


def leaders(results):
    """The method with the highest mean DSC, for each data set, interaction and shown round."""
    shown = results.rounds()
    rows = []
    for only in results.data_sets():
        for interaction in results.interactions():
            cells = []
            for n in shown:
                means = {m: results.mean(interaction, m, "dsc", n, only) for m in results.methods()}
                means = {m: v for m, v in means.items() if v is not None}
                best = max(means, key=means.get, default=None)
                cells.append("-" if best is None else f"{name_of(best)} {means[best]:.3f}")
            rows.append([only, interaction, *cells])
    return table(["data set", "interaction", *(f"round {n}" for n in shown)], rows)


def table_2(results):
    """Selections of the slice to correct: DSC after the shown rounds, over all targets."""
    shown = results.rounds()
    names = [s for s in ("random", "oracle", "quality") if any(m == s for _, m in results.lines)]
    rows = []
    for interaction in results.interactions():
        for name in names:
            figures = [results.mean(interaction, name, "dsc", n) for n in shown]
            rows.append([interaction, name, *(number(f, 4) for f in figures)])
    return table(["interaction", "slice chosen by", *(f"DSC {n}" for n in shown)], rows)


def costs(results, evaluation, recorded):
    """Seconds a round and peak memory of every method."""
    rows = []
    for method in results.methods():
        if method in SELECTIONS:
            files = evaluation.glob("targets/*.json")
            memory = [json.loads(path.read_text())["peak_memory_mb"] for path in files]
        else:
            memory = [float(path.read_text()) for path in recorded.glob(f"*/*/{method}.memory")]
        seconds = [results.seconds(method, first) for first in (True, False)]
        rows.append([name_of(method), *(number(s, 2) for s in seconds), number(max(memory, default=0) or None, 0)])
    return table(["method", "first round, s", "later round, s", "peak memory, MB"], rows)


def draw(results, path):
    """Mean DSC over the rounds: a panel an interaction, a line a method."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    interactions = results.interactions()
    # A method has one colour, also where a panel lacks another method.
    colours = {method: f"C{k}" for k, method in enumerate(results.methods())}
    figure, panels = pyplot.subplots(1, len(interactions), figsize=(3.6 * len(interactions), 3.6), sharey=True,
                                     squeeze=False)  # fmt: skip
    for panel, interaction in zip(panels[0], interactions, strict=True):
        for method in results.methods():
            points = [(n, results.mean(interaction, method, "dsc", n)) for n in range(1, 100)]
            points = [(n, v) for n, v in points if v is not None]
            if points:
                style = "-" if method in SELECTIONS else "--" if method in NAMES else ":"
                width = 2.5 if method in SELECTIONS else 1.5
                panel.plot(*zip(*points, strict=True), style, marker="o", linewidth=width, markersize=4,
                           color=colours[method], label=name_of(method))  # fmt: skip
        panel.set_title(interaction.replace("_", " "))
        panel.set_xlabel("round")
        panel.grid(alpha=0.3)
        panel.xaxis.get_major_locator().set_params(integer=True)
    panels[0][0].set_ylabel("mean DSC")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, fontsize=8, frameon=False)
    rows = -(-len(labels) // 4)
    figure.tight_layout(rect=(0, 0.05 + 0.05 * rows, 1, 1))
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def markdown(results, selection, evaluation, recorded):
    """All tables; `selection`: the results that Table 2 is made of."""
    lines = ["# The paper's tables, on open data", "", "## Table 1: methods, all targets", "", *table_1(results)]
    lines += ["Highest mean DSC of each data set:", "", *leaders(results)]
    for only in results.data_sets():
        lines += [f"### {only}", "", *table_1(results, only)]
    lines += ["## Table 2: selection of the slice", "", *table_2(selection)]
    lines += ["## Time and memory", "", *costs(results, evaluation, recorded)]
    lines += [
        "Medians over all targets and interactions. mem3d's seconds include the interaction network, which the other",
        "tools' slice masks come from; theirs do not. mem3d's memory is that of the whole volume, the others' of the",
        "recorded region.",
        "",
        "![mean DSC over the rounds](dsc_over_rounds.png)",
        "",
    ]
    return "\n".join(lines)


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("evaluation", type=Path, help="--out of mem3d evaluate, after --score")
    parser.add_argument("rounds", type=Path, help="what --record wrote")
    parser.add_argument("--selection", type=Path, help="--out of an evaluation of selections; default: EVALUATION")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(words)
    results = Results(arguments.evaluation / "rounds.csv")
    selection = Results(arguments.selection / "rounds.csv") if arguments.selection else results
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw(results, arguments.out / "dsc_over_rounds.png")
    text = markdown(results, selection, arguments.evaluation, arguments.rounds)
    (arguments.out / "tables.md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
