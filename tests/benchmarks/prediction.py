"""How near predictions come on two hosts with one rank each and a link of 1 Gbit/s and 1 ms (one way) between them: sums of 1 KiB to 64 MiB
from the latency and bandwidth that a plain socket finds, and an update's time from these and a fit made on one host. Medians of three. Needs root (tests/support/hosts.py).
    tests/benchmarks/prediction.py [--model FOLDER --train_file FILE]"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent.parent
sys.path += [str(FOLDER / "support"), str(FOLDER / "end_to_end")]

import hosts
import support

RATE, DELAY, ROUNDS = 1e9, 0.001, 3


def run(*words):
    done = subprocess.run(list(map(str, words)), env=support.ENVIRONMENT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def one_core_each(network, *words):
    """On both hosts; each rank on a core of its own, so that they do not share caches' time with each other's sleeps."""
    return run(*network.mpirun([1, 1], "sh", "-c", f'exec taskset -c $OMPI_COMM_WORLD_RANK {" ".join(map(str, words))}'))


def figures(network):
    """As ping and a long transfer tell them."""
    tries, size = 20, 25_000_000
    took = network.round_trips([0] * tries + [size] * 3)
    latency = statistics.median(took[:tries]) / 2
    bandwidth = size / (min(took[tries:]) - 2 * latency)
    print(f"the link: {latency * 1e3:.3f} ms one way, {bandwidth * 8e-9:.3f} Gbit/s")
    return ("--link_latency", latency, "--link_bandwidth", bandwidth)


def sums(network, link):
    told = [json.loads(one_core_each(network, support.BINARY, "collectives", "--backend", "mpi", "--collectives", "sum", "--types", "int64", "--min_bytes",
                                     1024, "--max_bytes", 64 << 20, *link, "--json"))["rows"] for _ in range(ROUNDS)]  # fmt: skip
    print(f"{'bytes':>10} {'measured ms':>12} {'predicted ms':>12} {'error':>8}")
    for rows in zip(*told):
        report(f"{rows[0]['bytes']:>10}", statistics.median(row["seconds"] for row in rows), rows[0]["predicted_seconds"])


def report(what, measured, predicted):
    print(f"{what} {measured * 1e3:>12.2f} {predicted * 1e3:>12.2f} {100 * (predicted / measured - 1):>+7.1f} %")


def updates(network, link, folder, model, rows):
    common = ("--model_name_or_path", model, "--target_modules", "query,value", "--r", 64)
    training = (*common, "--train_file", rows, "--threads", 1, "--max_steps", 14, "--overwrite_output_dir", "--output_dir")
    measured, predicted = [], []
    for _ in range(ROUNDS):
        run("taskset", "-c", 0, support.BINARY, "scaling", *training, folder / "one", "--scaling", "weak")
        told = json.loads(run(support.BINARY, "inspect", *common, "--fit", folder / "one" / "scaling.json", "--nodes", 2, *link, "--json"))
        predicted.append(told["cluster"][1]["update_seconds"])
        one_core_each(network, support.BINARY, "scaling", *training, folder / "two", "--scaling", "weak", "--rank_counts", 2)
        measured.append(json.loads((folder / "two" / "scaling.json").read_text())["weak"][0]["update_seconds"])
    report("an update ", statistics.median(measured), statistics.median(predicted))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=".assets/all-MiniLM-L6-v2")
    parser.add_argument("--train_file", default=".assets/reviews/train.tsv")
    arguments = parser.parse_args()
    if missing := hosts.missing_for_links():
        sys.exit(missing)
    with hosts.Hosts(2) as network, tempfile.TemporaryDirectory() as folder:
        network.link(0, 1, RATE, DELAY)
        link = figures(network)
        sums(network, link)
        updates(network, link, pathlib.Path(folder), *(pathlib.Path(path).resolve() for path in (arguments.model, arguments.train_file)))


if __name__ == "__main__":
    main()
