"""Ranks on unlike processors, made by telling LibTorch of one rank to use older kernels."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

import support


class MixedHosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        cls.model = support.make_model(cls.folder / "model")
        cls.rows = support.make_rows(cls.folder / "train.tsv", 97)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def options(self, output, *more):
        return ("finetune", "--model_name_or_path", self.model, "--train_file", self.rows, "--output_dir", output, "--max_steps", 8,
                "--per_device_train_batch_size", 3, "--global_batch_size", 15, "--learning_rate", 0.01, "--threads", 1, *more)

    def run_mixed(self, *options):
        words = [support.BINARY, *map(str, options)]
        return subprocess.run(["mpirun", "-n", "1", *words, ":", "-n", "1", "-x", "ATEN_CPU_CAPABILITY=default", *words],
                              env=support.ENVIRONMENT, capture_output=True, text=True, timeout=120)

    def test_are_refused_with_both_kinds(self):
        done = self.run_mixed(*self.options(self.folder / "refused"))
        self.assertEqual(2, done.returncode, done.stderr)
        self.assertRegex(done.stderr, r"error: rank 0 on host \S+ computes on .*, AVX\w+\), rank 1 on host \S+ on .*, \S+\): bits would depend")
        self.assertIn("--allow_mixed_hosts", done.stderr)

    def test_train_the_same_adapter_where_that_is_allowed(self):
        output = self.folder / "allowed"
        done = self.run_mixed(*self.options(output, "--allow_mixed_hosts", "--check_steps", 1))
        self.assertEqual(0, done.returncode, done.stderr)
        alone = self.folder / "alone"
        support.call(*self.options(alone))
        mixed, plain = ([line["loss"] for line in support.lines_of(folder) if "loss" in line] for folder in (output, alone))
        self.assertEqual(len(plain), len(mixed))
        for ours, theirs in zip(mixed, plain):
            self.assertAlmostEqual(ours, theirs, delta=1e-4)

    def test_a_resume_on_another_processor_is_told(self):
        output = self.folder / "resumed"
        support.call(*self.options(output, "--save_steps", 4))
        shutil.rmtree(output / "checkpoint-8")
        done = support.call(*self.options(output, "--save_steps", 4), environment={"ATEN_CPU_CAPABILITY": "default"})
        self.assertRegex(done.stderr, r"bits will differ: the run was started on .*, now it is on ")


if __name__ == "__main__":
    unittest.main()
