"""prepare: a token store takes the place of its text, whatever the rank count and however often it was interrupted; a damaged or another's store is refused."""

import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import zlib

import support

ROWS = 150_000  # three parts


def ids_at(part, tokens):
    """Where the compressed chunk of so many ids begins."""
    for at in range(len(part)):
        if part[at] == 0x78:  # as zlib's streams begin
            try:
                if len(zlib.decompressobj().decompress(part[at:])) == 4 * tokens:
                    return at
            except zlib.error:
                pass
    raise AssertionError("no ids in the part")


def write_questions(file, count, words):
    """Contexts of up to so many words, of which up to three are the answer."""
    source, lines = random.Random(3), []
    for _ in range(count):
        context = [source.choice(support.WORDS) for _ in range(source.randint(1, words))]
        first = source.randrange(len(context))
        answer = " ".join(context[first : first + source.randint(1, 3)])
        begin = len(" ".join(context[:first])) + (first > 0)
        lines.append(json.dumps({"question": source.choice(support.WORDS), "context": " ".join(context),
                                 "answers": {"text": [answer], "answer_start": [begin]}}))
    file.write_text("\n".join(lines) + "\n")


class Prepare(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        cls.model = support.make_model(cls.folder / "model")
        cls.rows = support.make_rows(cls.folder / "train.tsv", 90)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def prepare(self, rows, output, *more, ranks=1, code=0):
        done = support.call("prepare", "--model_name_or_path", self.model, "--train_file", rows, "--output_file", output, *more, ranks=ranks, code=code)
        return json.loads(done.stdout) if code == 0 else done.stderr

    def train(self, rows, name, *more, code=0, ranks=1):
        done = support.call("finetune", "--model_name_or_path", self.model, "--train_file", rows, "--output_dir", self.folder / name, "--max_steps", 6,
                            "--global_batch_size", 16, "--learning_rate", 0.01, "--threads", 1, "--save_strategy", "no", *more, ranks=ranks, code=code)
        return done.stderr if code else support.digest(self.folder / name / "adapter_model.safetensors")

    def test_trains_to_the_bytes_of_the_text(self):
        store = self.folder / "train.h5"
        said = self.prepare(self.rows, store, ranks=2)
        self.assertEqual(90, said["rows"])
        self.assertEqual(self.train(self.rows, "by_text"), self.train(store, "by_store", ranks=2))
        judged = [json.loads(support.call("evaluate", "--model_name_or_path", self.model, "--adapter_name_or_path", self.folder / "by_text",
                                          "--validation_file", file).stdout) for file in (self.rows, store)]
        for name in ("eval_loss", "eval_accuracy", "eval_samples", "eval_tokens"):
            self.assertEqual(judged[0][name], judged[1][name], name)

    def test_a_store_of_other_settings_is_refused(self):
        store = self.folder / "short.h5"
        self.prepare(self.rows, store, "--max_length", 8)
        self.assertRegex(self.train(store, "refused", "--max_length", 16, code=3), "short.h5: was prepared with max_length '8', the run has '16'")
        self.assertRegex(self.train(store, "refused", "--num_labels", 1, code=3), "short.h5: was prepared with regression 'false'")
        other = support.make_model(self.folder / "other")
        words = (other / "vocab.txt").read_text().splitlines()
        (other / "vocab.txt").write_text("\n".join(words[:5] + words[:4:-1]) + "\n")
        self.assertRegex(support.call("evaluate", "--model_name_or_path", other, "--validation_file", store, code=3).stderr, "was prepared with tokenizer '")

    def test_damage_is_named(self):
        store = self.folder / "damaged.h5"
        tokens = self.prepare(self.rows, store)["tokens"]
        part = store.with_suffix(".h5.parts") / "000000.h5"
        whole = part.read_bytes()
        at = ids_at(whole, tokens)
        part.write_bytes(whole[: at + 9] + bytes([whole[at + 9] ^ 1]) + whole[at + 10 :])
        self.assertRegex(self.train(store, "damaged", code=3), "damaged.h5.parts/000000.h5: ")
        part.unlink()
        self.assertRegex(self.train(store, "damaged", code=3), "damaged.h5.parts/000000.h5: ")
        store.write_bytes(b"x" * 5000)
        self.assertRegex(self.train(store, "damaged", code=3), "damaged.h5: no token store, or damaged")

    def test_goes_on_where_it_was_interrupted(self):
        rows = self.folder / "many.tsv"
        rows.write_text("label\ttext\n" + "".join(f"{i % 2}\t{support.WORDS[i % 13]} {support.WORDS[i % 7]}\n" for i in range(ROWS)))
        undisturbed, store = self.folder / "undisturbed.h5", self.folder / "interrupted.h5"
        said = self.prepare(rows, undisturbed)
        self.assertEqual((ROWS, 3, 0), (said["rows"], said["parts"], said["kept_parts"]))
        first = self.folder / "interrupted.h5.parts" / "000000.h5"
        command = [support.BINARY, "prepare", "--model_name_or_path", self.model, "--train_file", rows, "--output_file", store]
        with subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 120
            while not first.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
        self.assertTrue(first.exists())
        self.assertGreaterEqual(self.prepare(rows, store, ranks=2)["kept_parts"], 1)
        for number in range(3):
            name = f"{number:06}.h5"
            self.assertEqual(support.digest(undisturbed.with_suffix(".h5.parts") / name), support.digest(store.with_suffix(".h5.parts") / name), name)

    def test_a_stop_is_heeded_while_rows_are_tokenised(self):
        rows = self.folder / "long.tsv"
        rows.write_text("label\ttext\n" + "".join(f"{i % 2}\t{support.WORDS[i % 13]} {support.WORDS[i % 7]}\n" for i in range(ROWS)))
        undisturbed, store = self.folder / "unstopped.h5", self.folder / "stopped.h5"
        self.prepare(rows, undisturbed)
        process = support.start("prepare", "--model_name_or_path", self.model, "--train_file", rows, "--output_file", store, ranks=2)
        deadline = time.monotonic() + 120
        while not list(store.parent.glob("stopped.h5.parts/0*.h5")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(signal.SIGUSR1)
        said = process.communicate(timeout=60)[1]
        self.assertEqual(75, process.returncode, said)
        self.assertIn("stopped while", said)
        self.assertFalse(store.exists())
        self.assertGreaterEqual(self.prepare(rows, store, ranks=3)["kept_parts"], 1)
        for number in range(3):
            name = f"{number:06}.h5"
            self.assertEqual(support.digest(undisturbed.with_suffix(".h5.parts") / name), support.digest(store.with_suffix(".h5.parts") / name), name)

    def test_a_training_stops_while_it_tokenises(self):
        """Rows come through a pipe, so that it is known to wait for more of them."""
        pipe, output = self.folder / "pipe.tsv", self.folder / "not-begun"
        os.mkfifo(pipe)
        process = support.start("finetune", "--model_name_or_path", self.model, "--train_file", pipe, "--output_dir", output)
        with open(pipe, "w") as rows:
            rows.write("label\ttext\n" + "0\triver\n1\tstone\n" * 50000)  # more than a pipe holds
            rows.flush()
            process.send_signal(signal.SIGUSR1)
            with contextlib.suppress(BrokenPipeError):
                rows.write("0\triver\n" * 50000)
                rows.flush()
            said = process.communicate(timeout=60)[1]
        self.assertEqual(75, process.returncode, said)
        self.assertRegex(said, "stopped while .*pipe.tsv was tokenised")
        self.assertFalse(list(output.glob("checkpoint*")))

    def answers(self, rows, *more, ranks=1):
        """What evaluate says of questions, without times; the predictions; and what it warns of."""
        predictions = self.folder / "predictions.jsonl"
        done = support.call("evaluate", "--model_name_or_path", self.model, "--task_type", "QUESTION_ANS", "--validation_file", rows,
                            "--predictions_file", predictions, *more, ranks=ranks)
        said = {name: value for name, value in json.loads(done.stdout).items() if name not in ("eval_runtime", "eval_samples_per_second")}
        return said, predictions.read_text(), re.findall("judged by token spans", done.stderr)

    def test_answers_are_judged_by_text_as_those_of_the_text(self):
        rows, store, settings = self.folder / "questions.jsonl", self.folder / "questions.h5", ("--max_length", 24, "--doc_stride", 4)
        write_questions(rows, 600, 50)
        self.assertEqual(600, self.prepare(rows, store, "--task_type", "QUESTION_ANS", *settings, ranks=2)["rows"])
        by_text = self.answers(rows, *settings)
        self.assertGreater(by_text[0]["eval_samples"], 1000)  # windows of 600 rows
        self.assertGreater(by_text[0]["eval_f1"], 0)
        self.assertIn('{"prediction":"', by_text[1])
        for ranks in (1, 2):
            self.assertEqual(by_text, self.answers(store, ranks=ranks), ranks)
        newer = self.folder / "newer.h5"
        newer.write_bytes(store.read_bytes().replace(b'"format":2', b'"format":3'))
        self.assertIn("newer.h5: of format 3", support.call("evaluate", "--model_name_or_path", self.model, "--task_type", "QUESTION_ANS",
                                                            "--validation_file", newer, code=3).stderr)
        # As a store was before it kept questions: attributes are neither compressed nor checked.
        store.write_bytes(store.read_bytes().replace(b'"format":2', b'"formed":2'))
        for ranks in (1, 2):
            said, predictions, warnings = self.answers(store, ranks=ranks)
            self.assertEqual((by_text[0]["eval_loss"], 1), (said["eval_loss"], len(warnings)))
            self.assertNotEqual(by_text[0]["eval_f1"], said["eval_f1"])
            self.assertIn('{"end":', predictions)

    def test_answers_of_several_parts(self):
        rows, store = self.folder / "short_questions.jsonl", self.folder / "short_questions.h5"
        write_questions(rows, 66_000, 3)
        self.assertEqual(2, self.prepare(rows, store, "--task_type", "QUESTION_ANS")["parts"])
        self.assertEqual(*(self.answers(file, "--per_device_eval_batch_size", 256, ranks=2) for file in (rows, store)))

    def test_a_finetune_judges_its_questions_by_text(self):
        rows, store = self.folder / "trained.jsonl", self.folder / "trained.h5"
        write_questions(rows, 40, 10)
        self.prepare(rows, store, "--task_type", "QUESTION_ANS")
        judged = []
        for file in (rows, store):
            output = self.folder / f"judged_{file.suffix[1:]}"
            self.train(file, output.name, "--task_type", "QUESTION_ANS", "--validation_file", file, "--eval_strategy", "steps", "--eval_steps", 3)
            judged.append([(line["eval_loss"], line["eval_f1"], line["eval_exact_match"]) for line in support.lines_of(output) if "eval_f1" in line])
        self.assertGreaterEqual(len(judged[0]), 2)
        self.assertEqual(*judged)

    def test_refusals(self):
        self.assertRegex(self.prepare(self.rows, self.folder / "x.bin", code=2), "must end with .h5")
        broken = self.folder / "broken.jsonl"
        broken.write_text('{"text": "river", "label": 0}\n{"text": "stone", "label": 1}\n{"text"\n')
        self.assertRegex(self.prepare(broken, self.folder / "broken.h5", ranks=2, code=3), "broken.jsonl:3: ")
        self.assertFalse((self.folder / "broken.h5").exists())
        mixed = self.folder / "mixed.jsonl"
        write_questions(mixed, 4, 3)
        with mixed.open("a") as rows:
            rows.write('{"input_ids": [2, 5, 3], "start_positions": 0, "end_positions": 1}\n')
        refused = self.prepare(mixed, self.folder / "mixed.h5", "--task_type", "QUESTION_ANS", ranks=2, code=3)
        self.assertRegex(refused, "mixed.jsonl:5: a row of input_ids among rows of text")


if __name__ == "__main__":
    unittest.main()
