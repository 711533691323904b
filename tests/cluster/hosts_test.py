"""Several hosts, as network namespaces: one that is cut off in the middle of a training is named by all that are left, and the job ends."""

import pathlib
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

FOLDER = pathlib.Path(__file__).resolve().parent.parent
sys.path += [str(FOLDER / "support"), str(FOLDER / "end_to_end")]

import hosts
import support

HANG_TIMEOUT = 4


def lines_with_times(stream):
    """A queue of (seconds, line); None at the end."""
    lines = queue.Queue()

    def read():
        for line in stream:
            lines.put((time.monotonic(), line.rstrip()))
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


def wait_until(condition, seconds):
    """Whether it came to be within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


@unittest.skipIf(hosts.missing(), hosts.missing())
class SeveralHosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        cls.model = support.make_model(cls.folder / "model")
        cls.rows = support.make_rows(cls.folder / "train.tsv", 97)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def options(self, output, *more):
        return (support.BINARY, "finetune", "--model_name_or_path", self.model, "--train_file", self.rows, "--output_dir", output,
                "--per_device_train_batch_size", 3, "--global_batch_size", 15, "--lora_dropout", 0.1, "--logging_steps", 1, "--threads", 1,
                "--hang_timeout", HANG_TIMEOUT, *more)

    def test_the_same_bits_as_on_one_host(self):
        want, got = self.folder / "one", self.folder / "three"
        support.call(*self.options(want, "--max_steps", 12)[1:])
        with hosts.Hosts(3) as network:
            subprocess.run(network.mpirun([2, 1, 1], *self.options(got, "--max_steps", 12)), env=support.ENVIRONMENT, check=True,
                           capture_output=True, timeout=120)
        self.assertEqual(*(support.digest(folder / "adapter_model.safetensors") for folder in (want, got)))

    def test_a_host_that_is_cut_off(self):
        for ranks_of, cut in (([1, 1, 1], 2), ([2, 2, 1], 1)):
            with self.subTest(ranks_of=ranks_of, cut=cut), hosts.Hosts(len(ranks_of)) as network:
                self.cut_off(network, ranks_of, cut)

    def cut_off(self, network, ranks_of, cut):
        output = self.folder / f"cut{cut}"
        words = network.mpirun(ranks_of, *self.options(output, "--max_steps", 1000000))
        process = subprocess.Popen(words, env=support.ENVIRONMENT | hosts.keepalives(HANG_TIMEOUT), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        lines = lines_with_times(process.stderr)
        started = wait_until(lambda: (output / "metrics.jsonl").exists() and len(support.lines_of(output)) > 3, 60)
        network.cut(cut)
        cut_at = time.monotonic()
        self.assertTrue(started, "the training did not start")
        code = process.wait(timeout=60)
        ended = time.monotonic()
        said = list(iter(lambda: lines.get(timeout=60), None))
        process.stderr.close()
        text = "\n".join(f"{at - cut_at:+.1f} s: {line}" for at, line in said)

        survivors = [rank for host, ranks in enumerate(ranks_of) for rank in range(sum(ranks_of[:host]), sum(ranks_of[:host + 1])) if host != cut]
        for rank in survivors:
            its = [(at, line) for at, line in said if f"error: rank {rank} of {sum(ranks_of)} on host" in line]
            self.assertEqual(1, len(its), text)
            at, line = its[0]
            self.assertIn(f"host n{cut} does not answer (last phase: update", line, text)
            self.assertLess(at - cut_at, HANG_TIMEOUT + 3, text)  # a second for a machine of two cores
        self.assertNotIn(code, (0, 75), text)
        self.assertLess(ended - cut_at, HANG_TIMEOUT + 2 + 10, text)
        self.assertTrue(wait_until(lambda: not network.processes(), 10 - (ended - cut_at - HANG_TIMEOUT - 2)), text)


if __name__ == "__main__":
    unittest.main()
