#!/usr/bin/env python3
"""Runs PyTorch's scaled_dot_product_attention and `pare bench attention` in turn on the same shapes
and prints the median of the ratios of their times (above 1: Pare is faster). fp32 on the CPU.

    bench/peers/attention.py build/pare --length 512,1024 --threads 2
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time


def run_pare(arguments, length, path):
    command = [arguments.pare, "bench", "attention", "--heads", str(arguments.heads),
               "--head-size", str(arguments.head_size), "--length", str(length),
               "--density", str(arguments.density), "--threads", str(arguments.threads),
               "--repeat", str(arguments.repeat), "--json", path]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with open(path) as file:
        rows = json.load(file)["rows"]
    return {(row["family"], row["pass"]): row["seconds"] for row in rows}


def run_torch(arguments, length):
    import torch

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    # (batch, heads, length, head size) as seen through the layout a model has: heads side by side.
    shape = (1, length, arguments.heads, arguments.head_size)
    query, key, value = (torch.randn(shape).transpose(1, 2).requires_grad_() for _ in range(3))
    gradient = torch.randn(shape).transpose(1, 2)
    attend = torch.nn.functional.scaled_dot_product_attention

    def forward():
        with torch.no_grad():
            attend(query, key, value)

    def both():
        output = attend(query, key, value)
        torch.autograd.grad(output, (query, key, value), gradient)

    seconds = {}
    for name, call in (("forward", forward), ("forward+backward", both)):
        times = []
        call()
        for _ in range(arguments.repeat):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        seconds[name] = statistics.median(times)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pare", help="path of the pare command")
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--head-size", type=int, default=64)
    parser.add_argument("--length", default="512,1024")
    parser.add_argument("--density", type=float, default=10, help="kept cells of pruned calls, %%")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeat", type=int, default=9, help="calls per turn")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each side")
    arguments = parser.parse_args()
    print(f"{'length':>6}  {'pass':<17} {'torch ms':>9} {'dense ms':>9} {'ratio':>6} "
          f"{'pruned ms':>10} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "rows.json")
        for length in map(int, arguments.length.split(",")):
            rounds = [(run_torch(arguments, length), run_pare(arguments, length, path))
                      for _ in range(arguments.rounds)]
            for name in ("forward", "forward+backward"):
                def middle(value):
                    return statistics.median(value(torch, pare) for torch, pare in rounds)

                print(f"{length:>6}  {name:<17} {1e3 * middle(lambda t, p: t[name]):9.2f} "
                      f"{1e3 * middle(lambda t, p: p['dense', name]):9.2f} "
                      f"{middle(lambda t, p: t[name] / p['dense', name]):6.2f} "
                      f"{1e3 * middle(lambda t, p: p['random', name]):10.2f} "
                      f"{middle(lambda t, p: t[name] / p['random', name]):6.2f}")


if __name__ == "__main__":
    main()
