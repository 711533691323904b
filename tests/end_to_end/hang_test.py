"""A rank that is stuck is named and ends the job; one that only works long is waited for."""

import os
import pathlib
import shutil
import signal
import tempfile
import time
import unittest

import support

HANG_TIMEOUT = 2


def ranks_of(process):
    """Process numbers of a job's ranks, by rank."""
    numbers = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "environ").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        rank = [word for word in words if word.startswith(b"OMPI_COMM_WORLD_RANK=")]
        if parent == process.pid and rank:
            numbers[int(rank[0].split(b"=")[1])] = int(folder.name)
    return numbers


def is_alive(number):
    """Whether the process runs; one that nobody has asked for its exit code yet does not."""
    try:
        return pathlib.Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Hangs(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def options(self, model, rows, *more):
        return ("finetune", "--model_name_or_path", model, "--train_file", rows, "--output_dir", self.folder / "out", "--logging_steps", 1,
                "--threads", 1, "--hang_timeout", HANG_TIMEOUT, *more)

    def test_a_stopped_rank_is_named_by_the_others(self):
        rows = support.make_rows(self.folder / "train.tsv", 97)
        process = support.start(*self.options(support.make_model(self.folder / "model"), rows, "--max_steps", 10**6), ranks=3)
        metrics = self.folder / "out" / "metrics.jsonl"
        while not (metrics.exists() and len(support.lines_of(self.folder / "out")) > 3):
            self.assertIsNone(process.poll(), "ended before it trained")
            time.sleep(0.01)
        ranks = ranks_of(process)
        os.kill(ranks[1], signal.SIGSTOP)
        stopped = time.monotonic()
        _, text = process.communicate(timeout=60)
        self.assertLess(time.monotonic() - stopped, HANG_TIMEOUT + 12)
        self.assertEqual(5, process.returncode, text)
        for rank in (0, 2):
            self.assertRegex(text, rf"error: rank {rank} of 3 on host \S+ waited .* missing: rank 1 on host \S+ has done nothing for \d+ s "
                                   r"\(phase: update \d+\)")
        while any(is_alive(number) for number in ranks.values()):
            self.assertLess(time.monotonic() - stopped, HANG_TIMEOUT + 12, "a rank was left")
            time.sleep(0.01)

    def test_a_long_unit_is_waited_for(self):
        support.LAYERS, layers = 24, support.LAYERS
        self.addCleanup(setattr, support, "LAYERS", layers)
        model = support.make_model(self.folder / "model")
        seconds = self.seconds_of_unit(model, 1024)
        rows = round(1024 * 5 * HANG_TIMEOUT / seconds)
        self.assertGreater(self.seconds_of_unit(model, rows, ranks=2), 3 * HANG_TIMEOUT, "the one unit was too short to tell")

    def seconds_of_unit(self, model, count, ranks=1):
        """Trains one update of one unit of so many rows."""
        rows = support.make_rows(self.folder / f"{count}.tsv", count)
        support.call(*self.options(model, rows, "--max_steps", 1, "--per_device_train_batch_size", count, "--global_batch_size", count,
                                   "--overwrite_output_dir"), ranks=ranks)
        lines = support.lines_of(self.folder / "out")
        tokens = sum(len(line.split("\t")[1].split()) + 2 for line in rows.read_text().splitlines()[1:])
        return tokens / next(line["tokens_per_second"] for line in lines if "tokens_per_second" in line)


if __name__ == "__main__":
    unittest.main()
