"""scaling: one adapter at any number of ranks, the one that `finetune` leaves; its files; a stop; inspect --nodes from its fit."""

import json
import pathlib
import shutil
import signal
import tempfile
import time
import unittest

import support


class Scaling(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        cls.model = support.make_model(cls.folder / "model")
        cls.rows = support.make_rows(cls.folder / "train.tsv", 60)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def common(self, output, updates=6):
        return ("--model_name_or_path", self.model, "--train_file", self.rows, "--output_dir", output, "--per_device_train_batch_size", 3,
                "--lora_dropout", 0.1, "--max_steps", updates, "--threads", 1)  # fmt: skip

    def scaling(self, output, *more, updates=6, **how):
        said = support.call("scaling", *self.common(output, updates), *more, **how).stdout
        return said, json.loads((output / "scaling.json").read_text())

    def timed_updates(self, folder, run):
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        times = [line["update_seconds"] for line in lines if line["step"] > 2 and "update_seconds" in line]  # two are not timed
        self.assertEqual(4, len(times))
        self.assertEqual(4, run["updates"])
        self.assertAlmostEqual(sum(times) / 4, run["update_seconds"])
        self.assertGreater(run["bytes_per_node"], 1 << 20)
        self.assertTrue(0 <= run["communication_share"] < 1)

    def test_strong_and_weak_on_one_two_and_three_ranks(self):
        output = self.folder / "both"
        said, result = self.scaling(output, ranks=3)
        self.assertEqual(7, len(said.splitlines()))
        self.assertEqual([(1, 9), (2, 9), (3, 9)], [(run["ranks"], run["global_batch_size"]) for run in result["strong"]])
        self.assertEqual([(1, 3), (2, 6), (3, 9)], [(run["ranks"], run["global_batch_size"]) for run in result["weak"]])
        self.assertEqual(1, len({run["adapter_hash"] for run in result["strong"]}))
        self.assertEqual(3, len({run["adapter_hash"] for run in result["weak"]}))
        alone = self.folder / "alone"
        support.call("finetune", *self.common(alone), "--global_batch_size", 9)
        for run in ("strong-1", "strong-2", "strong-3", "weak-3"):
            self.assertEqual(support.digest(alone / "adapter_model.safetensors"), support.digest(output / run / "adapter_model.safetensors"), run)
        for mode in ("strong", "weak"):
            for run in result[mode]:
                self.timed_updates(output / f"{mode}-{run['ranks']}", run)
        self.assertEqual([1.0, 1.0], [result["strong"][0]["efficiency"], result["weak"][0]["efficiency"]])
        self.assertEqual({2, 3}, {reduction["ranks"] for reduction in result["reductions"]})
        self.assertIn("efficiency", (output / "report.html").read_text())

    def test_a_stopped_experiment_goes_on(self):
        output = self.folder / "stopped"
        process = support.start("scaling", *self.common(output, 2000), "--scaling", "strong", ranks=2)
        deadline, metrics = time.monotonic() + 60, output / "strong-1" / "metrics.jsonl"
        while process.poll() is None and not (metrics.exists() and metrics.read_text()):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.002)
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(75, process.wait(60), process.stderr.read())
        process.stderr.close()
        self.assertFalse((output / "scaling.json").exists())
        done = metrics.read_text().splitlines()[0]
        _, result = self.scaling(output, "--scaling", "strong", updates=2000, ranks=2)
        self.assertEqual(1, len({run["adapter_hash"] for run in result["strong"]}))
        self.assertEqual(done, metrics.read_text().splitlines()[0])

    def test_inspect_predicts_from_the_fit(self):
        output = self.folder / "fitted"
        _, result = self.scaling(output, ranks=2)
        words = ("inspect", "--model_name_or_path", self.model, "--fit", output / "scaling.json", "--nodes", 10000, "--json")
        links = ("--link_latency", 2e-5, "--link_bandwidth", 1e9)
        cluster = json.loads(support.call(*words, *links).stdout)["cluster"]
        self.assertEqual([1, 2, 4, 8192, 10000], [one["nodes"] for one in cluster[:3] + cluster[-2:]])
        self.assertEqual(20000, cluster[-1]["ranks"])
        self.assertAlmostEqual(result["weak"][1]["predicted_update_seconds"], cluster[0]["update_seconds"])
        self.assertIn("one node", support.call(*words, code=2).stderr)

    def test_what_makes_no_sense_is_refused(self):
        for words, text in ((("--rank_counts", 5), "the job has 2 ranks"), (("--warmup_updates", 6), "--max_steps 6 must be more"),
                            (("--logging_steps", 3), "each update"), (("--scaling", "string"), "did you mean strong"),
                            (("--report_to", "tensorboard"), "jsonl")):  # fmt: skip
            output = self.folder / "refused"
            self.assertIn(text, support.call("scaling", *self.common(output), *words, code=2, ranks=2).stderr)
            self.assertFalse(list(output.glob("strong*")))


if __name__ == "__main__":
    unittest.main()
