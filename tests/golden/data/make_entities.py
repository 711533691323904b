"""Writes entities.json: random rows of tags, the entities that seqeval finds in them, and its scores of predictions.

    python3 -m pip install seqeval==1.2.2 && python3 tests/golden/data/make_entities.py
"""

import json
import pathlib
import random
import warnings

from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score
from seqeval.metrics.sequence_labeling import get_entities

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-LOC", "S-PER", "B", "I", "X-2-Y"]

warnings.simplefilter("ignore")  # about tags that follow no scheme
source = random.Random(5)


def row(tags, least=0):
    return [source.choice(tags) for _ in range(source.randint(least, 9))]


rows = [row(TAGS[:5]) for _ in range(30)] + [row(TAGS) for _ in range(30)]
right = [row(TAGS[:5], 1) for _ in range(12)]
found = [[tag if source.random() < 0.6 else source.choice(TAGS[:5]) for tag in tags] for tags in right]
scores = {
    "accuracy": accuracy_score(right, found),
    "precision": precision_score(right, found),
    "recall": recall_score(right, found),
    "f1": f1_score(right, found),
}
golden = {
    "rows": [{"tags": tags, "entities": get_entities(tags)} for tags in rows],
    "predictions": {"labels": TAGS[:5], "right": right, "found": found, "scores": scores},
}
pathlib.Path(__file__).with_name("entities.json").write_text(json.dumps(golden) + "\n")
