"""A disk that fills while checkpointing: training goes on and says so; the last save decides; the next start goes on."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import support


def mounted(folder, size):
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode == 0


class FullDisk(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        self.small = self.folder / "small"
        self.small.mkdir()
        if os.getuid() != 0 or not mounted(self.small, "1m"):
            self.skipTest("a small file system cannot be mounted here")
        self.model = support.make_model(self.folder / "model")
        self.rows = support.make_rows(self.folder / "train.tsv", 60)

    def tearDown(self):
        subprocess.run(["umount", self.small], capture_output=True)
        shutil.rmtree(self.folder)

    def options(self, output):
        return ("finetune", "--model_name_or_path", self.model, "--train_file", self.rows, "--output_dir", output, "--save_steps", 1,
                "--max_steps", 12, "--logging_steps", 1, "--threads", 1)

    def test_training_goes_on_and_the_last_save_decides(self):
        text = support.call(*self.options(self.small / "out"), code=6).stderr
        self.assertIn("not saved", text)
        self.assertIn("No space left", text)
        whole = sorted(int(folder.name.split("-")[1]) for folder in (self.small / "out").glob("checkpoint-*"))
        self.assertTrue(whole and whole[-1] < 12, whole)
        self.assertEqual([], list((self.small / "out").glob("*.partial")))
        subprocess.run(["mount", "-o", "remount,size=50m", self.small], check=True)
        text = support.call(*self.options(self.small / "out"), ranks=2).stderr
        self.assertIn(f"going on after update {whole[-1]} of 12", text)
        support.call(*self.options(self.folder / "undisturbed"))
        self.assertEqual(*(support.digest(folder / "adapter_model.safetensors") for folder in (self.small / "out", self.folder / "undisturbed")))


if __name__ == "__main__":
    unittest.main()
