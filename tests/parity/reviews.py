"""The promises on a real model and real rows: all-MiniLM-L6-v2 on the movie reviews of .assets/, beside peft and Trainer.

    RANKWISE_BINARY=build/rankwise .parity/python/bin/python tests/parity/reviews.py curve|interchange|bits|accuracy [--seeds 42 43]

curve        losses of an epoch's first 120 updates follow a Trainer's, from the same adapter and head, without dropout
interchange  peft scores what we trained as `evaluate` does, and our checkpoints; what peft trained goes on here
bits         one adapter, byte for byte, at 1 to 4 ranks, dropout on, in float32 and bf16
accuracy     mean held-out accuracy after an epoch, over the seeds
LoRA r 8, alpha 32, learning rate 1e-3, 16 rows an update. Exits with 1 if a promise is broken.
"""

import argparse
import hashlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.append(sys.path.pop(0))  # this folder goes last: one script in it is called like a library
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")
import compare
import torch
from compare import Differences, call, metrics
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, PrinterCallback, Trainer,
                          TrainerCallback, TrainingArguments, set_seed)  # fmt: skip

ASSETS = pathlib.Path(__file__).resolve().parents[2] / ".assets"
BASE = ASSETS / "all-MiniLM-L6-v2"
TRAIN, HELD_OUT = ASSETS / "reviews" / "train.tsv", ASSETS / "reviews" / "validation.tsv"
BATCH, RATE, DROPOUT = 16, 1e-3, 0.1
ADAPTER = {"r": 8, "lora_alpha": 32}
RELATIVE, ABSOLUTE = 5e-4, 5e-5  # a Trainer's loss, same rows and start
ACCURACY_OF_MEANS, ACCURACY_OF_FILES = 0.006, 0.003
BITS_UNIT, BITS_UPDATE, BITS_UPDATES = 4, 20, 10
WAIT = 3600  # seconds for any process


