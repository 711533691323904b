"""What transformers' run_qa.py and SQuAD's scripts make of questions: windows, labels, answers, their scores. For tasks.py."""

import collections
import re
import string

import numpy


def features_of_questions(tokenizer, rows, length, stride):
    """run_qa's prepare_train_features; but a search for the start ends with the context's tokens. The tokenizer needs a
    post-processor: without one the library forgets which tokens of a second window are the context's."""
    made = tokenizer([row["question"].lstrip() for row in rows], [row["context"] for row in rows], truncation="only_second", max_length=length,
                     stride=stride, return_overflowing_tokens=True, return_offsets_mapping=True)  # fmt: skip
    features = []
    for i, offsets in enumerate(made["offset_mapping"]):
        sequence, row = made.sequence_ids(i), made["overflow_to_sample_mapping"][i]
        inside = [at for at, which in enumerate(sequence) if which == 1]
        feature = {"row": row, "inputs": {name: made[name][i] for name in tokenizer.model_input_names if name != "attention_mask"}, "start": 0, "end": 0,
                   "offsets": [offset if which == 1 else None for offset, which in zip(offsets, sequence)]}  # fmt: skip
        answers = rows[row]["answers"]
        if answers["text"] and inside:
            begin = answers["answer_start"][0]
            end = begin + len(answers["text"][0])
            if offsets[inside[0]][0] <= begin and offsets[inside[-1]][1] >= end:
                feature["start"] = max(at for at in inside if offsets[at][0] <= begin)
                feature["end"] = min(at for at in inside if offsets[at][1] >= end)
        features.append(feature)
    return features


def answers_of(rows, features, scores, unanswerable, best=20, longest=30):
    """utils_qa's postprocess_qa_predictions."""
    texts = []
    for number, row in enumerate(rows):
        null, candidates = None, []
        for feature, (starts, ends) in zip(features, scores):
            if feature["row"] != number:
                continue
            if null is None or starts[0] + ends[0] < null:
                null = starts[0] + ends[0]
            for start in numpy.argsort(-starts, kind="stable")[:best]:
                for end in numpy.argsort(-ends, kind="stable")[:best]:
                    first, last = feature["offsets"][start], feature["offsets"][end]
                    if first is None or last is None or end < start or end - start + 1 > longest:
                        continue
                    candidates.append((starts[start] + ends[end], row["context"][first[0] : last[1]]))
        if not candidates:
            texts.append("")
            continue
        score, found = max(candidates, key=lambda pair: pair[0])
        texts.append("" if unanswerable and null > score else found.strip())
    return texts


def normal(answer):
    plain = "".join(letter for letter in answer.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", plain).split())


def right_answers(texts, unanswerable):
    """SQuAD 2 leaves out what is normalised to nothing; where nothing is left, the empty text is right."""
    return [text for text in texts if normal(text)] or [""] if unanswerable else texts


def f1(answer, right, unanswerable):
    found, wanted = normal(answer).split(), normal(right).split()
    if not found or not wanted:
        return float(unanswerable and found == wanted)
    common = sum((collections.Counter(found) & collections.Counter(wanted)).values())
    return 2 * common / (len(found) + len(wanted)) if common else 0.0
