"""Speed of LoRA training beside its peer (peft + Trainer) and its floor, interleaved in one run, as ratios.

    .parity/python/bin/python tests/benchmarks/reviews.py [--binary build/rankwise] [--model minilm|bert] [--steps 60] [--rounds 3]

minilm: all-MiniLM-L6-v2 on the movie reviews of .assets/; bert: bert-base's shape with random weights, 16 rows of 128 random ids an
update. LoRA r 8, alpha 32, dropout 0.1, batch 16, learning rate 1e-3, the models' own dropouts on. The floor is the time of only the
unavoidable products (y = x W' and dx = dy W of each frozen linear) for as many tokens as the updates have, padding excluded. Speeds
are taken from the end of the first update to the end of the last; the best round counts. Every measurement is its own process.
"""

import argparse
import functools
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
ASSETS = ROOT / ".assets"
BATCH, RATE, SEED = 16, 1e-3, 42
BERT_ROWS, BERT_LENGTH, BERT_VOCABULARY = 512, 128, 30522
LINEARS = {  # (in, out, how many) in the layers of the model
    "minilm": [(384, 384, 24), (384, 1536, 6), (1536, 384, 6)],
    "bert": [(768, 768, 48), (768, 3072, 12), (3072, 768, 12)],
}


def peer(job):
    """Trains with peft's LoRA in Hugging Face's Trainer; prints the ends of the first and last update."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import (AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer,
                              TrainerCallback, TrainingArguments)  # fmt: skip

    torch.set_num_threads(job["threads"])
    tokenizer = AutoTokenizer.from_pretrained(job["base"]) if job["rows"].endswith(".tsv") else None
    data, tokens = [], []
    for line in pathlib.Path(job["rows"]).read_text(encoding="utf-8").splitlines()[1 if tokenizer else 0:]:
        if tokenizer:
            label, text = line.split("\t")
            data.append({**tokenizer(text, truncation=True, max_length=512), "labels": int(label)})
        else:
            data.append(json.loads(line))
    ends = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_, **__):
            ends.append(time.time())

    def collate(rows):
        tokens.append(sum(len(row["input_ids"]) for row in rows))
        if tokenizer:
            return DataCollatorWithPadding(tokenizer)(rows)
        return {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}

    model = AutoModelForSequenceClassification.from_pretrained(job["base"], num_labels=2)
    model = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=32, lora_dropout=0.1))
    arguments = TrainingArguments(
        job["output"], per_device_train_batch_size=BATCH, learning_rate=RATE, max_steps=job["steps"], seed=SEED, bf16=job["bf16"], use_cpu=True,
        report_to="none", save_strategy="no", disable_tqdm=True, logging_steps=10)  # fmt: skip
    Trainer(model, arguments, train_dataset=data, data_collator=collate, callbacks=[Clock()]).train()
    result = {"first": ends[0], "last": ends[-1], "tokens": tokens[: job["steps"]]}
    pathlib.Path(job["output"], "result.json").write_text(json.dumps(result))


def fastest(call, repeats=3):
    call()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def floor(job):
    """Seconds for the products of one update of job["tokens"] tokens; the faster of LibTorch's two ways counts."""
    import torch

    torch.set_num_threads(job["threads"])
    kind = torch.bfloat16 if job["bf16"] else torch.float32
    seconds, skipped = 0.0, ""
    for inputs, outputs, count in LINEARS[job["model"]]:
        x, w, dy = (torch.randn(*size).to(kind) for size in ((job["tokens"], inputs), (outputs, inputs), (job["tokens"], outputs)))
        for operand, weight in ((x, w), (dy, w.t().contiguous())):
            ways = [functools.partial(torch.nn.functional.linear, operand, weight)]
            if operand is dy:
                ways.append(functools.partial(torch.matmul, dy, w))
            try:
                fused = functools.partial(torch.ops.mkldnn._linear_pointwise, operand, weight, None, "none", [], "")
                fused()
                ways.append(fused)
            except (RuntimeError, AttributeError) as error:
                skipped = str(error).splitlines()[0]
            with torch.no_grad():
                seconds += count * min(map(fastest, ways))
    pathlib.Path(job["output"], "result.json").write_text(json.dumps({"seconds": seconds, "skipped": skipped}))


def make_bert(job):
    from transformers import BertConfig, BertModel

    folder = pathlib.Path(job["output"])
    BertModel(BertConfig(vocab_size=BERT_VOCABULARY)).save_pretrained(folder / "bert")
    source = random.Random(SEED)
    with open(folder / "rows.jsonl", "w") as file:
        for index in range(BERT_ROWS):
            ids = [source.randrange(1000, BERT_VOCABULARY) for _ in range(BERT_LENGTH)]
            file.write(json.dumps({"input_ids": ids, "labels": index % 2}) + "\n")


def measure(command, watch=lambda: None):
    """Runs a process to its end and calls `watch` meanwhile; returns its start and its peak of resident bytes (VmHWM)."""
    with tempfile.TemporaryFile("w+") as said:
        begin = time.time()
        process = subprocess.Popen(list(map(str, command)), stdout=said, stderr=said)
        status = 0
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            watch()
            if pid:
                break
            time.sleep(0.002)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            sys.exit(f"exit {process.returncode} of {' '.join(map(str, command))}\n{said.read()[-2000:]}")
    return begin, usage.ru_maxrss * 1024


