#!/usr/bin/env python3
"""Attention in Pare and in other libraries, side by side in one process: fp32, on the CPU.

`make bench-peers` runs it. In every round each implementation takes its turn; times are medians over
rounds, and ratios are medians of the rounds' ratios (its time / Pare's: above 1 Pare is faster).
Before it is measured, every result is compared with Pare's. Prints a table, and writes every number
and two pictures to the output directory.
"""

import argparse
import json
import os
import statistics
import sys
import time
import warnings

import numpy
import torch

import attention_cases as cases
from attention_peers import PEERS, Pare, PareDense, ScaledDotProduct, Unsupported
from pare_library import Library

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PASSES = {"forward": "forward", "both": "forward+backward"}
SAMPLE_SECONDS = 2e-3
PAUSE_SECONDS = 20e-3  # threads of another library's pool stop spinning in it
SLOW_SECONDS = 1.0  # slower calls take part in three rounds only
KEPT_SHARES = [1, 2, 5, 10, 20, 30, 50, 75, 100]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", default="table,kept,length",
                        help="table, and the pictures of time against kept share and length")
    parser.add_argument("--families", default="dense,random,band,learned")
    parser.add_argument("--length", default="512,1024,2048", help="of the table")
    parser.add_argument("--kept", type=float, default=10, help="percent, of the table")
    parser.add_argument("--kept-length", type=int, default=1024, help="of the first picture")
    parser.add_argument("--cells", type=int, default=128, help="kept per row, second picture")
    parser.add_argument("--longest", type=int, default=16384, help="of the second picture")
    parser.add_argument("--longest-dense", type=int, default=4096)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--head-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--masks", default=os.path.join(ROOT, "bench", "masks"))
    parser.add_argument("--library", default=os.path.join(ROOT, "build", "libpare.so"))
    parser.add_argument("--output", default=os.path.join(ROOT, "build", "peers"))
    return parser.parse_args()


# ---- Measuring ----


def seconds_of(call, times):
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


class Contestant:
    """One pass of one implementation on one case."""

    def __init__(self, implementation, method):
        self.name, self.method = implementation.name, method
        self.call = getattr(implementation, method)
        self.call()
        self.first = seconds_of(self.call, 1)
        self.times = max(1, round(SAMPLE_SECONDS / self.first))
        self.samples = []

    def take_turn(self):
        if self.first > SLOW_SECONDS and len(self.samples) == 3:
            return
        time.sleep(PAUSE_SECONDS)
        if self.first < SLOW_SECONDS:
            self.call()  # after the pause, for caches and clocks
        self.samples.append(seconds_of(self.call, self.times))


def as_list(result):
    return result if isinstance(result, list) else [result]


def check_result(case, implementation, pare):
    """Implementations that leave the mask out compute something else, and are not compared."""
    if case.mask is not None and not implementation.uses_mask:
        return
    for method in PASSES:
        if not getattr(implementation, method):
            continue
        for ours, theirs in zip(as_list(getattr(pare, method)()),
                                as_list(getattr(implementation, method)())):
            if not numpy.allclose(ours, theirs, rtol=1e-3, atol=1e-3):
                raise SystemExit(f"attention.py: {implementation.name} and Pare differ by "
                                 f"{numpy.abs(ours - theirs).max():.2g} on {case.name()}, {method}")


def prepare(case, library, peers):
    implementations = []
    for peer in peers:
        try:
            implementation = peer(case, library)
        except Unsupported as reason:
            if str(reason) not in ("no mask", "the same as pare"):
                print(f"{peer.name} is left out of {case.name()}: {reason}", file=sys.stderr)
            continue
        if implementations:
            check_result(case, implementation, implementations[0])
        implementations.append(implementation)
    return implementations


def measure(case, library, peers, options):
    """Rows, those of Pare first in each pass."""
    implementations = prepare(case, library, peers)
    contestants = [Contestant(implementation, method) for method in PASSES
                   for implementation in implementations if getattr(implementation, method)]
    for _ in range(options.rounds):
        for contestant in contestants:
            contestant.take_turn()
    rows = []
    preparation = {i.name: i.preparation for i in implementations if hasattr(i, "preparation")}
    for contestant in contestants:
        pare = next(c for c in contestants
                    if c.method == contestant.method and c.name == Pare.name)
        low, middle, high = quartiles(contestant.samples)
        rows.append({
            "implementation": contestant.name, "family": case.family, "density": float(case.kept),
            "length": case.keys, "queries": case.queries, "heads": case.heads,
            "head_dim": case.head_size, "causal": case.causal, "threads": options.threads,
            "pass": PASSES[contestant.method], "seconds": middle, "seconds_low": low,
            "seconds_high": high, "rounds": len(contestant.samples),
            "preparation_seconds": preparation.get(contestant.name),
            "ratio_to_pare": statistics.median(
                theirs / ours for theirs, ours in zip(contestant.samples, pare.samples))})
    return rows


def quartiles(samples):
    return numpy.quantile(samples, [.25, .5, .75]).tolist()


