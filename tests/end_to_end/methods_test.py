"""Every method: a run that was stopped and went on at another rank count ends with the bytes of the undisturbed one."""

import json
import pathlib
import random
import re
import shutil
import signal
import tempfile
import time
import unittest

import support
from generate_test import make_gguf

METHODS = {
    "lora, patterns and biases": ["LORA", "--rank_pattern", '{"query": 2}', "--bias", "all", "--lora_dropout", 0.1],
    "dora": ["LORA", "--use_dora", "--lora_dropout", 0.1],
    "lora on words": ["LORA", "--target_modules", "word_embeddings,query"],
    "lora with tokens": ["LORA", "--trainable_token_indices", "5,9,11"],
    "pissa": ["LORA", "--r", 4, "--init_lora_weights", "pissa"],
    "olora": ["LORA", "--r", 4, "--init_lora_weights", "olora"],
    "ia3": ["IA3"],
    "vera": ["VERA", "--r", 16, "--vera_dropout", 0.1],
    "adalora": ["ADALORA", "--init_r", 4, "--target_r", 2, "--tinit", 2, "--tfinal", 3],
    "houlsby, gated": ["BOTTLENECK", "--adapter_config", "houlsby[use_gating=True, scaling=learned, ln_after=True, dropout=0.1]"],
    "parallel": ["BOTTLENECK", "--adapter_config", "parallel"],
    "prompt tuning": ["PROMPT_TUNING", "--num_virtual_tokens", 4],
    "prefix tuning, projected": ["PREFIX_TUNING", "--num_virtual_tokens", 4, "--prefix_projection", "--encoder_hidden_size", 8],
    "p-tuning": ["P_TUNING", "--num_virtual_tokens", 4, "--encoder_hidden_size", 8],
    "p-tuning, lstm": ["P_TUNING", "--num_virtual_tokens", 4, "--encoder_hidden_size", 8, "--encoder_reparameterization_type", "LSTM"],
}


