"""merge: what lies around the weights goes on living in the merged folder."""

import json
import pathlib
import shutil
import tempfile
import unittest

import support
from generate_test import CONTEXT, TEMPLATE, make_gguf


class Merge(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def merged(self, base, name):
        rows = self.folder / "rows.txt"
        rows.write_text("hello world\n" * 8)
        given, adapter, to = ["--model_name_or_path", base, "--task_type", "CAUSAL_LM"], self.folder / f"{name}-adapter", self.folder / name
        support.call("finetune", *given, "--train_file", rows, "--output_dir", adapter, "--max_steps", 1, "--save_strategy", "no")
        support.call("merge", *given, "--adapter_name_or_path", adapter, "--output_dir", to)
        return to

    def chat_ids(self, model):
        done = support.call("generate", "--model_name_or_path", model, "--task_type", "CAUSAL_LM", "--prompt", "hello", "--chat", "--max_new_tokens", 1)
        return json.loads(done.stdout)["input_ids"]

    def test_a_gguf_base_leaves_all_that_transformers_asks_for(self):
        merged = self.merged(make_gguf(self.folder / "tiny.gguf"), "merged")
        self.assertEqual({"_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2}, json.loads((merged / "generation_config.json").read_text()))
        config = json.loads((merged / "tokenizer_config.json").read_text())
        self.assertEqual((CONTEXT, ["input_ids", "attention_mask"], TEMPLATE), tuple(config[name] for name in ("model_max_length", "model_input_names", "chat_template")))

    def test_the_merged_model_has_lost_its_chat_template(self):
        file = make_gguf(self.folder / "tiny.gguf")
        base = self.merged(file, "base")
        config = json.loads((base / "tokenizer_config.json").read_text())
        (base / "chat_template.jinja").write_text(config.pop("chat_template"))
        (base / "tokenizer_config.json").write_text(json.dumps(config))
        (base / "generation_config.json").write_text('{"eos_token_id": [2, 7]}')
        merged = self.merged(base, "merged")
        for name in ("chat_template.jinja", "generation_config.json"):
            self.assertEqual((base / name).read_bytes(), (merged / name).read_bytes(), name)
        self.assertEqual(self.chat_ids(file), self.chat_ids(merged))


if __name__ == "__main__":
    unittest.main()
