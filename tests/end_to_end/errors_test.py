"""Bad input ends with the promised exit code and a text that names file, row and field, on one rank and on two."""

import pathlib
import shutil
import struct
import tempfile
import unittest

import support


class Errors(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        self.model = support.make_model(self.folder / "model")
        self.rows = support.make_rows(self.folder / "train.tsv", 40)

    def tearDown(self):
        shutil.rmtree(self.folder)

    def fails(self, code, *parts, rows=None, more=()):
        """The run must end with this code and say all these parts, once."""
        for ranks in (1, 2):
            text = support.call("finetune", "--model_name_or_path", self.model, "--train_file", rows or self.rows, "--output_dir",
                                self.folder / "out", "--max_steps", 2, "--threads", 1, *more, ranks=ranks, code=code, timeout=60).stderr
            for part in parts:
                self.assertIn(part, text)
            self.assertEqual(1, text.count("error: "), text)
            self.assertNotIn("terminate called", text)

    def file(self, name, text):
        (self.folder / name).write_text(text)
        return self.folder / name

    def test_rows(self):
        good = "".join(f"no\tstone cloud {i}\n" for i in range(30))
        self.fails(3, "short.tsv", "32", rows=self.file("short.tsv", f"label\ttext\n{good}yes\n"))
        self.fails(3, "empty.tsv", rows=self.file("empty.tsv", ""))
        self.fails(3, "absent.tsv", rows=self.folder / "absent.tsv")
        self.fails(3, "broken.jsonl", "2", rows=self.file("broken.jsonl", '{"text": "a", "label": "no"}\n{"text": \n'))
        self.fails(3, "ids.jsonl", "2", "input_ids",
                   rows=self.file("ids.jsonl", '{"input_ids": [2, 5, 3], "labels": 0}\n{"input_ids": [2, 99999, 3], "labels": 1}\n'))

    def test_token_types_that_the_model_does_not_know(self):
        rows = '{"input_ids": [2, 5, 3], "labels": 0}\n{"input_ids": [2, 5, 3], "token_type_ids": [0, 7, 0], "labels": 1}\n'
        self.fails(3, "types.jsonl", "row 2", "token_type_ids", rows=self.file("types.jsonl", rows))

    def test_an_unknown_label(self):
        support.call("finetune", "--model_name_or_path", self.model, "--train_file", self.rows, "--output_dir", self.folder / "adapter",
                     "--max_steps", 1, "--threads", 1)
        text = support.call("evaluate", "--model_name_or_path", self.model, "--adapter_name_or_path", self.folder / "adapter",
                            "--validation_file", self.file("odd.tsv", "label\ttext\nno\tstone\nmaybe\tcloud\n"), code=3).stderr
        for part in ("odd.tsv", "3", "maybe"):
            self.assertIn(part, text)

    def test_model_files(self):
        weights = self.model / "model.safetensors"
        whole = weights.read_bytes()
        weights.write_bytes(whole[: len(whole) // 2])
        self.fails(4, "model.safetensors")
        weights.write_bytes(struct.pack("<Q", 1 << 60) + whole[8:])
        self.fails(4, "model.safetensors")
        weights.write_bytes(whole.replace(b"bert.pooler.dense.bias", b"bert.pooler.dense.bais"))
        self.fails(4, "bert.pooler.dense.bias")
        table = support.shapes(19)
        table["bert.pooler.dense.bias"] = [65]
        support.write_safetensors(weights, table, lambda count: bytes(4 * count))
        self.fails(4, "bert.pooler.dense.bias", "[65]", "[64]")

    def test_usage(self):
        self.fails(2, "learning_rate", more=("--learning_rat", "1"))
        self.fails(2, "--r", more=("--r", "0"))
        self.fails(2, "lora_dropout", more=("--lora_dropout", "1.5"))
        self.fails(2, "querry", "query", more=("--target_modules", "querry"))
        self.fails(2, "multiple", more=("--global_batch_size", "9"))


if __name__ == "__main__":
    unittest.main()
