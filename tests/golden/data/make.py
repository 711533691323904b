"""Writes the files beside it with the libraries that users come from: python's csv and json, accelerate's sampler.

Usage: python make.py (needs accelerate, torch)
"""

import csv
import io
import json
import pathlib
import random

from accelerate.data_loader import SeedableRandomSampler

HERE = pathlib.Path(__file__).parent


def table():
    """rows.csv with everything that csv.writer quotes, and what its fields are (with the line where each row starts)."""
    rng = random.Random(4)
    pieces = [",", '"', '""', "\n", "\r\n", "\n\n", "\r", "\t", " ", "word", "é", "中文", "😀", "'", "\\", "0"]
    fields = lambda: ["".join(rng.choice(pieces) for _ in range(rng.choice([0, 0, 1, 2, 5]))) for _ in range(3)]
    names = ["text", "a,b", "label"]
    rows = [fields() for _ in range(60)]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    expected = []
    for row in rows:
        expected.append({"line": text.getvalue().count("\n") + 1, "columns": dict(zip(names, row))})
        writer.writerow(row)
    assert list(csv.reader(io.StringIO(text.getvalue(), newline="")))[1:] == rows
    (HERE / "rows.csv").write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())
    (HERE / "rows.json").write_text(json.dumps(expected))


def orders():
    """The rows of an epoch as a Trainer sees them: [rows, seed, epoch, order]."""
    cases = []
    for rows, seed, epoch in [(1, 42, 0), (2, 0, 1), (10, 42, 0), (10, 42, 1), (97, 7, 3), (1000, 2**40, 2)]:
        sampler = SeedableRandomSampler(range(rows), data_seed=seed)
        sampler.set_epoch(epoch)
        cases.append([rows, seed, epoch, list(sampler)])
    (HERE / "orders.json").write_text(json.dumps(cases))


table()
orders()
