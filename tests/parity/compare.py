"""What the parity programs share: calls of our binary, the lines that it leaves, and a count of what differs."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

BINARY = os.environ.get("RANKWISE_BINARY", "build/rankwise")
ENVIRONMENT = dict(
    os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1",
    OMPI_MCA_hwloc_base_binding_policy="none")  # fmt: skip


class Differences:
    """Counts what was compared and prints what differs."""

    def __init__(self):
        self.compared = self.found = 0

    def check(self, equal, where, what):
        self.compared += 1
        if not equal:
            self.found += 1
            print(f"DIFFERS {where}: {what}", flush=True)

    def close(self, ours, theirs, tolerance, where):
        self.check(abs(ours - theirs) <= tolerance, where, f"{ours:.7g}, Hugging Face {theirs:.7g}, allowed {tolerance:.1e}")


def run_cases(title, cases, differences):
    """Calls each case (name → function) with a folder of its own, says what was found and exits."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, case in cases.items():
            folder = pathlib.Path(scratch) / name.replace(" ", "-")
            folder.mkdir()
            try:
                case(folder)
            except Exception as error:  # one broken case must not hide the others
                differences.check(False, name, f"{type(error).__name__}: {error}")
    print(f"{title}: {differences.compared} comparisons, {differences.found} differ")
    sys.exit(1 if differences.found or not differences.compared else 0)


def command(*words, ranks=1, threads=1):
    launcher = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    return [*launcher, BINARY, *map(str, words), "--threads", str(threads)]


def call(*words, ranks=1, threads=1, timeout=120):
    line = command(*words, ranks=ranks, threads=threads)
    done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise RuntimeError(f"exit {done.returncode} of {' '.join(line)}\n{done.stderr.strip()[-600:]}")
    return done.stdout


def metrics(folder, name):
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line[name] for line in lines if name in line]
