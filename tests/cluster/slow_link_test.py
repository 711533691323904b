"""Two hosts with a slow link between them: its rate and delay hold, and training over it gives the bytes of one host."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

FOLDER = pathlib.Path(__file__).resolve().parent.parent
sys.path += [str(FOLDER / "support"), str(FOLDER / "end_to_end")]

import hosts
import support

@unittest.skipIf(hosts.missing_for_links(), hosts.missing_for_links())
class SlowLink(unittest.TestCase):
    def test_its_rate_and_delay(self):
        for bits_per_second, delay in ((1e9, 0.001), (1e8, 0.005)):
            with self.subTest(bits_per_second=bits_per_second, delay=delay), hosts.Hosts(2) as network:
                network.link(0, 1, bits_per_second, delay)
                size, tries = int(bits_per_second / 8 / 5), 5
                took = network.round_trips([0] * tries + [size] * tries)
                self.assertGreater(min(took), 2 * delay)
                self.assertLess(min(took[:tries]), 2 * delay + 0.001)
                least = 2 * delay + 8 * size / bits_per_second
                self.assertGreater(min(took[tries:]), least)
                self.assertLess(min(took[tries:]), 1.1 * least)

    def test_the_same_bits_as_on_one_host(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        self.addCleanup(shutil.rmtree, folder)
        options = (support.BINARY, "finetune", "--model_name_or_path", support.make_model(folder / "model"), "--train_file",
                   support.make_rows(folder / "train.tsv", 97), "--per_device_train_batch_size", 3, "--global_batch_size", 15,
                   "--max_steps", 12, "--threads", 1, "--output_dir")
        support.call(*options[1:], folder / "one")
        with hosts.Hosts(2) as network:
            network.link(0, 1, 1e9, 0.001)
            network.cut(1)  # nothing goes another way
            subprocess.run(network.mpirun([1, 1], *options, folder / "two"), env=support.ENVIRONMENT, check=True, capture_output=True, timeout=120)
        self.assertEqual(*(support.digest(folder / name / "adapter_model.safetensors") for name in ("one", "two")))


if __name__ == "__main__":
    unittest.main()
