"""The frozen base is in memory once, however many ranks share the node: read from /proc/<pid>/smaps while they train."""

import os
import pathlib
import re
import shutil
import signal
import tempfile
import time
import unittest

import support


def ranks_of(output):
    """Processes of our binary that write to this folder, not their launcher."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0] == support.BINARY.encode() and str(output).encode() in words:
            found.append(folder)
    return found


def mapping_of(process, name):
    """Kilobytes of the mappings of files whose names hold this, by smaps' names, summed."""
    sums, inside = {}, False
    for line in (process / "smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = name in line
        elif inside and (found := re.match(r"(\w+): +(\d+) kB", line)):
            sums[found[1]] = sums.get(found[1], 0) + int(found[2])
    return sums


class OneBase(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.rows = support.make_rows(self.folder / "train.tsv", 60)

    def words(self, model, output):
        return ["finetune", "--model_name_or_path", model, "--train_file", self.rows, "--output_dir", output, "--save_strategy", "no",
                "--logging_steps", 1, "--threads", 1, "--per_device_train_batch_size", 4, "--global_batch_size", 8]

    def mappings(self, model, *names):
        """Of two ranks while they train: for each name of a file, what each maps of it."""
        output = self.folder / "out"
        process = support.start(*self.words(model, output), "--num_train_epochs", 100000, ranks=2)
        try:
            deadline = time.monotonic() + 60
            while not ((output / "metrics.jsonl").exists() and len(support.lines_of(output)) > 3):
                self.assertIsNone(process.poll())
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            return [[mapping_of(rank, name) for rank in ranks_of(output)] for name in names]
        finally:
            process.send_signal(signal.SIGUSR1)
            process.wait(60)
            process.stderr.close()

    def test_no_private_pages_and_one_copy(self):
        model = support.make_model(self.folder / "model")
        [mappings] = self.mappings(model, "memfd:")
        self.assertEqual(2, len(mappings))
        for mapping in mappings:
            self.assertEqual(0, mapping["Private_Dirty"] + mapping["Private_Clean"], mapping)
        page = os.sysconf("SC_PAGESIZE") / 1024
        weights = (model / "model.safetensors").stat().st_size / 1024
        self.assertLessEqual(sum(mapping["Pss"] for mapping in mappings), 1.02 * weights + page)

    def test_large_table_stays_in_its_file_and_gives_the_bytes_of_a_copied_one(self):
        model, copied = support.make_model(self.folder / "model", unused_rows=1 << 18), self.folder / "copied"
        file, table = model / "model.safetensors", 4 * support.HIDDEN << 18
        in_memory, in_file = self.mappings(model, "memfd:", str(file))
        for memory, mapped in zip(in_memory, in_file, strict=True):
            self.assertLess(memory["Size"] * 1024, table / 2)
            self.assertGreaterEqual(mapped["Size"] * 1024, table)
            self.assertLess(0, mapped["Rss"])
            self.assertLess(mapped["Rss"], mapped["Size"] / 2)  # of the rows those that were touched, and their neighbours
            self.assertEqual(0, mapped["Private_Dirty"], mapped)
        shutil.copytree(model, copied)  # with all numbers at odd places, where they cannot be used
        content = file.read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        (copied / file.name).write_bytes((end - 7).to_bytes(8, "little") + content[8:end] + b" " + content[end:])
        digests, shared = [], []
        for folder, ranks in ((model, 2), (copied, 2), (model, 1)):
            output = self.folder / f"{folder.name}-{ranks}"
            done = support.call(*self.words(folder, output), "--max_steps", 3, ranks=ranks)
            digests.append(support.digest(output / "adapter_model.safetensors"))
            shared.append(re.search(r"base (\S+ \S+) a node", done.stderr)[1])
        self.assertEqual(1, len(set(digests)), digests)
        self.assertEqual([" kB", " MB", " kB"], [text[-3:] for text in shared])


if __name__ == "__main__":
    unittest.main()
