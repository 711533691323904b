#!/usr/bin/env python3
"""The built program from outside: help, errors, exit codes, alone and under mpirun; and what `cmake --install` makes.

    binary_test.py BINARY MPIRUN CMAKE
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

CMAKE, MPIRUN, BINARY = sys.argv.pop(), sys.argv.pop(), sys.argv.pop()
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("OMPI_COMM", "PMI", "SLURM"))}
ENVIRONMENT |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_NUM_THREADS": "1"}


def run(*words, ranks=0, binary=BINARY, **environment):
    launcher = [MPIRUN, "--oversubscribe", "-n", str(ranks)] if ranks else []
    return subprocess.run(
        [*launcher, binary, *words], env=ENVIRONMENT | environment, capture_output=True, text=True, timeout=100
    )


def verbs():
    listed = run("--help").stdout.split("Verbs:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in listed.splitlines() if line[2:3] != " "]


class Binary(unittest.TestCase):
    def test_help_goes_to_standard_output(self):
        done = run("--help")
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertIn("finetune", verbs())

    def test_without_a_verb_help_goes_to_standard_error(self):
        done = run()
        self.assertEqual((2, ""), (done.returncode, done.stdout))
        self.assertIn("Verbs:", done.stderr)

    def test_every_verb_has_help(self):
        for verb in verbs():
            done = run(verb, "--help")
            self.assertEqual((0, ""), (done.returncode, done.stderr), verb)
            self.assertTrue(done.stdout.startswith(f"rankwise {verb}: "), verb)
            self.assertEqual(verb not in ("collectives", "submit"), "\n  --model_name_or_path" in done.stdout, verb)

    def test_lines_fit(self):
        for verb in verbs():
            for width in (80, 100):
                for line in run(verb, "--help", COLUMNS=str(width)).stdout.splitlines():
                    self.assertLessEqual(len(line), width, line)

    def test_version_names_the_libraries(self):
        done = run("--version", ranks=2)
        self.assertEqual(0, done.returncode)
        names = [line.split()[0] for line in done.stdout.splitlines()]
        self.assertEqual(["rankwise", "LibTorch", "MPI", "HDF5", "ICU", "Boost"], [n for n in names if n != "NCCL"])

    def assert_told_once(self, done, code, text):
        self.assertEqual(code, done.returncode, done.stderr)
        self.assertEqual(1, done.stderr.count("error: "), done.stderr)
        self.assertIn(text, done.stderr)
        self.assertEqual("", done.stdout)

    def test_usage_errors_are_told_once(self):
        for ranks in (0, 2):
            self.assert_told_once(run("finetun", ranks=ranks), 2, "did you mean finetune?")
            self.assert_told_once(run("finetune", "--learning_rat", "1", ranks=ranks), 2, "did you mean --learning_rate?")
            self.assert_told_once(run("finetune", "--r", "0", ranks=ranks), 2, "--r 0: must be at least 1")
            self.assert_told_once(run("finetune", "--config", "/no/such.ini", ranks=ranks), 2, "/no/such.ini")

    def test_mistakes_in_a_config_file_are_told_once(self):
        with tempfile.NamedTemporaryFile("w", suffix=".ini") as config:
            config.write("lora_alpa = 3\n")
            config.flush()
            for ranks in (0, 2):
                done = run("finetune", "--config", config.name, ranks=ranks)
                self.assert_told_once(done, 2, "did you mean --lora_alpha?")

    def test_slurm_tasks_need_pmix(self):
        done = run("finetune", SLURM_STEP_NUM_TASKS="2", SLURM_PROCID="0")
        self.assert_told_once(done, 2, "use srun --mpi=pmix")
        other = run("finetune", SLURM_STEP_NUM_TASKS="2", SLURM_PROCID="1")
        self.assertEqual((2, ""), (other.returncode, other.stderr))

    def test_runs_from_where_it_was_installed_and_moved(self):
        build = pathlib.Path(BINARY).parent
        with tempfile.TemporaryDirectory(dir=build) as scratch:
            first, moved = pathlib.Path(scratch) / "first", pathlib.Path(scratch) / "moved"
            install = [CMAKE, "--install", str(build), "--prefix", str(first)]
            subprocess.run(install, check=True, capture_output=True)
            first.rename(moved)
            installed = str(moved / "bin" / "rankwise")
            self.assertEqual(run("--version").stdout, run("--version", binary=installed).stdout)
            libraries = subprocess.run(["ldd", installed], check=True, capture_output=True, text=True).stdout
            torch = [line for line in libraries.splitlines() if "libtorch_cpu" in line or "libc10" in line]
            self.assertEqual(2, len(torch), libraries)
            for line in torch:
                self.assertIn(f"{moved}/", line)


if __name__ == "__main__":
    unittest.main(argv=["binary_test"])
