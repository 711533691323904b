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


def base_mapping(process):
    """Kilobytes of the memfd's mapping by smaps' names, summed."""
    sums, inside = {}, False
    for line in (process / "smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = "memfd:" in line
        elif inside and (found := re.match(r"(\w+): +(\d+) kB", line)):
            sums[found[1]] = sums.get(found[1], 0) + int(found[2])
    return sums


class OneBase(unittest.TestCase):
    def test_no_private_pages_and_one_copy(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-"))
        self.addCleanup(shutil.rmtree, folder)
        model, rows, output = support.make_model(folder / "model"), support.make_rows(folder / "train.tsv", 60), folder / "out"
        process = support.start("finetune", "--model_name_or_path", model, "--train_file", rows, "--output_dir", output, "--num_train_epochs",
                                100000, "--save_strategy", "no", "--logging_steps", 1, "--threads", 1, ranks=2)
        try:
            deadline = time.monotonic() + 60
            while not ((output / "metrics.jsonl").exists() and len(support.lines_of(output)) > 3):
                self.assertIsNone(process.poll())
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            mappings = [base_mapping(rank) for rank in ranks_of(output)]
        finally:
            process.send_signal(signal.SIGUSR1)
            process.wait(60)
            process.stderr.close()
        self.assertEqual(2, len(mappings))
        for mapping in mappings:
            self.assertEqual(0, mapping["Private_Dirty"] + mapping["Private_Clean"], mapping)
        page = os.sysconf("SC_PAGESIZE") / 1024
        weights = (model / "model.safetensors").stat().st_size / 1024
        self.assertLessEqual(sum(mapping["Pss"] for mapping in mappings), 1.02 * weights + page)


if __name__ == "__main__":
    unittest.main()
