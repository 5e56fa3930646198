"""Sides of a comparison that take turns, each in a process of its own: threads of several libraries in
one process are put to sleep after every product, which costs some of them most of their speed. A process
loads what its side needs and nothing else, so programs that use this import libraries in the side's
class only."""

import multiprocessing
import statistics
import sys
import time
import warnings

PAUSE_SECONDS = 50e-3  # threads of the last side's pool stop spinning in it


class Unavailable(Exception):
    """The library is not installed, or cannot do this here."""


class Worker:
    """In the side's process: what the program may ask of `side`. Programs add methods."""

    def __init__(self, side, clock):
        self.side, self.clock = side, clock

    def time(self, action, items):
        """The results of action(item) for all items, and the seconds they took together."""
        time.sleep(PAUSE_SECONDS)
        begin = self.clock()
        results = [action(item) for item in items]
        return results, self.clock() - begin

    def peak_bytes(self):
        """getrusage would count what the parent had."""
        with open("/proc/self/status", encoding="ascii") as file:
            (line,) = (line for line in file if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024


def work(pipe, worker_class, create, arguments, busy):
    """Answers (name of a method, its arguments), first None, or why there is no such side."""
    warnings.filterwarnings("ignore")
    try:
        side = create(*arguments)
    except (Unavailable, RuntimeError) as reason:
        pipe.send(str(reason))
        return
    worker = worker_class(side, time.process_time if busy else time.perf_counter)
    answer = None
    while True:
        pipe.send(answer)
        try:
            method, *values = pipe.recv()
        except EOFError:  # all is measured
            return
        answer = getattr(worker, method)(*values)


class SideProcess:
    """`unavailable` tells why the side cannot be had, or is None."""

    def __init__(self, name, worker_class, create, arguments, busy):
        self.name = name
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        context.Process(target=work, args=(other, worker_class, create, arguments, busy),
                        daemon=True).start()
        other.close()
        self.unavailable = self.receive()

    def receive(self):
        try:
            return self.pipe.recv()
        except EOFError:
            raise SystemExit(f"{self.name} failed; what it said stands above") from None

    def ask(self, *request):
        self.pipe.send(request)
        return self.receive()


def available(sides):
    """Of sides, as they are started, those that can be had; tells of the others."""
    had = []
    for side in sides:
        if side.unavailable:
            print(f"{side.name} is left out: {side.unavailable}", file=sys.stderr)
        else:
            had.append(side)
    return had


def quartiles(numbers):
    if len(numbers) == 1:
        return numbers * 3
    return statistics.quantiles(numbers, n=4, method="inclusive")


def spaced(items, count):
    """At most `count` of them, evenly spaced."""
    return [items[i * len(items) // count] for i in range(count)] if len(items) > count else items