# ---- The table ----


def table_cases(options):
    families = options.families.split(",")
    for length in map(int, options.length.split(",")):
        for family in families:
            if family != "learned":
                yield cases.drawn_case(family, options.kept / 100, options.heads, length,
                                       options.head_size)
    if "learned" in families:
        yield from cases.learned_cases(options.masks, options.head_size, options.kept)


def print_rows(case, rows):
    print(f"\n{case.name()}\n")
    print("| implementation | pass | ms | quartiles | ratio |")
    print("|---|---|---:|---:|---:|")
    for row in rows:
        low, middle, high = (1e3 * row[key] for key in ("seconds_low", "seconds", "seconds_high"))
        ratio = "-" if row["implementation"] == Pare.name else f"{row['ratio_to_pare']:.2f}"
        print(f"| {row['implementation']} | {row['pass']} | {middle:.2f} | {low:.2f} .. {high:.2f} "
              f"| {ratio} |", flush=True)


def print_preparation(rows):
    """What compiling took, which no time above includes."""
    seconds = {}
    for row in rows:
        if row["preparation_seconds"] is not None:
            seconds.setdefault(row["implementation"], []).append(row["preparation_seconds"])
    for name, values in seconds.items():
        print(f"\n{name}: compiling and preparing a mask took {min(values):.1f} to "
              f"{max(values):.1f} s a case, not counted above")


def print_losses(rows):
    losses = [row for row in rows if row["ratio_to_pare"] < 1]
    print(f"\nPare is faster in {sum(row['ratio_to_pare'] > 1 for row in rows)} and "
          f"slower in {len(losses)} of the comparisons above" + (":" if losses else "."))
    for row in losses:
        print(f"- {row['ratio_to_pare']:.2f} against {row['implementation']}, {row['family']} "
              f"{100 * row['density']:.0f}%, {row['queries']} x {row['length']}, {row['pass']}")


def run_table(library, options):
    rows = []
    for case in table_cases(options):
        measured = measure(case, library, PEERS, options)
        print_rows(case, measured)
        rows += measured
    print_preparation(rows)
    print_losses([row for row in rows if row["implementation"] not in (Pare.name, PareDense.name)])
    return rows


# ---- The pictures ----


def run_kept(library, options):
    """Random masks from few to all cells."""
    rows = []
    for kept in KEPT_SHARES:
        case = cases.drawn_case("random", kept / 100, options.heads, options.kept_length,
                                options.head_size)
        rows += measure(case, library, PEERS, options)
        print(f"kept {kept}%: measured", file=sys.stderr, flush=True)
    return rows


def run_length(library, options):
    """The same number of cells in every row, at growing lengths."""
    rows, length = [], 512
    while length <= options.longest:
        mask = cases.ScatteredRows(length, options.cells)
        case = cases.Case("random", options.cells / length, mask, options.heads, length, length,
                          options.head_size)
        peers = [Pare]
        if length <= options.longest_dense:
            peers += [PareDense, ScaledDotProduct]
        rows += measure(case, library, peers, options)
        print(f"length {length}: measured", file=sys.stderr, flush=True)
        length *= 2
    return rows


def draw(result, options):
    try:
        import attention_pictures
    except ImportError as error:
        print(f"No pictures: {error.name} is not installed", file=sys.stderr)
        return
    for part, function in (("kept", attention_pictures.against_kept),
                           ("length", attention_pictures.against_length)):
        if part in result:
            path = os.path.join(options.output, f"attention-{part}.png")
            function(result[part], path, result["machine"], options)
            print(f"{path}", file=sys.stderr)


def main():
    options = parse_arguments()
    parts = {"table": run_table, "kept": run_kept, "length": run_length}
    unknown = [part for part in options.parts.split(",") if part not in parts]
    if unknown:
        raise SystemExit(f"attention.py: --parts cannot be '{unknown[0]}'; choose among "
                         f"{', '.join(parts)}")
    for path, remedy in ((options.library, "run 'make build' first"),
                         (options.masks, "name the directory of the learned masks with --masks")):
        if not os.path.exists(path):
            raise SystemExit(f"attention.py: there is no '{path}'; {remedy}")
    warnings.filterwarnings("ignore", message="Sparse CSR")
    os.makedirs(options.output, exist_ok=True)
    torch.set_num_threads(options.threads)
    library = Library(options.library, options.threads)
    result = {"machine": f"{library.describe()}, {options.threads} threads",
              "torch": torch.__version__, "options": vars(options)}
    print(f"{result['machine']}; PyTorch {torch.__version__}; medians of {options.rounds} rounds; "
          "ratio above 1: Pare is faster")
    for part in options.parts.split(","):
        result[part] = parts[part](library, options)
    path = os.path.join(options.output, "attention.json")
    with open(path + ".partial", "w") as file:
        json.dump(result, file, indent=1)
    os.replace(path + ".partial", path)
    draw(result, options)


if __name__ == "__main__":
    main()
