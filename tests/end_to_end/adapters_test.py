"""Several adapters on one base: rows that name one, of any method, get the bytes that it gives them alone, at 1 and 2 ranks."""

import json
import pathlib
import shutil
import tempfile
import unittest

import support
from generate_test import make_gguf

TOKENS = ("--num_virtual_tokens", 3)
METHODS = {
    "lora": ("LORA", "--r", 4),
    "other": ("LORA", "--r", 2, "--seed", 7),
    "ia3": ("IA3",),
    "vera": ("VERA", "--r", 16),
    "adalora": ("ADALORA", "--init_r", 4, "--target_r", 2, "--tinit", 1, "--tfinal", 1),
    "bottleneck": ("BOTTLENECK",),
    "prompt": ("PROMPT_TUNING", *TOKENS),
    "prefix": ("PREFIX_TUNING", *TOKENS),
    "p-tuning": ("P_TUNING", *TOKENS, "--encoder_hidden_size", 8),
}
ROWS = 3  # of each


class Adapters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        texts = cls.folder / "texts.jsonl"
        texts.write_text("".join(json.dumps({"text": f"hello {number} world"}) + "\n" for number in range(8)))
        cls.writer = cls.trained("writer", make_gguf(cls.folder / "tiny.gguf"), "CAUSAL_LM", texts)
        cls.judge = cls.trained("judge", support.make_model(cls.folder / "bert"), "SEQ_CLS", support.make_rows(cls.folder / "train.tsv", 16))

    @classmethod
    def trained(cls, name, model, task, rows):
        """An adapter of each method. The words of a call with all of them, and with each choice alone."""
        given = ("--model_name_or_path", model, "--task_type", task, "--threads", 1)
        for method, words in METHODS.items():
            support.call("finetune", *given, "--train_file", rows, "--output_dir", cls.folder / f"{name}-{method}", "--max_steps", 3, "--learning_rate",
                         0.1, "--save_strategy", "no", "--report_to", "none", "--peft_type", *words)  # fmt: skip
        folders = {method: cls.folder / f"{name}-{method}" for method in METHODS}
        every = (*given, "--adapter_name_or_path", ",".join(f"{method}={folder}" for method, folder in folders.items()))
        alone = {method: (*given, "--adapter_name_or_path", folder) for method, folder in folders.items()}
        return {"": every} | {choice: (*every, "--active_adapter", choice) for choice in ("none", "lora+other")} | alone

    def files(self, name, choices, *given):
        """A file whose rows name the choices turn by turn, and for each choice one of its rows, which name nothing."""
        rows = [given[number % len(given)] for number in range(len(choices))]
        files = {"": [row | {"adapter": choice} for row, choice in zip(rows, choices)]}
        files |= {choice: [row for row, other in zip(rows, choices) if other == choice] for choice in choices}
        for choice, its in files.items():
            files[choice] = self.folder / f"{name}-{choice or 'all'}.jsonl"
            files[choice].write_text("".join(json.dumps(row) + "\n" for row in its))
        return files

    def same_lines(self, choices, run):
        """run(choice, ranks): the lines that come of the choice's rows alone; of all rows, where it is ''."""
        turns = {choice: iter(run(choice, 1)) for choice in dict.fromkeys(choices)}
        wanted = [next(turns[choice]) for choice in choices]
        self.assertTrue(all(next(turn, None) is None for turn in turns.values()))
        for ranks in (1, 2):
            self.assertEqual(wanted, run("", ranks), f"{ranks} ranks")

    def test_generated_rows(self):
        choices = [*METHODS, "none", "lora+other"] * ROWS
        files = self.files("prompts", choices, {"prompt": "hello world"})
        for more in ((), ("--num_beams", 2)):
            made = {}

            def run(choice, ranks):
                made[choice] = support.call("generate", *self.writer[choice], "--prompt_file", files[choice], "--max_new_tokens", 6, "--ignore_eos",
                                            "--per_device_eval_batch_size", 2, *more, ranks=ranks).stdout  # fmt: skip
                return made[choice].splitlines()

            self.same_lines(choices, run)
            self.assertEqual(len(made), len(set(made.values())), "adapters that write the same")

    def check_evaluated(self, given, choices, files):
        said = {}

        def run(choice, ranks):
            output = self.folder / "predictions.jsonl"
            done = support.call("evaluate", *given[choice], "--validation_file", files[choice], "--predictions_file", output,
                                "--per_device_eval_batch_size", 2, ranks=ranks)  # fmt: skip
            said.setdefault(choice, []).append(json.loads(done.stdout))
            return output.read_text().splitlines()

        self.same_lines(choices, run)
        whole, parts = said.pop(""), [values for (values,) in said.values()]
        self.assertEqual(len(parts), len({values["eval_loss"] for values in parts}), "adapters that judge the same")
        for values in whole:
            self.assertEqual(len(choices), values["eval_samples"])
            for name in {"eval_loss", "eval_accuracy"} & {*values}:  # as many targets of each adapter
                self.assertAlmostEqual(sum(part[name] for part in parts) / len(parts), values[name], delta=1e-9)
            self.assertEqual(whole[0]["eval_loss"], values["eval_loss"])

    def test_evaluated_classes(self):
        choices = [*METHODS, "none"] * ROWS
        files = self.files("classes", choices, *({"text": text, "label": "yes"} for text in ("river stone", "cloud", "letter signal river garden")))
        self.check_evaluated(self.judge, choices, files)

    def test_evaluated_completions(self):
        choices = [*METHODS, "none", "lora+other"] * ROWS
        files = self.files("completions", choices, {"prompt": "hello", "completion": " world"})
        self.check_evaluated(self.writer, choices, files)

    def test_what_a_row_cannot_have_is_an_error_of_the_row(self):
        text, labelled = {"text": "he"}, {"text": "river", "label": "yes"}
        for verb, given, option, row in (("generate", self.writer[""], "--prompt_file", text), ("evaluate", self.writer[""], "--validation_file", text),
                                         ("evaluate", self.judge[""], "--validation_file", labelled)):  # fmt: skip
            file = self.folder / "wrong.jsonl"
            for adapter, why in ("lara", ": there is no adapter 'lara' (did you mean lora?)"), ("lora+lora", ": the adapter 'lora' is named twice"), (7, " is 7"):
                file.write_text(json.dumps(row) + "\n" + json.dumps(row | {"adapter": adapter}) + "\n")
                for ranks in (1, 2):
                    said = support.call(verb, *given, option, file, code=3, ranks=ranks).stderr
                    self.assertEqual(1, said.count(f"{file}:2: column 'adapter'{why}"), said)

    def test_adapters_of_other_methods_do_not_act_together(self):
        file = self.folder / "stacked.jsonl"
        for adapter in METHODS.keys() - {"lora", "other"}:
            file.write_text(json.dumps({"text": "he", "adapter": ["lora", adapter]}) + "\n")
            said = support.call("generate", *self.writer[""], "--prompt_file", file, code=3).stderr
            self.assertIn(f"{file}:1: column 'adapter': the adapter '{adapter}' ({METHODS[adapter][0]}) cannot act together with another", said)


if __name__ == "__main__":
    unittest.main()
