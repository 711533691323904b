"""A run that was ended behind its last checkpoint: the next start does what is missing, and no more."""

import pathlib
import shutil
import signal
import tempfile
import time
import unittest

import support


class Finish(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        cls.model = support.make_model(cls.folder / "model")
        cls.rows = support.make_rows(cls.folder / "train.tsv", 40)
        cls.many = support.make_rows(cls.folder / "test.tsv", 60000, seed=3)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def options(self, output, *more):
        return ("finetune", "--model_name_or_path", self.model, "--train_file", self.rows, "--output_dir", output, "--num_train_epochs", 1,
                "--global_batch_size", 8, "--logging_steps", 1, "--threads", 1, *more)  # fmt: skip

    def lines_with(self, output, key):
        return [line for line in support.lines_of(output) if key in line]

    def test_a_stop_in_the_evaluation_of_the_test_file_is_made_good_by_the_next_start(self):
        output = self.folder / "stopped"
        words = self.options(output, "--test_file", self.many)
        process = support.start(*words, ranks=2)
        deadline = time.monotonic() + 60
        while not ((output / "metrics.jsonl").exists() and self.lines_with(output, "train_runtime")):
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), deadline)
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(75, process.wait(60), process.stderr.read())
        process.stderr.close()
        self.assertEqual([], self.lines_with(output, "test_loss"))
        before = support.digest(output / "adapter_model.safetensors")
        support.call(*words)
        self.assertEqual(1, len(self.lines_with(output, "test_loss")))
        self.assertEqual(1, len(self.lines_with(output, "train_runtime")))
        self.assertEqual(before, support.digest(output / "adapter_model.safetensors"))
        self.assertIn("the run is finished", support.call(*words).stderr)

    def test_what_a_kill_kept_from_being_written_is_written_by_the_next_start(self):
        output = self.folder / "killed"
        support.call(*self.options(output))
        want = support.digest(output / "adapter_model.safetensors")
        for file in ("adapter_model.safetensors", "trainer_state.json", "report.html"):  # as if they had not come yet
            (output / file).unlink()
        support.call(*self.options(output), ranks=2)
        self.assertEqual(want, support.digest(output / "adapter_model.safetensors"))
        self.assertTrue((output / "report.html").exists())


if __name__ == "__main__":
    unittest.main()
