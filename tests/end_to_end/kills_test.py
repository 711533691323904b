"""Kills, of one rank or of the whole job, at events drawn from a printed seed (RANKWISE_KILL_SEED repeats it): an update, a checkpoint that is
being written, an evaluation, a part of `prepare`. Whoever starts again, at whatever rank count, ends with the bytes of an undisturbed run; no
checkpoint is lost, and none is taken that was not whole."""

import os
import pathlib
import random
import re
import shutil
import signal
import tempfile
import time
import unittest

import support

KILLS = 50 if os.environ.get("RANKWISE_LONG_TESTS") else 5
PREPARE_KILLS = KILLS // 5
MOST_RANKS = 4
EVAL_STEPS = 5


def children_of(process):
    found = []
    for child in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            name, parent = (child / "comm").read_text().strip(), (child / "stat").read_text().rsplit(")", 1)[1].split()[1]
            if int(parent) == process.pid and name == "rankwise":
                found.append(int(child.name))
        except OSError:  # it has ended
            pass
    return sorted(found)


def kill(process):
    """mpirun, and the ranks, which are in groups of their own. What the job said."""
    ranks = children_of(process)
    for pid in (process.pid, *ranks):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return process.communicate(timeout=60)[1]


class Kills(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.model = support.make_model(cls.folder / "model")
        cls.seed = int(os.environ.get("RANKWISE_KILL_SEED", random.randrange(10**6)))
        print(f"kills are drawn from seed {cls.seed}", flush=True)

    def wait_for(self, event, process):
        deadline = time.monotonic() + 60
        while not event():
            self.assertIsNone(process.poll(), f"seed {self.seed}: it ended before the event")
            self.assertLess(time.monotonic(), deadline, f"seed {self.seed}: the event did not come")
            time.sleep(0.001)

    def kill_at(self, event, source, command):
        """What it said until then."""
        process = support.start(*command, ranks=source.randint(2, MOST_RANKS))
        try:
            self.wait_for(event, process)
            if ranks := source.random() < 0.5 and children_of(process):
                os.kill(source.choice(ranks), signal.SIGKILL)
                self.assertEqual(137, process.wait(60), f"seed {self.seed}")
        finally:
            said = kill(process)
        return said

    def test_training(self):
        source = random.Random(self.seed)
        rows = support.make_rows(self.folder / "train.tsv", 97)
        held_out = support.make_rows(self.folder / "held_out.tsv", 301, seed=3)
        command = ("finetune", "--model_name_or_path", self.model, "--train_file", rows, "--validation_file", held_out, "--max_steps", 20 * (KILLS + 1),
                   "--per_device_train_batch_size", 3, "--per_device_eval_batch_size", 2, "--global_batch_size", 15, "--lora_dropout", 0.1,
                   "--eval_strategy", "steps", "--eval_steps", EVAL_STEPS, "--save_steps", 2, "--logging_steps", 1, "--threads", 1, "--output_dir")
        output = self.folder / "killed"

        def lines():
            try:
                return support.lines_of(output)
            except (OSError, ValueError):  # not there yet
                return []

        def whole():
            return {folder.name: support.digest(folder / "state.h5") for folder in output.glob("checkpoint-*") if re.search(r"-\d+$", folder.name)}

        def newest(checkpoints):
            return str(max((int(name.rpartition("-")[2]) for name in checkpoints), default=None))

        for number in range(KILLS):
            before, written, started = whole(), len(lines()), time.time_ns()

            def newer(path):
                try:
                    return path.stat().st_mtime_ns > started
                except OSError:
                    return False

            def evaluates():
                told = lines()[-1:] if newer(output / "metrics.jsonl") else []
                return told and told[0]["step"] > 0 and told[0]["step"] % EVAL_STEPS == 0 and "eval_loss" not in told[0]

            event = source.choice(("update", "checkpoint", "evaluation"))
            more = source.randint(1, 6)
            said = self.kill_at({
                "update": lambda: len(lines()) >= written + more,
                "checkpoint": lambda: any(map(newer, output.glob("*.partial"))),
                "evaluation": evaluates,
            }[event], source, (*command, output))
            told = re.findall(r"going on after update (\d+) of", said)  # mpirun may have been killed before it passed that on
            self.assertIn(told, ([], [newest(before)]), f"seed {self.seed}, kill {number}")
            after = whole()
            self.assertEqual(before, {name: after.get(name) for name in before}, f"seed {self.seed}, kill {number}: {event}")
        last = support.call(*command, output, ranks=source.randint(1, MOST_RANKS)).stderr
        if after:
            self.assertIn(f"going on after update {newest(after)} of", last, f"seed {self.seed}")
        support.call(*command, self.folder / "undisturbed")
        self.assertEqual(*(support.digest(folder / "adapter_model.safetensors") for folder in (self.folder / "undisturbed", output)), f"seed {self.seed}")

    def test_prepare(self):
        source = random.Random(self.seed + 1)
        rows = self.folder / "many.tsv"
        part_rows, count = 1 << 16, MOST_RANKS * PREPARE_KILLS  # each start may finish a part a rank
        rows.write_text("label\ttext\n" + "".join(f"{i % 2}\t{support.WORDS[i % 13]} {support.WORDS[i % 7]}\n" for i in range(part_rows * count + 9)))
        stores = undisturbed, killed = self.folder / "undisturbed.h5", self.folder / "killed.h5"
        command = ("prepare", "--model_name_or_path", self.model, "--train_file", rows, "--output_file")
        support.call(*command, undisturbed)

        def parts():
            return {part.name: support.digest(part) for part in self.folder.glob("killed.h5.parts/*.h5")}

        for number in range(PREPARE_KILLS):
            before, seen = parts(), set(self.folder.glob("killed.h5.parts/*"))
            if len(before) > count - MOST_RANKS:  # the last start made more than a part a rank: on from half of them
                for name in list(before)[::2]:
                    (self.folder / "killed.h5.parts" / name).unlink()
                before, seen = parts(), set(self.folder.glob("killed.h5.parts/*"))
            self.kill_at(lambda: set(self.folder.glob("killed.h5.parts/*")) - seen, source, (*command, killed))
            after = parts()
            self.assertEqual(before, {name: after.get(name) for name in before}, f"seed {self.seed}, kill {number}")
            self.assertFalse(killed.exists())
        support.call(*command, killed, ranks=source.randint(1, MOST_RANKS))
        names = [sorted(part.name for part in store.with_suffix(".h5.parts").iterdir()) for store in stores]
        self.assertEqual(*names)
        for name in names[0]:
            self.assertEqual(*(support.digest(store.with_suffix(".h5.parts") / name) for store in stores), f"seed {self.seed}")


if __name__ == "__main__":
    unittest.main()
