"""--backend on a pretended GPU and NCCL (tests/distributed/comm): one device a host, collectives of one rank."""

import pathlib
import shutil
import tempfile
import unittest

import support

PRETENDED = pathlib.Path(support.BINARY).parent / "tests" / "fake"


@unittest.skipUnless(PRETENDED.is_dir(), "built without NCCL")
class Backend(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        self.model = support.make_model(self.folder / "model")
        self.rows = support.make_rows(self.folder / "train.tsv", 40)

    def tearDown(self):
        shutil.rmtree(self.folder)

    def train(self, name, *more, ranks=1, code=0):
        libraries = {"LD_PRELOAD": ":".join(map(str, PRETENDED.glob("lib*.so.[0-9]*")))}
        words = ("finetune", "--model_name_or_path", self.model, "--train_file", self.rows, "--output_dir", self.folder / name, "--max_steps", 3,
                 "--global_batch_size", 16, "--threads", 1, *more)
        return support.call(*words, ranks=ranks, code=code, environment=libraries).stderr

    def digest(self, name):
        return support.digest(self.folder / name / "adapter_model.safetensors")

    def test_one_rank_through_nccl_has_the_same_bits(self):
        self.assertIn("backend: nccl (every rank has a GPU of its own)", self.train("nccl", "--backend", "nccl", "--check_steps", 1))
        self.assertNotIn("backend:", self.train("alone"))
        self.assertEqual(self.digest("alone"), self.digest("nccl"))

    def test_two_ranks_on_one_gpu(self):
        text = self.train("two", "--backend", "nccl", ranks=2, code=2)
        self.assertIn("--backend nccl: ranks 0 and 1 on host", text)
        self.assertIn("share one GPU (0000:01:00.0)", text)
        self.assertEqual(1, text.count("error: "), text)
        self.assertIn("backend: mpi (ranks 0 and 1 on host", self.train("auto", ranks=2))

    def test_without_a_gpu(self):
        text = support.call("finetune", "--model_name_or_path", self.model, "--train_file", self.rows, "--output_dir", self.folder / "none",
                            "--backend", "nccl", ranks=2, code=2, environment={"CUDA_VISIBLE_DEVICES": ""}).stderr
        self.assertIn("--backend nccl: rank 0 on host", text)


if __name__ == "__main__":
    unittest.main()
