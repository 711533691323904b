"""Regression (one label) and predictions: what is written and printed agrees with arithmetic done here."""

import json
import pathlib
import random
import shutil
import tempfile
import unittest

import support


class Regression(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        cls.model = support.make_model(cls.folder / "model")
        source = random.Random(5)
        texts = [[source.choice(support.WORDS) for _ in range(source.randint(1, 12))] for _ in range(80)]
        cls.rows = [{"text": " ".join(words), "label": words.count("river") - 0.25 * words.count("stone")} for words in texts]
        cls.train = cls.write("train.jsonl", cls.rows[:60])
        cls.held_out = cls.write("held_out.jsonl", cls.rows[60:])
        cls.output = cls.folder / "out"
        support.call("finetune", "--model_name_or_path", cls.model, "--train_file", cls.train, "--validation_file", cls.held_out, "--output_dir",
                     cls.output, "--num_labels", 1, "--max_steps", 20, "--global_batch_size", 16, "--learning_rate", 0.01, "--eval_strategy",
                     "steps", "--eval_steps", 10, "--save_steps", 10, "--load_best_model_at_end", "--metric_for_best_model", "mse",
                     "--greater_is_better", "false", ranks=2)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def write(cls, name, rows):
        (cls.folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return cls.folder / name

    def evaluate(self, file, *more, ranks=1):
        predictions = self.folder / f"predictions-{ranks}.jsonl"
        done = support.call("evaluate", *(more or ("--model_name_or_path", self.model, "--adapter_name_or_path", self.output)),
                            "--validation_file", file, "--predictions_file", predictions, ranks=ranks)
        return json.loads(done.stdout), [json.loads(line) for line in predictions.read_text().splitlines()]

    def test_the_loss_is_the_mean_squared_error(self):
        result, predictions = self.evaluate(self.held_out)
        wanted = [row["label"] for row in self.rows[60:]]
        mean = sum((line["prediction"] - label) ** 2 for line, label in zip(predictions, wanted, strict=True)) / len(wanted)
        self.assertAlmostEqual(mean, result["eval_loss"], delta=1e-6 * mean)
        self.assertEqual(result["eval_loss"], result["eval_mse"])
        self.assertNotIn("eval_accuracy", result)
        middle = sum(wanted) / len(wanted)
        self.assertLess(mean, sum((label - middle) ** 2 for label in wanted) / len(wanted), "no better than the mean of the labels")
        best = min(line["eval_mse"] for line in support.lines_of(self.output) if "eval_mse" in line)
        self.assertAlmostEqual(best, result["eval_mse"], delta=1e-6 * mean)

    def test_rows_without_labels_get_the_same_predictions(self):
        _, wanted = self.evaluate(self.held_out)
        bare = self.write("bare.jsonl", [{"text": row["text"]} for row in self.rows[60:]])
        for ranks in (1, 2):
            result, predictions = self.evaluate(bare, ranks=ranks)
            self.assertEqual(wanted, predictions)
            self.assertEqual({"eval_samples", "eval_tokens", "eval_runtime", "eval_samples_per_second"}, set(result))
        text = support.call("evaluate", "--model_name_or_path", self.model, "--adapter_name_or_path", self.output, "--validation_file", bare,
                            code=3).stderr
        self.assertIn("bare.jsonl:1: no column 'label'", text)

    def test_the_merged_model_predicts_the_same(self):
        merged = self.folder / "merged"
        support.call("merge", "--model_name_or_path", self.model, "--adapter_name_or_path", self.output, "--output_dir", merged)
        _, wanted = self.evaluate(self.held_out)
        _, got = self.evaluate(self.held_out, "--model_name_or_path", merged)
        for one, other in zip(wanted, got, strict=True):
            self.assertAlmostEqual(one["prediction"], other["prediction"], delta=1e-4)

    def test_a_label_that_is_no_number(self):
        rows = self.write("words.jsonl", [*self.rows[:3], {"text": "stone", "label": "good"}])
        text = support.call("finetune", "--model_name_or_path", self.model, "--train_file", rows, "--output_dir", self.folder / "words",
                            "--num_labels", 1, ranks=2, code=3).stderr
        self.assertIn("words.jsonl:4", text)
        self.assertIn("number", text)


if __name__ == "__main__":
    unittest.main()