class Peer:
    """peft's LoRA in Hugging Face's Trainer."""

    def __init__(self, threads):
        torch.set_num_threads(threads)
        self.tokenizer = AutoTokenizer.from_pretrained(BASE)
        self.collate = DataCollatorWithPadding(self.tokenizer)
        self.train_rows = self.rows(TRAIN)

    def rows(self, file):
        pairs = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()[1:]]
        return [{**self.tokenizer(text, truncation=True, max_length=512), "labels": int(label)} for label, text in pairs]

    @staticmethod
    def base(dropout=True):
        settings = {} if dropout else {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        return AutoModelForSequenceClassification.from_pretrained(BASE, num_labels=2, **settings)

    def fresh(self, seed, dropout):
        set_seed(seed)
        rate = DROPOUT if dropout else 0.0
        return get_peft_model(self.base(dropout), LoraConfig(task_type="SEQ_CLS", lora_dropout=rate, **ADAPTER))

    def load(self, folder, trainable=False):
        return PeftModel.from_pretrained(self.base(dropout=False), folder, is_trainable=trainable)

    def train(self, model, seed, updates=None, **settings):
        """One epoch, or its first updates; returns each update's loss, unrounded."""
        losses = []

        class Watched(Trainer):
            def compute_loss(self, *words, **named):
                result = super().compute_loss(*words, **named)
                losses.append((result[0] if isinstance(result, tuple) else result).item())
                return result

        class Stop(TrainerCallback):
            def on_step_end(self, _, state, control, **__):
                control.should_training_stop |= state.global_step == updates

        with tempfile.TemporaryDirectory() as scratch:
            settings = {"per_device_train_batch_size": BATCH, "learning_rate": RATE, "num_train_epochs": 1, "seed": seed, **settings}
            arguments = TrainingArguments(scratch, use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True, **settings)
            trainer = Watched(model, arguments, train_dataset=self.train_rows, data_collator=self.collate, callbacks=[Stop()])
            trainer.remove_callback(PrinterCallback)
            trainer.train()
        return losses

    def evaluate(self, model, file):
        """Accuracy and mean loss."""
        right = loss = 0
        rows = sorted(self.rows(file), key=lambda row: len(row["input_ids"]))
        with torch.no_grad():
            for begin in range(0, len(rows), 64):
                batch = self.collate(rows[begin : begin + 64])
                logits = model.eval()(**batch).logits
                right += (logits.argmax(-1) == batch["labels"]).sum().item()
                loss += torch.nn.functional.cross_entropy(logits, batch["labels"], reduction="sum").item()
        return right / len(rows), loss / len(rows)


def finetune(output, seed, *more, dropout=True, start=None, unit=BATCH):
    """Words of a finetune from `start`, whose settings hold, or from a new adapter."""
    adapter = {"adapter_name_or_path": start} if start else ADAPTER | {"lora_dropout": DROPOUT if dropout else 0}
    named = {"model_name_or_path": BASE, "train_file": TRAIN, "output_dir": output, "learning_rate": RATE, "num_train_epochs": 1, "seed": seed,
             "per_device_train_batch_size": unit, "logging_steps": 1, "disable_tqdm": "true", **adapter}  # fmt: skip
    return ["finetune", *(word for name, value in named.items() for word in (f"--{name}", value)), *(() if dropout else ("--model_dropout", 0)), *more]


def evaluate(adapter, rows, threads):
    said = call("evaluate", "--model_name_or_path", BASE, "--adapter_name_or_path", adapter, "--validation_file", rows, threads=threads, timeout=WAIT)
    result = json.loads(said.splitlines()[-1])
    return result["eval_accuracy"], result["eval_loss"]


def first_losses(words, output, updates, threads):
    """Starts an epoch and asks it to stop when its metrics have that many lines: the schedule stays that of a whole epoch."""
    file = output / "metrics.jsonl"
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(compare.command(*words, threads=threads), env=compare.ENVIRONMENT, stdout=said, stderr=said)
        deadline = time.monotonic() + WAIT
        while process.poll() is None and not (file.exists() and file.read_text().count("\n") >= updates) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGUSR1)
        code = process.wait(WAIT)
        said.seek(0)
        if code not in (0, 75):
            raise RuntimeError(f"exit {code}\n{said.read()[-600:]}")
    return metrics(output, "loss")[:updates]


def same_losses(ours, theirs, differences, where):
    differences.check(len(ours) == len(theirs) > 0, where, f"{len(ours)} updates, a Trainer {len(theirs)}")
    off = [abs(mine - his) for mine, his in zip(ours, theirs)]
    for number, (mine, his) in enumerate(zip(ours, theirs), 1):
        differences.close(mine, his, RELATIVE * his + ABSOLUTE, f"{where}, loss of update {number}")
    used = [distance / (RELATIVE * his + ABSOLUTE) for distance, his in zip(off, theirs)]
    print(f"{where}: {len(off)} updates, loss {theirs[0]:.4f} to {theirs[-1]:.4f}; largest difference {max(off):.1e}, "
          f"{max(used):.0%} of what is allowed (update {used.index(max(used)) + 1})", flush=True)  # fmt: skip


def curve(args, folder, differences):
    peer, seed = Peer(args.threads), args.seeds[0]
    peer.fresh(seed, dropout=False).save_pretrained(folder / "start")
    theirs = peer.train(peer.load(folder / "start", trainable=True), seed, args.updates)
    words = finetune(folder / "ours", seed, dropout=False, start=folder / "start")
    same_losses(first_losses(words, folder / "ours", args.updates, args.threads), theirs, differences, f"curve, seed {seed}")


def same_evaluation(peer, model, adapter, rows, threads, differences, where):
    (ours, our_loss), (theirs, their_loss) = evaluate(adapter, rows, threads), peer.evaluate(model, rows)
    print(f"{where}: evaluate says {ours:.4f} (loss {our_loss:.6f}), peft {theirs:.4f} ({their_loss:.6f})", flush=True)
    differences.close(ours, theirs, ACCURACY_OF_FILES, f"{where}, accuracy")
    differences.close(our_loss, their_loss, RELATIVE * their_loss + ABSOLUTE, f"{where}, loss")
    return ours, theirs


