"""Training on one GPU beside peft on the same GPU: tokens a second, peak memory of the GPU (CUDA's context included), ratios.

    RANKWISE_BINARY=build/rankwise python3 tests/benchmarks/gpu.py [--updates N] [--rounds N]     (needs torch, transformers and peft)

Random weights of a true shape, full rows, dropout on. peft's loop does what a Trainer does at least (autocast to bfloat16 with --bf16's runs): forward,
backward, clip, AdamW, no logging. Times leave out the first updates of both. Each round measures both; the best round of each counts,
since a GPU that waits for a shared processor is soon half as fast.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import threading
import time

import torch
import transformers as T
from peft import LoraConfig, get_peft_model

BINARY = os.environ.get("RANKWISE_BINARY", "build/rankwise")
SHAPES = {
    "bert-base 16 x 128": dict(
        task="SEQ_CLS", batch=16, length=128, types=("float32", "bfloat16"), targets=["query", "value"],
        config=lambda: T.BertConfig(), model=T.BertForSequenceClassification),
    "llama 1.1B 8 x 512": dict(
        task="CAUSAL_LM", batch=8, length=512, types=("bfloat16",), targets=["q_proj", "v_proj"],
        config=lambda: T.LlamaConfig(hidden_size=2048, intermediate_size=5632, num_hidden_layers=22, num_attention_heads=32, num_key_value_heads=4,
                                     max_position_embeddings=2048), model=T.LlamaForCausalLM),
}  # fmt: skip


class Memory:
    """The most that processes of the GPU held together, above what was there before."""

    def __enter__(self):
        self.before, self.most, self.ended = self.used(), 0, threading.Event()
        self.watch = threading.Thread(target=self.look)
        self.watch.start()
        return self

    def used(self):
        said = subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"], capture_output=True, text=True)
        return int(said.stdout.split()[0])

    def look(self):
        while not self.ended.wait(0.2):
            self.most = max(self.most, self.used() - self.before)

    def __exit__(self, *_):
        self.ended.set()
        self.watch.join()


def rankwise(folder, shape, kind, updates):
    words = [BINARY, "finetune", "--model_name_or_path", folder / "model", "--task_type", shape["task"], "--train_file", folder / "rows.jsonl",
             "--output_dir", folder / f"out-{kind}", "--overwrite_output_dir", "--device", "cuda", "--max_steps", updates, "--save_strategy", "no",
             "--per_device_train_batch_size", shape["batch"], "--logging_steps", updates // 3, "--lora_dropout", 0.1, "--learning_rate", 1e-4,
             *(["--bf16"] if kind == "bfloat16" else []), *(["--torch_dtype", kind] if shape["task"] == "CAUSAL_LM" else [])]  # fmt: skip
    with Memory() as memory:
        begin = time.monotonic()
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
        seconds = time.monotonic() - begin
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (folder / f"out-{kind}" / "metrics.jsonl").read_text().splitlines()]
    rates = [line["tokens_per_second"] for line in lines if "tokens_per_second" in line]
    return rates[-1], memory.most, seconds, [line["loss"] for line in lines if "loss" in line][0]


def peft(folder, shape, kind, updates, rows):
    held = torch.bfloat16 if shape["task"] == "CAUSAL_LM" else torch.float32
    model = shape["model"].from_pretrained(folder / "model", dtype=held).cuda()
    model = get_peft_model(model, LoraConfig(task_type=shape["task"], r=8, lora_alpha=8, lora_dropout=0.1, target_modules=shape["targets"])).train()
    trained = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    torch.cuda.reset_peak_memory_stats()
    for update in range(updates):
        if update == updates // 3:
            torch.cuda.synchronize()
            begin = time.monotonic()
        part = [rows[(update * shape["batch"] + i) % len(rows)] for i in range(shape["batch"])]
        ids = torch.tensor([row["input_ids"] for row in part]).cuda()
        labels = ids if shape["task"] == "CAUSAL_LM" else torch.tensor([row["labels"] for row in part]).cuda()
        with torch.autocast("cuda", torch.bfloat16, enabled=kind == "bfloat16"):
            loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    torch.cuda.synchronize()
    seconds = time.monotonic() - begin
    free, total = torch.cuda.mem_get_info()
    memory = (total - free) >> 20
    del model, optimizer
    torch.cuda.empty_cache()
    return (updates - updates // 3) * shape["batch"] * shape["length"] / seconds, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--updates", type=int, default=90)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="a word of the shape's name")
    args = parser.parse_args()
    print(torch.cuda.get_device_name(), torch.__version__, T.__version__)
    for name, shape in SHAPES.items():
        if args.only and args.only not in name:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            torch.manual_seed(0)
            config = shape["config"]()
            shape["model"](config).to(torch.bfloat16 if shape["task"] == "CAUSAL_LM" else torch.float32).save_pretrained(folder / "model")
            ids = torch.randint(1000, config.vocab_size, (shape["batch"] * 16, shape["length"])).tolist()
            rows = [{"input_ids": row, "labels": number % 2 if shape["task"] == "SEQ_CLS" else row} for number, row in enumerate(ids)]
            (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            for kind in shape["types"]:
                rounds = [(rankwise(folder, shape, kind, args.updates), peft(folder, shape, kind, args.updates, rows)) for _ in range(args.rounds)]
                ours, our_memory, seconds, loss = max(ours for ours, _ in rounds)
                theirs, their_memory = max(theirs for _, theirs in rounds)
                print(f"{name}, {kind}: Rankwise {ours:.0f} tokens/s, {our_memory} MiB (whole run {seconds:.1f} s, loss {loss:.4f}); "
                      f"peft {theirs:.0f} tokens/s, {their_memory} MiB; ratio {ours / theirs:.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
