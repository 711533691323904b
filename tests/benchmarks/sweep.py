"""A sweep of eight trainings on two ranks beside two queues of the same trainings alone, side by side, each pinned to one core.

    .parity/python/bin/python tests/benchmarks/sweep.py [--binary build/rankwise] [--steps 40] [--rounds 3]

all-MiniLM-L6-v2 on the movie reviews of .assets/, 16 rows an update, one thread a rank. Prints the wall times of each round, the ratio of
the medians, whether every adapter has the same bytes, and the largest memory of the sweep's ranks together (the shared base counted once).
"""

import argparse
import hashlib
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import threading
import time

from reviews import ASSETS, ROOT, proportional_bytes

GRID = {"learning_rate": [1e-3, 5e-4], "r": [4, 8], "lora_alpha": [16, 32]}
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1",
                   OMPI_MCA_hwloc_base_binding_policy="none")  # fmt: skip


def words(args, output):
    return ["--model_name_or_path", ASSETS / "all-MiniLM-L6-v2", "--train_file", ASSETS / "reviews" / "train.tsv", "--output_dir", output,
            "--lora_dropout", 0.1, "--per_device_train_batch_size", 16, "--global_batch_size", 16, "--max_steps", args.steps,
            "--save_strategy", "no", "--threads", 1, "--disable_tqdm", "true"]  # fmt: skip


def call(*command):
    subprocess.run(list(map(str, command)), check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def alone(args, folder):
    """Seconds of the longer queue."""
    trainings = [dict(zip(GRID, values)) for values in itertools.product(*GRID.values())]

    def queue(core):
        for number in range(core, len(trainings), 2):
            own = [word for name, value in trainings[number].items() for word in (f"--{name}", value)]
            call("taskset", "-c", core, args.binary, "finetune", *words(args, folder / f"{number + 1:03}"), *own)

    threads = [threading.Thread(target=queue, args=(core,)) for core in (0, 1)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begin


def together(args, folder):
    """Seconds, and the peak of memory."""
    file = folder.parent / "grid.json"
    file.write_text(json.dumps(GRID))
    done, most = threading.Event(), [0]

    def watch():
        while not done.wait(0.5):
            most[0] = max(most[0], proportional_bytes())

    watcher = threading.Thread(target=watch)
    begin = time.perf_counter()
    watcher.start()
    call("mpirun", "-n", 2, args.binary, "sweep", "--sweep_file", file, *words(args, folder))
    seconds = time.perf_counter() - begin
    done.set()
    watcher.join()
    return seconds, most[0]


def adapters(folder):
    """Digest of each training's adapter, by its number."""
    files = folder.glob("*/adapter_model.safetensors")
    return {file.parent.name[:3]: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.environ.get("RANKWISE_BINARY", str(ROOT / "build" / "rankwise")))
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    times = []
    for number in range(args.rounds):
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            solo = alone(args, scratch / "alone")
            sweep, memory = together(args, scratch / "sweep")
            same = adapters(scratch / "alone") == adapters(scratch / "sweep") and len(adapters(scratch / "sweep")) == 8
            times.append((solo, sweep))
            print(f"round {number + 1}: alone {solo:.1f} s, sweep {sweep:.1f} s, {'same bytes' if same else 'OTHER BYTES'}, {memory / 1e6:.0f} MB together", flush=True)
    solo, sweep = (statistics.median(column) for column in zip(*times))
    print(f"median: {sweep / solo:.3f} times the longer queue of trainings alone")


if __name__ == "__main__":
    main()
