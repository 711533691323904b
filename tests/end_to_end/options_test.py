"""What options of a training promise, seen from outside: limits, early stopping, which checkpoints stay, where files go, and
that run.ini starts the same run again."""

import json
import pathlib
import shutil
import tempfile
import time
import unittest

import support

ADAPTER = "adapter_model.safetensors"


class Options(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        cls.model = support.make_model(cls.folder / "model")
        cls.rows = support.make_rows(cls.folder / "train.tsv", 60)
        cls.held_out = support.make_rows(cls.folder / "held_out.tsv", 31, seed=3)
        cls.whole = cls.folder / "whole"
        support.call(*cls.options(cls.whole, "--save_steps", 2))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def options(cls, output, *more):
        return ("finetune", "--model_name_or_path", cls.model, "--train_file", cls.rows, "--validation_file", cls.held_out, "--output_dir",
                output, "--global_batch_size", 16, "--max_steps", 12, "--learning_rate", 0.01, "--logging_steps", 1, "--threads", 1, *more)

    def run_in(self, name, *more, ranks=1, code=0, environment=None):
        output = self.folder / f"{name}-{ranks}"
        text = support.call(*self.options(output, *more), ranks=ranks, code=code, environment=environment).stderr
        return output, text

    def checkpoints(self, output):
        return sorted(int(folder.name.split("-")[1]) for folder in output.glob("checkpoint-*"))

    def state(self, output):
        return json.loads((output / "trainer_state.json").read_text())

    def assert_same_adapter(self, one, other):
        self.assertEqual(support.digest(one / ADAPTER), support.digest(other / ADAPTER))

    def test_a_time_limit_saves_and_stops(self):
        for ranks in (1, 2):
            output, text = self.run_in("limit", "--time_limit", 0.0001, "--save_steps", 2, ranks=ranks, code=75)
            self.assertIn("start again to go on", text)
            self.run_in("limit", "--save_steps", 2, ranks=ranks)
            self.assert_same_adapter(self.whole, output)

    def test_the_schedulers_end_of_the_job_saves_and_stops(self):
        output, _ = self.run_in("end", "--save_steps", 2, code=75, environment={"SLURM_JOB_END_TIME": str(int(time.time()))})
        self.run_in("end", "--save_steps", 2, environment={"SLURM_JOB_END_TIME": str(int(time.time()) + 3600)})
        self.assert_same_adapter(self.whole, output)

    def test_early_stopping(self):
        stopping = ("--eval_strategy", "steps", "--eval_steps", 2, "--early_stopping_patience", 2)
        for ranks in (1, 2):
            output = self.folder / f"early-{ranks}"
            options = [*self.options(output)]
            options[options.index("--learning_rate") + 1] = 0
            support.call(*options, *stopping, ranks=ranks)
            state = self.state(output)
            self.assertEqual(6, state["global_step"])  # the first evaluation is the best, two are not better
            self.assertEqual(2, state["best_global_step"])
            counter = state["stateful_callbacks"]["EarlyStoppingCallback"]["attributes"]["early_stopping_patience_counter"]
            self.assertEqual(2, counter)
            text = support.call(*options, *stopping, ranks=ranks).stderr
            self.assertIn("the run is finished", text)

    def test_a_threshold_asks_for_more(self):
        output = self.folder / "threshold"
        support.call(*self.options(output), "--eval_strategy", "steps", "--eval_steps", 1, "--early_stopping_patience", 3,
                     "--early_stopping_threshold", 100)
        self.assertEqual(4, self.state(output)["global_step"])

    def test_the_newest_checkpoints_stay_and_the_best(self):
        for ranks in (1, 2):
            output, _ = self.run_in("kept", "--save_steps", 2, "--save_total_limit", 2, ranks=ranks)
            self.assertEqual([10, 12], self.checkpoints(output))
        watching = ("--eval_strategy", "steps", "--eval_steps", 1, "--save_steps", 1, "--save_total_limit", 1)
        output, _ = self.run_in("best", *watching, "--load_best_model_at_end")
        losses = {line["step"]: line["eval_loss"] for line in support.lines_of(output) if "eval_loss" in line}
        best = min(losses, key=losses.get)
        self.assertEqual(list(range(1, 13)), list(losses))
        self.assertEqual(sorted({best, 12}), self.checkpoints(output))
        self.assertEqual(best, self.state(output)["best_global_step"])
        self.assertEqual(str(output / f"checkpoint-{best}"), self.state(output)["best_model_checkpoint"])
        self.assert_same_adapter(output / f"checkpoint-{best}", output)

    def test_the_best_is_loaded_where_it_is_no_saved_step(self):
        greater = ("--metric_for_best_model", "loss", "--greater_is_better", "true")  # the worst, then: early, since training works
        output, _ = self.run_in("between", "--eval_strategy", "steps", "--eval_steps", 1, "--save_steps", 6,
                                "--load_best_model_at_end", *greater, ranks=2)
        losses = {line["step"]: line["eval_loss"] for line in support.lines_of(output) if "eval_loss" in line}
        best = max(losses, key=losses.get)
        self.assertEqual(best, self.state(output)["best_global_step"])
        self.assertIn(best, self.checkpoints(output))
        self.assert_same_adapter(output / f"checkpoint-{best}", output)

    def test_only_the_best_is_saved(self):
        output, _ = self.run_in("onlybest", "--eval_strategy", "steps", "--eval_steps", 3, "--save_strategy", "best")
        losses = {line["step"]: line["eval_loss"] for line in support.lines_of(output) if "eval_loss" in line}
        better = [step for step in losses if all(losses[step] < losses[before] for before in losses if before < step)]
        self.assertEqual(better, self.checkpoints(output))

    def test_a_metric_that_evaluation_does_not_give(self):
        for ranks in (1, 2):
            _, text = self.run_in("metric", "--eval_strategy", "steps", "--metric_for_best_model", "rouge", ranks=ranks, code=2)
            self.assertIn("--metric_for_best_model rouge", text)
            self.assertIn("eval_accuracy", text)
            self.assertEqual(1, text.count("error: "), text)

    def test_from_a_checkpoint_by_path(self):
        for ranks in (1, 2):
            output, text = self.run_in("path", "--save_steps", 2, "--resume_from_checkpoint", self.whole / "checkpoint-4", ranks=ranks)
            self.assertIn("going on after update 4 of 12", text)
            self.assert_same_adapter(self.whole, output)
        _, text = self.run_in("nopath", "--resume_from_checkpoint", self.folder / "nothing", ranks=2, code=4)
        self.assertIn("nothing/state.h5", text)

    def test_what_is_later_in_the_folder_is_not_passed_over(self):
        output, _ = self.run_in("later", "--save_steps", 2)
        for start in ("false", output / "checkpoint-4"):
            _, text = self.run_in("later", "--save_steps", 2, "--resume_from_checkpoint", start, code=2)
            self.assertIn("checkpoint-12", text)
            self.assertIn("--overwrite_output_dir", text)
        _, text = self.run_in("later", "--save_steps", 2, "--resume_from_checkpoint", output / "checkpoint-4", "--overwrite_output_dir")
        self.assertIn("going on after update 4 of 12", text)
        self.assertEqual([6, 8, 10, 12], self.checkpoints(output))
        self.assert_same_adapter(self.whole, output)
        _, text = self.run_in("later", "--overwrite_output_dir", "--save_steps", 2)
        self.assertNotIn("going on", text)
        self.assertEqual([2, 4, 6, 8, 10, 12], self.checkpoints(output))

    def test_where_reports_go(self):
        elsewhere = self.folder / "board"
        output, _ = self.run_in("reports", "--logging_dir", elsewhere)
        self.assertEqual(1, len(list(elsewhere.glob("events.out.tfevents.*"))))
        self.assertFalse((output / "runs").exists())
        self.assertTrue((output / "metrics.jsonl").exists())
        for report, present in (("none", set()), ("jsonl", {"metrics.jsonl"}), ("tensorboard", {"runs"})):
            output = self.folder / f"report-{report}"
            support.call(*self.options(output, "--report_to", report))
            self.assertEqual(present, {name for name in ("metrics.jsonl", "runs") if (output / name).exists()})
            self.assertEqual(12, self.state(output)["global_step"])

    def test_run_ini_starts_the_same_run(self):
        first, _ = self.run_in("ini", "--lora_dropout", 0.1, "--eval_strategy", "steps", "--eval_steps", 5, "--warmup_ratio", 0.1)
        for ranks in (1, 2):
            again = self.folder / f"again-{ranks}"
            support.call("finetune", "--config", first / "run.ini", "--output_dir", again, ranks=ranks)
            self.assert_same_adapter(first, again)
            settings = [[line for line in (folder / "run.ini").read_text().splitlines() if "output_dir" not in line] for folder in (first, again)]
            self.assertEqual(*settings)
            text = support.call("finetune", "--config", again / "run.ini", ranks=ranks).stderr
            self.assertIn("the run is finished", text)

    def test_adapters_are_compared_over_ranks(self):
        output, _ = self.run_in("compared", "--check_steps", 1, ranks=3)
        self.assert_same_adapter(self.whole, output)

    def test_lora_plus(self):
        outputs = [self.run_in("plus", "--loraplus_lr_ratio", 16, ranks=ranks)[0] for ranks in (1, 2)]
        self.assert_same_adapter(*outputs)
        self.assertNotEqual(support.digest(self.whole / ADAPTER), support.digest(outputs[0] / ADAPTER))
        _, text = self.run_in("decay", "--loraplus_lr_ratio", 16, "--weight_decay", 0.1, ranks=2, code=2)
        self.assertIn("--loraplus_weight_decay", text)

    def test_the_device_and_the_backend(self):
        _, text = self.run_in("cuda", "--device", "cuda", ranks=2, code=2)
        self.assertIn("--device cuda", text)
        output, text = self.run_in("mpi", "--backend", "mpi", ranks=2)
        self.assertIn("backend: mpi (as asked for)", text)
        self.assert_same_adapter(self.whole, output)


if __name__ == "__main__":
    unittest.main()
