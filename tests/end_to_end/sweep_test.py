"""sweep: each training leaves the bytes that it leaves alone, at any number of ranks and groups; a stop, a failure, bad files."""

import json
import pathlib
import shutil
import signal
import tempfile
import time
import unittest

import support

GRID = {"learning_rate": [0.01, 0.003], "r": [2, 4]}


class Sweep(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        cls.model = support.make_model(cls.folder / "model")
        cls.rows = support.make_rows(cls.folder / "train.tsv", 60)
        cls.held_out = support.make_rows(cls.folder / "held_out.tsv", 21, seed=3)
        cls.grid = cls.folder / "grid.json"
        cls.grid.write_text(json.dumps(GRID))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def common(self, output):
        return ("--model_name_or_path", self.model, "--train_file", self.rows, "--validation_file", self.held_out, "--output_dir", output,
                "--per_device_train_batch_size", 3, "--global_batch_size", 15, "--num_train_epochs", 2, "--lora_dropout", 0.1,
                "--eval_strategy", "epoch", "--logging_steps", 2, "--save_steps", 3, "--threads", 1)  # fmt: skip

    def sweep(self, output, file, *more, **how):
        return support.call("sweep", "--sweep_file", file, *self.common(output), *more, **how)

    def same_as_alone(self, output):
        """Each training's folder against `finetune` with the options that sweep.json tells."""
        results = json.loads((output / "sweep.json").read_text())
        for result in results:
            alone = self.folder / "alone" / result["name"]
            if not alone.exists():
                own = (word for name, value in result["settings"].items() for word in (f"--{name}", value))
                support.call("finetune", *self.common(alone), *own)
            for file in ("adapter_model.safetensors", "adapter_config.json"):
                self.assertEqual(support.digest(alone / file), support.digest(output / result["name"] / file), result["name"])
            self.assertEqual("done", result["status"])
        return results

    def test_a_grid_at_any_number_of_ranks_and_groups(self):
        for ranks, groups in ((1, 1), (2, 2), (3, 2), (4, 1)):
            output = self.folder / f"grid-{ranks}-{groups}"
            said = self.sweep(output, self.grid, "--groups", groups, ranks=ranks).stdout
            results = self.same_as_alone(output)
            self.assertEqual([{"learning_rate": f"{rate}", "r": f"{r}"} for rate in GRID["learning_rate"] for r in GRID["r"]],
                             [result["settings"] for result in results])  # fmt: skip
            best = [min(line["eval_loss"] for line in support.lines_of(output / result["name"]) if "eval_loss" in line) for result in results]
            in_order = [results[i]["name"].partition("-")[0] for i in sorted(range(len(best)), key=best.__getitem__)]
            self.assertEqual(["training", *in_order], [line.split()[0] for line in said.splitlines()])
            for result in results:
                self.assertIn("eval_accuracy", result["metrics"])
            self.assertIn("eval_loss", (output / "report.html").read_text())
            self.assertFalse((output / ".claims").exists())

    def test_a_list_with_methods_of_different_kinds(self):
        output = self.folder / "list"
        file = self.folder / "methods.jsonl"
        file.write_text(json.dumps({"peft_type": "VERA", "r": 8}) + "\n" + json.dumps({"r": 4, "use_dora": True}) + "\n")
        words = [word for word in self.common(output) if word not in ("--lora_dropout", 0.1)]
        support.call("sweep", "--sweep_file", file, *words, ranks=2)
        kinds = [json.loads((output / result["name"] / "adapter_config.json").read_text())["peft_type"]
                 for result in json.loads((output / "sweep.json").read_text())]  # fmt: skip
        self.assertEqual(["VERA", "LORA"], kinds)

    def test_a_stopped_sweep_goes_on(self):
        output = self.folder / "stopped"
        process = support.start("sweep", "--sweep_file", self.grid, *self.common(output), ranks=2)
        deadline = time.monotonic() + 60
        while process.poll() is None and not list(output.glob("*/metrics.jsonl")):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.002)
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(75, process.wait(60), process.stderr.read())
        process.stderr.close()
        self.sweep(output, self.grid, ranks=3)
        self.same_as_alone(output)

    def test_one_that_fails_does_not_keep_the_others(self):
        file, output = self.folder / "failing.jsonl", self.folder / "failing"
        file.write_text('{"target_modules": "nothing"}\n{"r": 4}\n')
        said = self.sweep(output, file, code=2).stderr
        self.assertIn("nothing", said)
        self.assertEqual(["failed", "done"], [result["status"] for result in json.loads((output / "sweep.json").read_text())])

    def test_what_makes_no_sense_is_refused_before_anything_is_trained(self):
        for text, code, words in (('{"lerning_rate": [1]}', 2, "learning_rate"), ('{"r": []}', 3, "'r' has no value"), ("[]", 3, "no training"),
                                  ('{"train_file": ["x"]}', 3, "'train_file'"), ('{"r": [0]}', 2, "at least 1"), ("{", 3, "bad.json")):  # fmt: skip
            file, output = self.folder / "bad.json", self.folder / "bad"
            file.write_text(text)
            said = self.sweep(output, file, code=code, ranks=2).stderr
            self.assertIn(words, said)
            self.assertFalse(list(output.glob("0*")))


if __name__ == "__main__":
    unittest.main()
