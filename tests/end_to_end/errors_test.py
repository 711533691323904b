"""Bad input ends with the promised exit code and a text that names file, row and field: on one rank, on two, on one of two."""

import json
import pathlib
import shutil
import struct
import subprocess
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

    def says(self, text, parts):
        """All these parts, once, and nothing of a crash."""
        for part in parts:
            self.assertIn(part, text)
        self.assertEqual(1, text.count("error: "), text)
        for trace in ("terminate called", "Signal:", "json.exception"):
            self.assertNotIn(trace, text)

    def fails(self, code, *parts, rows=None, more=()):
        for ranks in (1, 2):
            text = support.call("finetune", "--model_name_or_path", self.model, "--train_file", rows or self.rows, "--output_dir",
                                self.folder / "out", "--max_steps", 2, "--threads", 1, *more, ranks=ranks, code=code, timeout=60).stderr
            self.says(text, parts)

    def fails_on_rank_1(self, code, *parts, more=()):
        """Rank 0 is in the folder `good`, rank 1 in `bad`, so that the same words name other files."""
        words = [support.BINARY, "finetune", "--model_name_or_path", "model", "--train_file", "train.tsv", "--output_dir",
                 self.folder / "out", "--max_steps", 2, "--threads", 1, *more]
        line = ["mpirun", "-n", 1, "-wdir", self.folder / "good", *words, ":", "-n", 1, "-wdir", self.folder / "bad", *words]
        done = subprocess.run(list(map(str, line)), env=support.ENVIRONMENT, capture_output=True, text=True, timeout=60)
        self.assertEqual(code, done.returncode, done.stderr)
        self.says(done.stderr, ("rank 1", *parts))

    def two_folders(self):
        """Both hold the model and 300 rows, of which those behind the 256th are rank 1's."""
        for name in ("good", "bad"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            shutil.copytree(self.model, self.folder / name / "model")
            support.make_rows(self.folder / name / "train.tsv", 300)
        return self.folder / "bad"

    def file(self, name, text):
        (self.folder / name).write_text(text)
        return self.folder / name

    def adapter(self):
        if not (self.folder / "adapter").exists():
            support.call("finetune", "--model_name_or_path", self.model, "--train_file", self.rows, "--output_dir", self.folder / "adapter",
                         "--max_steps", 1, "--threads", 1)
        return self.folder / "adapter"

    def test_rows(self):
        good = "".join(f"no\tstone cloud {i}\n" for i in range(30))
        self.fails(3, "short.tsv:32", "'text'", rows=self.file("short.tsv", f"label\ttext\n{good}yes\n"))
        self.fails(3, "short.csv:3", "'text'", rows=self.file("short.csv", 'label,text\nno,"stone, cloud"\nyes\n'))
        self.fails(3, "empty.tsv", rows=self.file("empty.tsv", ""))
        self.fails(3, "head.tsv", "no rows", rows=self.file("head.tsv", "label\ttext\n"))
        self.fails(3, "absent.tsv", rows=self.folder / "absent.tsv")
        self.fails(3, "broken.jsonl:2", rows=self.file("broken.jsonl", '{"text": "a", "label": "no"}\n{"text": \n'))
        self.fails(3, "list.jsonl:1", "object", rows=self.file("list.jsonl", "[1, 2]\n"))
        self.fails(3, "column.tsv:2", "'text'", rows=self.file("column.tsv", "label\ttxt\nno\tstone\nyes\tcloud\n"))

    def test_ids_out_of_range(self):
        for wrong in ("19", "-1", "1.5"):
            rows = '{"input_ids": [2, 5, 3], "labels": 0}\n{"input_ids": [2, %s, 3], "labels": 1}\n' % wrong
            self.fails(3, "ids.jsonl:2", "input_ids", wrong, rows=self.file("ids.jsonl", rows))

    def test_a_tokenizer_that_is_not_supported_matters_to_text_only(self):
        (self.model / "tokenizer.json").write_text(json.dumps({"model": {"type": "Phonetic", "vocab": {}}}))
        self.fails(4, "tokenizer.json", "Phonetic")
        ids = self.file("ids.jsonl", '{"input_ids": [2, 5, 3], "labels": 0}\n{"input_ids": [2, 6, 3], "labels": 1}\n')
        support.call("finetune", "--model_name_or_path", self.model, "--train_file", ids, "--output_dir", self.folder / "ids", "--max_steps", 1)

    def test_token_types_that_the_model_does_not_know(self):
        rows = '{"input_ids": [2, 5, 3], "labels": 0}\n{"input_ids": [2, 5, 3], "token_type_ids": [0, 7, 0], "labels": 1}\n'
        self.fails(3, "types.jsonl:2: ", "token_type_ids", rows=self.file("types.jsonl", rows))

    def test_an_unknown_label(self):
        odd = self.file("odd.tsv", "label\ttext\nno\tstone\nmaybe\tcloud\n")
        for ranks in (1, 2):
            text = support.call("evaluate", "--model_name_or_path", self.model, "--adapter_name_or_path", self.adapter(),
                                "--validation_file", odd, ranks=ranks, code=3, timeout=60).stderr
            self.says(text, ("odd.tsv:3", "'label'", "maybe"))
        self.fails(3, "odd.tsv:3", "'label'", "maybe", more=("--validation_file", odd, "--eval_strategy", "steps"))

    def test_files_that_are_bad_on_one_rank_of_two(self):
        rows = self.two_folders() / "train.tsv"
        lines = rows.read_text().splitlines(keepends=True)
        rows.write_text("".join([*lines[:280], lines[280].replace("\t", " "), *lines[281:]]))
        self.fails_on_rank_1(3, "train.tsv:281", "'text'")
        rows.write_text("".join(lines[:60]))
        self.fails_on_rank_1(3, "train.tsv", "different files", "59 rows", "300 rows")
        rows.write_text("")
        self.fails_on_rank_1(3, "train.tsv", "empty")
        rows.unlink()
        self.fails_on_rank_1(3, "train.tsv")

        weights = self.two_folders() / "model" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
        self.fails_on_rank_1(4, "model.safetensors")
        config = self.two_folders() / "model" / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"num_hidden_layers": 1}))
        self.fails_on_rank_1(4, "different files", "model/config.json")
        words = self.two_folders() / "model" / "vocab.txt"
        words.write_text(words.read_text().replace("river", "rivet"))
        self.fails_on_rank_1(4, "different files", "tokenizer")

    def test_an_adapter_that_is_another_on_one_rank(self):
        bad = self.two_folders() / "adapter"
        for name in ("good", "bad"):
            shutil.copytree(self.adapter(), self.folder / name / "adapter")
        weights, config = bad / "adapter_model.safetensors", bad / "adapter_config.json"
        whole = weights.read_bytes()
        weights.write_bytes(whole[:-4] + struct.pack("<f", 0.125))
        self.fails_on_rank_1(4, "different files", "adapter/adapter_model.safetensors", more=("--adapter_name_or_path", "adapter"))
        weights.write_bytes(whole)
        config.write_text(config.read_text().replace('"lora_alpha": 8', '"lora_alpha": 9'))
        self.fails_on_rank_1(4, "different files", "adapter/adapter_config.json", more=("--adapter_name_or_path", "adapter"))

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
        weights.unlink()
        self.fails(4, "no weights")

    def test_headers_that_lie(self):
        weights = self.model / "model.safetensors"
        whole = weights.read_bytes()
        size = struct.unpack("<Q", whole[:8])[0]
        for lie in ({"data_offsets": [0, 256]}, {"data_offsets": [0, 1 << 50]}, {"shape": [65]}, {"shape": [-64]}, {"dtype": "Q9"}):
            header = json.loads(whole[8 : 8 + size])
            header["bert.pooler.dense.bias"] |= lie
            text = json.dumps(header).encode()
            weights.write_bytes(struct.pack("<Q", len(text)) + text + whole[8 + size :])
            self.fails(4, "model.safetensors", "tensor 'bert.")
        weights.write_bytes(whole[:8] + b"{" * size + whole[8 + size :])
        self.fails(4, "model.safetensors", "header")

    def test_adapter_files(self):
        config = self.adapter() / "adapter_config.json"
        whole = json.loads(config.read_text())
        for wrong, part in (({"r": 0}, "r 0"), ({"r": "eight"}, "r eight"), ({"lora_dropout": 1.5}, "lora_dropout 1.5"),
                            ({"target_modules": ["querry"]}, "querry"), ({"peft_type": "LORE"}, "LORA")):
            config.write_text(json.dumps(whole | wrong))
            self.fails(4, "adapter_config.json", part, more=("--adapter_name_or_path", config.parent))
        config.write_text(json.dumps(whole | {"r": 4}))
        self.fails(4, "query.lora_A.weight", "[8, 64]", "[4, 64]", more=("--adapter_name_or_path", config.parent))
        config.write_text("{")
        self.fails(4, "adapter_config.json", more=("--adapter_name_or_path", config.parent))

    def test_usage(self):
        self.fails(2, "learning_rate", more=("--learning_rat", "1"))
        self.fails(2, "--r", more=("--r", "0"))
        self.fails(2, "lora_dropout", more=("--lora_dropout", "1.5"))
        self.fails(2, "querry", "query", more=("--target_modules", "querry"))
        self.fails(2, "no module matched", more=("--target_modules", ".*[.]nothing"))
        self.fails(2, "multiple", more=("--global_batch_size", "9"))


if __name__ == "__main__":
    unittest.main()
