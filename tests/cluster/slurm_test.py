"""Jobs that `rankwise submit` makes, under a real Slurm: they are preempted, cut by their time limit or lose their node, and end with the
bytes of a run that nothing disturbed, without anybody's help."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

FOLDER = pathlib.Path(__file__).resolve().parent.parent
sys.path += [str(FOLDER / "support"), str(FOLDER / "end_to_end")]

import slurm
import support

STEPS = 1200


@unittest.skipIf(slurm.missing(), slurm.missing())
class UnderSlurm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.model = support.make_model(cls.folder / "model")
        cls.rows = support.make_rows(cls.folder / "train.tsv", 97)
        support.call(*cls.options("undisturbed"))
        cls.cluster = cls.enterClassContext(slurm.Slurm())

    @classmethod
    def options(cls, name):
        return ("finetune", "--model_name_or_path", cls.model, "--train_file", cls.rows, "--output_dir", cls.folder / name, "--max_steps", STEPS,
                "--per_device_train_batch_size", 3, "--global_batch_size", 15, "--lora_dropout", 0.1, "--logging_steps", 20, "--save_steps", 100,
                "--threads", 1)

    def submit(self, name, *options, ranks=2, words=()):
        words = [support.BINARY, "submit", "--ntasks_per_node", ranks, "--partition", "low", "--output", self.folder / f"{name}.log", *options,
                 *(words or self.options(name))]
        done = subprocess.run(list(map(str, words)), env=self.cluster.environment, capture_output=True, text=True, timeout=60)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def wait_for_updates(self, name, count=3):
        metrics = self.folder / name / "metrics.jsonl"
        self.cluster.wait(f"updates of {name}", lambda: metrics.exists() and len(support.lines_of(self.folder / name)) >= count, 90)

    def assert_undisturbed_bytes(self, name, job):
        state = self.cluster.wait_for_end(job)
        text = (self.folder / f"{name}.log").read_text() + self.cluster.logs()
        self.assertEqual("COMPLETED", state, text)
        self.assertTrue((self.folder / name / "adapter_model.safetensors").exists(), text)
        want, got = (support.digest(self.folder / folder / "adapter_model.safetensors") for folder in ("undisturbed", name))
        self.assertEqual(want, got, text)

    def test_a_script_passes_slurms_own_check(self):
        for launcher in ("srun", "mpirun"):
            file = self.folder / f"{launcher}.sh"
            self.submit("checked", "--launcher", launcher, "--time", 10, "--script", file)
            self.cluster.run("sbatch", "--test-only", file)

    def test_gpus_are_asked_for(self):
        job = self.submit("gpus", "--launcher", "srun", "--time", 10, "--gpus_per_node", slurm.GPUS, "--send").strip()
        self.assertEqual(f"gres:gpu:{slurm.GPUS}", self.cluster.field(job, "TresPerNode"))
        self.assert_undisturbed_bytes("gpus", job)
        file = self.folder / "gpus.sh"
        self.submit("gpus", "--launcher", "srun", "--time", 10, "--gpus_per_node", slurm.GPUS + 1, "--script", file)
        with self.assertRaisesRegex(AssertionError, "node configuration is not available"):
            self.cluster.run("sbatch", "--test-only", file)

    def test_a_preempted_job_ends_with_the_same_bytes(self):
        job = self.submit("preempted", "--launcher", "srun", "--time", 20, "--send").strip()
        self.wait_for_updates("preempted")
        self.cluster.run("sbatch", "--partition", "high", "--ntasks", slurm.CPUS, "--output", "/dev/null", "--wrap", "true")
        self.cluster.wait("restart", lambda: int(self.cluster.field(job, "Restarts")) > 0)
        self.assert_undisturbed_bytes("preempted", job)
        self.assertIn("going on after update", (self.folder / "preempted.log").read_text())

    def test_a_job_asked_to_save_is_requeued_by_its_script(self):
        job = self.submit("asked", "--launcher", "srun", "--time", 20, "--send").strip()
        self.wait_for_updates("asked")
        self.cluster.run("scancel", "--signal=USR1", job)
        self.cluster.wait("restart", lambda: int(self.cluster.field(job, "Restarts")) > 0)
        self.assert_undisturbed_bytes("asked", job)

    def test_a_time_limit_is_not_reached(self):
        """Ranks are held until Slurm asks them to save (it lets them go on for that), or until the end is near."""
        job = self.submit("limited", "--launcher", "srun", "--time", 1, "--send").strip()
        self.wait_for_updates("limited")
        self.cluster.signal(signal.SIGSTOP, "rankwise")
        restarted = lambda: int(self.cluster.field(job, "Restarts")) > 0
        self.cluster.wait("end of the limit to come near", lambda: restarted() or self.cluster.seconds_left(job) < 20, 90)
        self.cluster.signal(signal.SIGCONT, "rankwise")
        self.cluster.wait("restart", restarted)
        self.assert_undisturbed_bytes("limited", job)
        self.assertIn("going on after update", (self.folder / "limited.log").read_text())

    def test_a_node_that_fails(self):
        """What was saved before is there; Slurm itself requeues the job when it misses the node."""
        job = self.submit("node", "--launcher", "srun", "--time", 20, "--send").strip()
        self.cluster.wait("checkpoint", lambda: list((self.folder / "node").glob("checkpoint-*[0-9]")), 90)
        self.cluster.lose_node()
        self.cluster.wait("requeue", lambda: self.cluster.field(job, "JobState") == "PENDING", 90)
        self.cluster.boot_node()
        self.assert_undisturbed_bytes("node", job)
        self.assertIn("going on after update", (self.folder / "node.log").read_text())

    def test_the_jobs_of_an_array_are_trainings_of_their_own(self):
        words = [word if word != self.folder / "array" else f"{word}-%a" for word in self.options("array")]
        job = self.submit("array", "--launcher", "srun", "--time", 20, "--array", "0-1", "--send", ranks=1, words=words).strip()
        for number in range(2):
            self.assertEqual("COMPLETED", self.cluster.wait_for_end(f"{job}_{number}"))
            self.assertEqual(*(support.digest(self.folder / name / "adapter_model.safetensors") for name in ("undisturbed", f"array-{number}")))

    def test_a_rank_that_is_killed_is_started_again_within_the_job(self):
        job = self.submit("restarted", "--launcher", "srun", "--time", 20, "--max_restarts", 2, "--send").strip()
        self.cluster.wait("checkpoint", lambda: list((self.folder / "restarted").glob("checkpoint-*[0-9]")), 90)
        os.kill(self.cluster.processes("rankwise")[0], signal.SIGKILL)
        self.assert_undisturbed_bytes("restarted", job)
        self.assertEqual("0", self.cluster.field(job, "Restarts"))
        self.assertIn("going on after update", (self.folder / "restarted.log").read_text())

    def test_jobs_of_a_chain_may_grow_and_shrink(self):
        before = self.submit("chain", "--launcher", "srun", "--time", 20, "--send", ranks=3).strip()
        after = self.submit("chain", "--launcher", "srun", "--time", 20, "--send", "--dependency", f"afterany:{before}", ranks=2).strip()
        self.wait_for_updates("chain")
        self.cluster.run("scancel", before)  # SIGTERM, which ranks have a while to save after
        self.assertEqual("CANCELLED", self.cluster.wait_for_end(before))
        self.assert_undisturbed_bytes("chain", after)


if __name__ == "__main__":
    signal.alarm(570)  # whatever hangs
    unittest.main()
