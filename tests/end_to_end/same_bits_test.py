"""The same adapter, byte for byte, at any rank count; and after a stop and a resume at another (kills: kills_test.py)."""

import pathlib
import re
import shutil
import signal
import tempfile
import time
import unittest

import support

FILES = ("adapter_model.safetensors", "trainer_state.json")


class SameBits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        cls.model = support.make_model(cls.folder / "model")
        cls.rows = support.make_rows(cls.folder / "train.tsv", 97)
        cls.held_out = support.make_rows(cls.folder / "held_out.tsv", 31, seed=3)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def options(self, output, *more):
        # five units an update, uneven rows, every dropout on
        return ("finetune", "--model_name_or_path", self.model, "--train_file", self.rows, "--validation_file", self.held_out,
                "--output_dir", output, "--per_device_train_batch_size", 3, "--global_batch_size", 15, "--num_train_epochs", 3,
                "--learning_rate", 0.01, "--lora_dropout", 0.1, "--warmup_steps", 2, "--eval_strategy", "steps", "--eval_steps", 4,
                "--save_steps", 2, "--logging_steps", 3, "--threads", 1, *more)

    def result(self, output):
        return support.digest(output / "adapter_model.safetensors")

    def undisturbed(self, *more):
        name = "undisturbed" + "".join(more)
        if not (self.folder / name).exists():
            support.call(*self.options(self.folder / name, *more))
        return self.folder / name

    def test_at_any_rank_count(self):
        for precision in ((), ("--bf16",)):
            want = self.undisturbed(*precision)
            for ranks in (2, 3, 4):
                output = self.folder / f"ranks{ranks}{''.join(precision)}"
                support.call(*self.options(output, *precision), ranks=ranks)
                self.assertEqual(self.result(want), self.result(output), f"{ranks} ranks {precision}")
                numbers = [[{k: v for k, v in line.items() if not re.search("second|runtime|share", k)} for line in support.lines_of(folder)]
                           for folder in (want, output)]
                self.assertEqual(*numbers)

    def test_after_a_stop_and_a_resume_at_another_rank_count(self):
        output = self.folder / "stopped"
        process = support.start(*self.options(output), ranks=3)
        self.wait_for(process, lambda: (output / "metrics.jsonl").exists() and support.lines_of(output))
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(75, process.wait(60), process.stderr.read())
        process.stderr.close()
        self.assertFalse((output / "adapter_model.safetensors").exists(), "it ended before the stop")
        text = support.call(*self.options(output), ranks=2).stderr
        self.assertIn("going on after update", text)
        self.assertEqual(self.result(self.undisturbed()), self.result(output))

    def test_a_finished_run_is_left_alone(self):
        output = self.undisturbed()
        before = {file: file.stat().st_mtime_ns for file in output.glob("adapter*")}
        self.assertIn("finished", support.call(*self.options(output)).stderr)
        self.assertEqual(before, {file: file.stat().st_mtime_ns for file in output.glob("adapter*")})

    def test_another_setting_is_refused_with_both_values(self):
        text = support.call(*self.options(self.undisturbed(), "--lora_alpha", 16), code=2).stderr
        self.assertIn("lora_alpha", text)
        self.assertIn("'8'", text)
        self.assertIn("'16'", text)

    def wait_for(self, process, happened, seconds=60):
        deadline = time.monotonic() + seconds
        while not happened():
            if process.poll() is not None:
                raise EOFError(f"ended with {process.returncode}")
            self.assertLess(time.monotonic(), deadline, "the event did not come")
            time.sleep(0.002)


if __name__ == "__main__":
    unittest.main()
