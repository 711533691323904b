"""submit without a Slurm: what the script watches, and words that could not run are refused before they wait in a queue."""

import unittest

import support

MODEL = ("--model_name_or_path", "m")


class Submit(unittest.TestCase):
    def test_the_script_watches_where_the_verb_saves(self):
        for verb, words, folder in (("finetune", ("--output_dir", "out"), "out"), ("sweep", ("--sweep_file", "g.json", "--output_dir", "out"), "out"),
                                    ("scaling", ("--output_dir", "out"), "out"), ("prepare", ("--output_dir", "stores"), "stores"),
                                    ("prepare", ("--output_file", "rows.h5"), "rows.h5.parts")):  # fmt: skip
            script = support.call("submit", verb, *MODEL, "--train_file", "x.tsv", *words).stdout
            self.assertRegex(script, f"\noutput=[^\n]*/?{folder}\n", verb)
        self.assertNotIn("requeue $SLURM_JOB_ID", support.call("submit", "evaluate", *MODEL, "--validation_file", "x.tsv").stdout)

    def test_refusals(self):
        for words, text in ((("finetune", "--output_dir", "out"), "--model_name_or_path must be given"),
                            (("finetune", *MODEL), "--output_dir must be given"), ((), "needs a verb"),
                            (("finetune", *MODEL, "--output_dir", "out", "--learning_rte", 1), "learning_rate"),
                            (("--array", "0-3", "finetune", *MODEL, "--output_dir", "out"), "would all write to out")):  # fmt: skip
            self.assertIn(text, support.call("submit", *words, code=2).stderr)


if __name__ == "__main__":
    unittest.main()