class Methods(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        cls.model = support.make_model(cls.folder / "model")
        cls.rows = support.make_rows(cls.folder / "train.tsv", 60)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def options(self, output, method, rows, rate=0.01):
        return ("finetune", "--model_name_or_path", self.model, "--train_file", rows, "--output_dir", output, "--peft_type", *method,
                "--per_device_train_batch_size", 3, "--global_batch_size", 15, "--num_train_epochs", 4, "--learning_rate", rate,
                "--save_steps", 5, "--logging_steps", 1, "--threads", 1)  # fmt: skip

    def test_every_method_is_here(self):
        listed = re.search(r"--peft_type .*?one of (.*?)\[", support.call("finetune", "--help").stdout, re.S).group(1)
        self.assertEqual({method[0] for method in METHODS.values()}, set(re.findall(r"\w+", listed)))

    def check_resumed(self, name, *run):
        """A run with a method, rows and a learning rate: stopped on 2 ranks and resumed on 3, it has the bytes of one. Returns the folder of the whole run."""
        whole, parts = self.folder / f"{name} whole", self.folder / f"{name} in parts"
        support.call(*self.options(whole, *run))
        process = support.start(*self.options(parts, *run), ranks=2)
        deadline = time.monotonic() + 60
        while process.poll() is None and not ((parts / "metrics.jsonl").exists() and len(support.lines_of(parts)) > 2):
            self.assertLess(time.monotonic(), deadline, "no line came")
            time.sleep(0.002)
        process.send_signal(signal.SIGUSR1)
        said = process.stderr.read()
        self.assertEqual(75, process.wait(60), said)
        process.stderr.close()
        self.assertIn("going on after update", support.call(*self.options(parts, *run), ranks=3).stderr)
        support.call("convert", "--adapter_name_or_path", max(parts.glob("checkpoint-*"), key=lambda folder: int(folder.name[11:])), "--output", parts / "converted")
        files = sorted(file.name for file in whole.glob("*.safetensors")) + ["adapter_config.json"]
        self.assertGreater(len(files), 1)
        for file in files:
            for other in (parts, parts / "converted"):
                self.assertEqual(support.digest(whole / file), support.digest(other / file), f"{other.name}/{file}")
        return whole

    def test_a_resumed_run_has_the_bytes_of_the_undisturbed_one(self):
        for name, method in METHODS.items():
            with self.subTest(name):
                self.check_resumed(name, method, self.rows)

    def test_a_checkpoint_holds_no_head_that_does_not_train(self):
        base, head = make_gguf(self.folder / "tiny.gguf"), {"head_config.json", "model_head.safetensors"}
        texts = self.folder / "texts.jsonl"
        texts.write_text("".join(json.dumps({"text": f"hello {number} world"}) + "\n" for number in range(8)))
        names = lambda folder: {file.name for file in folder.iterdir()} & head

        def train(output):
            return support.call("finetune", "--model_name_or_path", base, "--task_type", "CAUSAL_LM", "--train_file", texts, "--output_dir", output,
                         "--peft_type", "BOTTLENECK", "--learning_rate", 0.01, "--max_steps", 3, "--save_steps", 1, "--threads", 1).stderr  # fmt: skip

        def loss(adapter):
            said = support.call("evaluate", "--model_name_or_path", base, "--adapter_name_or_path", adapter, "--validation_file", texts, "--threads", 1)
            return json.loads(said.stdout)["eval_loss"]

        whole = self.folder / "writer"
        train(whole)
        self.assertEqual((head, set()), (names(whole), names(whole / "checkpoint-3")))
        self.assertEqual(loss(whole), loss(whole / "checkpoint-3"))
        self.assertNotEqual(loss(whole), loss(whole / "checkpoint-2"))
        for resumed, held in ((self.folder / "new", ()), (self.folder / "old", head)):  # older checkpoints held the head
            checkpoint = shutil.copytree(whole / "checkpoint-2", resumed / "checkpoint-2")
            for file in held:
                shutil.copy(whole / file, checkpoint / file)
            self.assertEqual(loss(whole / "checkpoint-2"), loss(checkpoint))
            self.assertIn("going on after update 2", train(resumed))
            for file in ("adapter.safetensors", "adapter_config.json", *head):
                self.assertEqual(support.digest(whole / file), support.digest(resumed / file), f"{resumed.name}: {file}")
        judge = self.folder / "judge"
        support.call(*self.options(judge, ["BOTTLENECK"], self.rows))
        self.assertEqual(head, names(judge / "checkpoint-5"), "which trains")

    def test_questions_behind_virtual_tokens(self):
        texts, ids = self.questions()
        for name in ("prompt tuning", "p-tuning"):
            with self.subTest(name):
                whole = self.check_resumed(f"{name} of questions", [*METHODS[name], "--task_type", "QUESTION_ANS", "--model_dropout", 0], texts, 0.1)
                losses = [line["loss"] for line in support.lines_of(whole) if "loss" in line]
                self.assertLess(losses[-1], 0.95 * losses[0])
                judged = []
                for file, ranks in ((texts, 1), (texts, 3), (ids, 1)):
                    said = support.call("evaluate", "--model_name_or_path", self.model, "--adapter_name_or_path", whole, "--validation_file", file,
                                        "--predictions_file", self.folder / "said", "--threads", 1, ranks=ranks)  # fmt: skip
                    judged.append((json.loads(said.stdout)["eval_loss"], (self.folder / "said").read_bytes()))
                self.assertEqual(judged[0], judged[1])
                self.assertEqual(judged[0][0], judged[2][0], "places are counted in the text")

    def questions(self):
        """Questions of text, and the same as ids: "[CLS] question [SEP] context [SEP]". The answer is the river."""
        source, numbers = random.Random(5), {word: number for number, word in enumerate((self.model / "vocab.txt").read_text().split())}
        rows = [], []
        for _ in range(60):
            context = source.sample(["river", *source.sample(support.WORDS[1:], 8)], 9)
            answer, text = "river", " ".join(context)
            place = 3 + context.index(answer)
            rows[0].append({"question": context[0], "context": text, "answers": {"text": [answer], "answer_start": [text.index(answer)]}})
            rows[1].append({"input_ids": [numbers[word] for word in ("[CLS]", context[0], "[SEP]", *context, "[SEP]")],
                            "token_type_ids": [0] * 3 + [1] * 10, "start_positions": place, "end_positions": place})  # fmt: skip
        files = self.folder / "questions.jsonl", self.folder / "questions of ids.jsonl"
        for file, its in zip(files, rows):
            file.write_text("".join(json.dumps(row) + "\n" for row in its))
        return files


if __name__ == "__main__":
    unittest.main()
