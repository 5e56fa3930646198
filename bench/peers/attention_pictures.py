"""Pictures of what attention.py measured."""

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

COLOURS = {"pare": "#c0392b", "pare, dense": "#e59866", "torch sdpa": "#1f618d",
           "torch sdpa, bool mask": "#5dade2", "torch sdpa, float mask": "#85c1e9",
           "torch flex": "#7d3c98", "torch.sparse, CSR": "#7f8c8d", "onnxruntime": "#229954"}


def draw(rows, path, title, horizontal, label, scale):
    """`horizontal` gives a row's place on the horizontal axis."""
    passes = ["forward", "forward+backward"]
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for axis, name in zip(axes, passes):
        for implementation, colour in COLOURS.items():
            points = sorted((horizontal(row), 1e3 * row["seconds"], 1e3 * row["seconds_low"],
                             1e3 * row["seconds_high"]) for row in rows
                            if row["implementation"] == implementation and row["pass"] == name)
            if not points:
                continue
            x, middle, low, high = zip(*points)
            axis.plot(x, middle, marker="o", markersize=3, color=colour, label=implementation,
                      linewidth=2 if implementation == "pare" else 1)
            axis.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel(label, fontsize=8)
        axis.set_xscale("log", base=scale)
        axis.set_yscale("log")
        axis.set_xticks(sorted({horizontal(row) for row in rows}))
        axis.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda x, _: f"{x:g}"))
        axis.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        axis.tick_params(labelsize=8)
        axis.grid(True, which="major", linewidth=0.3)
    axes[0].set_ylabel("ms per call", fontsize=8)
    handles, names = axes[0].get_legend_handles_labels()
    figure.suptitle(title, fontsize=9)
    figure.legend(handles, names, fontsize=7, loc="center right")
    figure.tight_layout(rect=(0, 0, 0.83, 1))
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def against_kept(rows, path, machine, options):
    draw(rows, path, f"Attention of {options.kept_length} queries and keys, {options.heads} heads of "
         f"{options.head_size}, random masks\n{machine}",
         lambda row: 100 * row["density"], "kept cells, %", 10)


def against_length(rows, path, machine, options):
    draw(rows, path, f"Attention with {options.cells} random keys per query, {options.heads} heads of "
         f"{options.head_size}\n{machine}",
         lambda row: row["length"], "length (queries and keys)", 2)