def proportional_bytes():
    """Memory of all our processes together, what they share counted once."""
    total = 0
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text() == "rankwise\n":
                total += sum(int(line.split()[1]) for line in (process / "smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
        except (OSError, IndexError):
            pass
    return total * 1024


def in_own_process(what, job):
    begin, peak = measure([sys.executable, __file__, "--job", what, json.dumps(job)])
    file = pathlib.Path(job["output"], "result.json")
    return begin, peak, json.loads(file.read_text()) if file.exists() else None


def measure_peer(job):
    begin, peak, result = in_own_process("peer", job)
    job["tokens_of_updates"] = result["tokens"]
    return {"seconds": result["last"] - result["first"], "start": result["first"] - begin, "peak": peak}


def measure_ours(job, binary):
    """The ends of updates are seen as lines of metrics.jsonl."""
    file, ends = pathlib.Path(job["output"], "ours", "metrics.jsonl"), []

    def watch():
        lines = file.read_text().count('"learning_rate"') if file.exists() else 0
        ends.extend([time.time()] * (lines - len(ends)))

    words = ["--model_name_or_path", job["base"], "--train_file", job["rows"], "--num_labels", 2, "--output_dir", file.parent,
             "--r", 8, "--lora_alpha", 32, "--lora_dropout", 0.1, "--per_device_train_batch_size", BATCH, "--learning_rate", RATE,
             "--max_steps", job["steps"], "--seed", SEED, "--bf16", str(job["bf16"]).lower(), "--threads", job["threads"],
             "--logging_steps", 1, "--save_strategy", "no", "--disable_tqdm", "true"]  # fmt: skip
    shutil.rmtree(file.parent, ignore_errors=True)
    begin, peak = measure([binary, "finetune", *words], watch)
    return {"seconds": ends[-1] - ends[0], "start": ends[0] - begin, "peak": peak}


def measure_floor(job):
    job["tokens"] = sum(job["tokens_of_updates"][1:]) // (job["steps"] - 1)
    _, _, result = in_own_process("floor", job)
    if result["skipped"]:
        print(f"floor: without mkldnn._linear_pointwise: {result['skipped']}")
    return {"seconds": result["seconds"] * (job["steps"] - 1)}


def print_table(name, best, job):
    updates, tokens = job["steps"] - 1, sum(job["tokens_of_updates"][1:])
    print(f"\n{name:10} {'samples/s':>10} {'tokens/s':>10} {'/ peer':>8} {'/ floor':>8} {'peak MB':>8} {'update 1 after s':>17}")
    for who in ("floor", "peer", "ours"):
        seconds = best[who]["seconds"]
        line = f"{who:10} {BATCH * updates / seconds:10.1f} {tokens / seconds:10.0f} {best['peer']['seconds'] / seconds:8.2f} {best['floor']['seconds'] / seconds:8.3f}"
        if who != "floor":
            line += f" {best[who]['peak'] / 1e6:8.0f} {best[who]['start']:17.2f}"
        print(line)
    print(f"{'':10} ours of the peer's peak: {best['ours']['peak'] / best['peer']['peak']:.2f}", flush=True)


def benchmark(args, scratch):
    job = {"model": args.model, "steps": args.steps, "threads": args.threads, "output": str(scratch)}
    if args.model == "bert":
        in_own_process("make_bert", job)
        job |= {"base": str(scratch / "bert"), "rows": str(scratch / "rows.jsonl")}
    else:
        job |= {"base": str(ASSETS / "all-MiniLM-L6-v2"), "rows": str(ASSETS / "reviews" / "train.tsv")}
    kinds = {name: dict(job, bf16=name == "bf16") for name in args.dtype}
    best = {name: {} for name in kinds}
    for number in range(args.rounds):
        for name, kind in kinds.items():
            for who, call in (("peer", measure_peer), ("ours", lambda one: measure_ours(one, args.binary)), ("floor", measure_floor)):
                result = call(kind)
                print(f"round {number + 1}, {name}, {who}: {result['seconds'] / (args.steps - 1):.4f} s an update", flush=True)
                old = best[name].get(who, result)
                best[name][who] = {key: min(value, old[key]) for key, value in result.items()}
    print(f"\n{args.model}, batch {BATCH}, {args.steps} updates, {args.threads} threads, best of {args.rounds} rounds")
    for name, kind in kinds.items():
        print_table(name, best[name], kind)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.environ.get("RANKWISE_BINARY", str(ROOT / "build" / "rankwise")))
    parser.add_argument("--model", choices=LINEARS, default="minilm")
    parser.add_argument("--dtype", choices=["float32", "bf16"], nargs="*", default=["float32", "bf16"])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--job", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        {"peer": peer, "floor": floor, "make_bert": make_bert}[args.job[0]](json.loads(args.job[1]))
        return
    if args.steps < 2:
        parser.error("--steps: at least 2, since the first update is warm-up")
    with tempfile.TemporaryDirectory() as scratch:
        benchmark(args, pathlib.Path(scratch))


if __name__ == "__main__":
    main()
