"""What `inspect` foretells from config.json alone, whatever names a family's config has for its sizes."""

import json
import pathlib
import shutil
import tempfile
import unittest

import support

CONFIGS = {  # config, its task, and Σ (in + out) of the linears that one token passes
    "gpt2": (dict(model_type="gpt2", vocab_size=100, n_embd=32, n_layer=3, n_head=4, n_positions=64), "CAUSAL_LM",
             3 * ((32 + 96) + (32 + 32) + (32 + 128) + (128 + 32))),
    "t5": (dict(model_type="t5", vocab_size=100, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4), "SEQ_2_SEQ_LM",
           (2 * (12 * (32 + 32) + 2 * (32 + 64) + 2 * (64 + 32))) // 2),
}  # fmt: skip


class Inspect(unittest.TestCase):
    def test_activations_are_counted_for_every_family(self):
        for name, (config, task, kept) in CONFIGS.items():
            with self.subTest(name):
                folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
                self.addCleanup(shutil.rmtree, folder)
                (folder / "config.json").write_text(json.dumps(config))
                done = support.call("inspect", "--model_name_or_path", folder, "--task_type", task, "--per_device_train_batch_size", 2,
                                    "--max_length", 16, "--json")  # fmt: skip
                self.assertEqual(2 * 16 * kept * 4, json.loads(done.stdout)["activation_bytes_per_rank"])


if __name__ == "__main__":
    unittest.main()