def interchange(args, folder, differences):
    peer, seed, updates, more = Peer(args.threads), args.seeds[0], 80, 10
    header, *lines = HELD_OUT.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = folder / "held_out.tsv"
    rows.write_text(header + "".join(lines[::4]), encoding="utf-8")

    ours, half = folder / "ours", updates // 2
    call(*finetune(ours, seed, "--max_steps", updates, "--save_steps", half), threads=args.threads, timeout=WAIT)
    for adapter in (ours, ours / f"checkpoint-{half}"):
        same_evaluation(peer, peer.load(adapter), adapter, rows, args.threads, differences, f"interchange, trained here: {adapter.relative_to(folder)}")

    model = peer.fresh(seed, dropout=False)
    peer.train(model, seed, max_steps=updates)
    model.save_pretrained(folder / "peft")
    same_evaluation(peer, model, folder / "peft", rows, args.threads, differences, "interchange, trained with peft")
    theirs = peer.train(peer.load(folder / "peft", trainable=True), seed + 1, max_steps=more)
    words = finetune(folder / "on", seed + 1, "--max_steps", more, dropout=False, start=folder / "peft")
    call(*words, threads=args.threads, timeout=WAIT)
    same_losses(metrics(folder / "on", "loss"), theirs, differences, "interchange, going on here")


def bits(args, folder, differences):
    for kind in ("float32", "bf16"):
        for ranks in (1, 2, 3, 4):
            output, first = folder / f"{kind}-{ranks}", folder / f"{kind}-1"
            words = finetune(output, args.seeds[0], "--global_batch_size", BITS_UPDATE, "--max_steps", BITS_UPDATES, "--bf16", str(kind == "bf16").lower(),
                             unit=BITS_UNIT)  # fmt: skip
            call(*words, ranks=ranks, timeout=WAIT)
            digest, wanted = (hashlib.sha256((one / "adapter_model.safetensors").read_bytes()).hexdigest() for one in (output, first))
            print(f"bits: {kind}, {ranks} ranks: {digest[:16]}, loss {metrics(output, 'loss')[-1]!r}", flush=True)
            differences.check(digest == wanted, f"bits, {kind}", f"{ranks} ranks give other bytes than 1")
            differences.check(metrics(output, "loss") == metrics(first, "loss"), f"bits, {kind}", f"{ranks} ranks give other losses than 1")


def accuracy(args, folder, differences):
    peer, table = Peer(args.threads), []
    for seed in args.seeds:
        output = folder / str(seed)
        call(*finetune(output, seed), threads=args.threads, timeout=WAIT)
        model = peer.fresh(seed, dropout=True)
        peer.train(model, seed)
        ours, _ = same_evaluation(peer, peer.load(output), output, HELD_OUT, args.threads, differences, f"accuracy, seed {seed}, trained here")
        table.append((ours, peer.evaluate(model, HELD_OUT)[0]))
        print(f"accuracy, seed {seed}: Rankwise {table[-1][0]:.4f}, peft and Trainer {table[-1][1]:.4f}", flush=True)
    means = [statistics.mean(column) for column in zip(*table)]
    print(f"accuracy, mean: Rankwise {means[0]:.4f}, peft and Trainer {means[1]:.4f}", flush=True)
    differences.close(*means, ACCURACY_OF_MEANS, "accuracy, mean over the seeds")


PROMISES = {"curve": curve, "interchange": interchange, "bits": bits, "accuracy": accuracy}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("promise", choices=PROMISES, nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44, 45, 46])
    parser.add_argument("--updates", type=int, default=120, help="of curve")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    differences = Differences()
    for name in args.promise:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            PROMISES[name](args, pathlib.Path(scratch), differences)
        print(f"{name}: {time.monotonic() - begin:.0f} s", flush=True)
    print(f"reviews: {differences.compared} comparisons, {differences.found} differ")
    sys.exit(1 if differences.found or not differences.compared else 0)


if __name__ == "__main__":
    main()
