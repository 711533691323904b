"""convert: an adapter folder to GGUF and back, and a checkpoint's state.h5 to the folder that training wrote."""

import json
import pathlib
import shutil
import tempfile
import unittest

import support

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "hub" / "gguf"


class Convert(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))

    def tearDown(self):
        shutil.rmtree(self.folder)

    def convert(self, adapter, output, *more, code=0, ranks=1):
        return support.call("convert", "--adapter_name_or_path", adapter, "--output", output, *more, code=code, ranks=ranks)

    def test_a_gguf_file_and_back(self):
        base = ("--model_name_or_path", GOLDEN / "llama.gguf")
        self.convert(GOLDEN / "lora", self.folder / "new" / "a.gguf", *base, ranks=2)
        self.convert(self.folder / "new" / "a.gguf", self.folder / "back", *base)
        original, back = (support.digest(folder / "adapter_model.safetensors") for folder in (GOLDEN / "lora", self.folder / "back"))
        self.assertEqual(original, back)
        config = json.loads((self.folder / "back" / "adapter_config.json").read_text())
        self.assertEqual(str(GOLDEN / "llama.gguf"), config["base_model_name_or_path"])
        self.assertEqual((2, 6, {"model.layers.0.mlp.down_proj": 3}), (config["r"], config["lora_alpha"], config["rank_pattern"]))

    def test_a_checkpoint(self):
        model = support.make_model(self.folder / "model")
        rows = support.make_rows(self.folder / "train.tsv", 16)
        support.call("finetune", "--model_name_or_path", model, "--train_file", rows, "--output_dir", self.folder / "out",
                     "--max_steps", 1, "--save_steps", 1, "--learning_rate", 0.01, "--threads", 1)
        checkpoint = self.folder / "out" / "checkpoint-1"
        self.convert(checkpoint, self.folder / "made")
        for name in ("adapter_model.safetensors", "adapter_config.json", "README.md", "labels.json"):
            self.assertEqual(support.digest(checkpoint / name), support.digest(self.folder / "made" / name), name)
        numbers = (checkpoint / "adapter_model.safetensors").read_bytes()[-16:]
        whole = (checkpoint / "state.h5").read_bytes()
        self.assertEqual(1, whole.count(numbers))
        (checkpoint / "state.h5").write_bytes(whole.replace(numbers, numbers[::-1]))
        self.assertRegex(self.convert(checkpoint, self.folder / "none", code=4).stderr, "state.h5: not whole")
        self.assertFalse((self.folder / "none").exists())

    def test_refusals(self):
        self.assertIn("--output must be given", self.convert(GOLDEN / "lora", "", code=2).stderr)
        self.assertIn("does not name its base", self.convert(GOLDEN / "lora.gguf", self.folder / "x", code=2).stderr)
        self.assertIn("must end in .gguf", self.convert(GOLDEN / "lora", self.folder / "x", code=2).stderr)
        wrong = self.convert(GOLDEN / "lora.gguf", self.folder / "x", "--model_name_or_path", GOLDEN / "qwen2.gguf", code=4)
        self.assertIn("'general.architecture' is 'llama', not 'qwen2'", wrong.stderr)


if __name__ == "__main__":
    unittest.main()
