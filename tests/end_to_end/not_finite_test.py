"""Rows whose loss is not a number: their updates are skipped and counted, ten in a row end the run with the rows named."""

import json
import pathlib
import shutil
import struct
import tempfile
import unittest

import support

POISON = support.WORDS[-1]


def poison(model):
    """Makes the embedding of POISON NaN."""
    file = model / "model.safetensors"
    content = bytearray(file.read_bytes())
    (size,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + size])
    at = 8 + size + header["bert.embeddings.word_embeddings.weight"]["data_offsets"][0]
    token = (model / "vocab.txt").read_text().splitlines().index(POISON)
    struct.pack_into("<f", content, at + 4 * support.HIDDEN * token, float("nan"))
    file.write_bytes(content)


class NotFinite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        cls.model = support.make_model(cls.folder / "model")
        poison(cls.model)
        cls.file = support.make_rows(cls.folder / "train.tsv", 40)
        cls.rows = [number for number, line in enumerate(cls.file.read_text().splitlines()) if POISON in line.split("\t")[1].split()]
        assert 2 < len(cls.rows) <= 20

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def options(self, output, *more):
        return ("finetune", "--model_name_or_path", self.model, "--train_file", self.file, "--output_dir", self.folder / output,
                "--per_device_train_batch_size", 1, "--logging_steps", 1, "--threads", 1, *more)

    def test_ten_updates_in_a_row_end_the_run_with_the_rows(self):
        for ranks in (1, 2):
            done = support.call(*self.options(f"all{ranks}", "--global_batch_size", 40, "--num_train_epochs", 12), ranks=ranks, code=3)
            rows = ", ".join(map(str, self.rows))
            self.assertIn(f"not finite in 10 updates in a row; in the last, update 10, in rows {rows} of the training file", done.stderr)
            self.assertIn(f"not finite in {len(self.rows)} units; the update is skipped", done.stderr)

    def test_other_updates_go_on(self):
        done = support.call(*self.options("some", "--global_batch_size", 1, "--num_train_epochs", 1))
        self.assertEqual(len(self.rows), done.stderr.count("the update is skipped"))


if __name__ == "__main__":
    unittest.main()
