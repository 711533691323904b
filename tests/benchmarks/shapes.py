"""Speed and memory of LoRA training at the true shapes of opt-350m and mt0-large beside peft, interleaved in one run, as ratios.

    .parity/python/bin/python tests/benchmarks/shapes.py [--binary build/rankwise] [--model opt-350m mt0-large] [--steps 8] [--rounds 2]

Random weights; opt-350m reads 4 rows of 256 tokens of which the last half is labelled, mt0-large 4 rows of 64 tokens and says 32. LoRA r 8,
alpha 32, dropout 0.1, the models' own dropouts on. The peer is peft with torch's AdamW in a plain loop, bf16 by autocast. Speeds are taken
from the end of the first update to the end of the last; the best round counts. Every measurement is its own process. Last, two ranks train
together: the memory that both take, the shared base counted once.
"""

import argparse
import json
import os
import pathlib
import random
import sys
import tempfile
import time

sys.path.append(sys.path.pop(0))  # this folder goes last
import reviews

BATCH, RATE, SEED = 4, 1e-3, 42
SHAPES = {  # source, target, task
    "opt-350m": (256, 128, "CAUSAL_LM"),
    "mt0-large": (64, 32, "SEQ_2_SEQ_LM"),
}


def config(model):
    import transformers as T

    if model == "opt-350m":
        return T.OPTConfig(hidden_size=1024, num_hidden_layers=24, ffn_dim=4096, num_attention_heads=16, word_embed_proj_dim=512,
                           do_layer_norm_before=False, vocab_size=50272, max_position_embeddings=2048)  # fmt: skip
    return T.MT5Config(vocab_size=250112, d_model=1024, d_kv=64, d_ff=2816, num_layers=24, num_heads=16, feed_forward_proj="gated-gelu",
                       tie_word_embeddings=False, decoder_start_token_id=0)  # fmt: skip


def make(job):
    import torch
    import transformers as T

    torch.manual_seed(SEED)
    kind = T.OPTForCausalLM if job["model"] == "opt-350m" else T.MT5ForConditionalGeneration
    folder = pathlib.Path(job["output"])
    kind(config(job["model"])).save_pretrained(folder / "base")
    source, (length, target, _) = random.Random(SEED), SHAPES[job["model"]]
    with open(folder / "rows.jsonl", "w") as file:
        for _ in range(BATCH * job["steps"]):
            ids = [source.randrange(1000, 50000) for _ in range(length)]
            labels = [-100] * (length - target) + ids[-target:] if job["model"] == "opt-350m" else [source.randrange(1000, 50000) for _ in range(target)]
            file.write(json.dumps({"input_ids": ids, "labels": labels}) + "\n")


def peer(job):
    import torch
    import transformers as T
    from peft import LoraConfig, get_peft_model

    torch.set_num_threads(job["threads"])
    folder = pathlib.Path(job["output"])
    kind = T.AutoModelForCausalLM if job["model"] == "opt-350m" else T.AutoModelForSeq2SeqLM
    adapter = LoraConfig(task_type=SHAPES[job["model"]][2], r=8, lora_alpha=32, lora_dropout=0.1)
    model = get_peft_model(kind.from_pretrained(folder / "base"), adapter).train()
    optimizer = torch.optim.AdamW([value for value in model.parameters() if value.requires_grad], lr=RATE)
    rows, ends = [json.loads(line) for line in open(folder / "rows.jsonl")], []
    for step in range(job["steps"]):
        batch = {name: torch.tensor([row[name] for row in rows[step * BATCH : (step + 1) * BATCH]]) for name in ("input_ids", "labels")}
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=job["bf16"]):
            loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        ends.append(time.time())
    (folder / "result.json").write_text(json.dumps({"first": ends[0], "last": ends[-1]}))


def in_own_process(what, job):
    _, peak = reviews.measure([sys.executable, __file__, "--job", what, json.dumps(job)])
    return peak


def measure_peer(job):
    peak = in_own_process("peer", job)
    result = json.loads(pathlib.Path(job["output"], "result.json").read_text())
    return {"seconds": result["last"] - result["first"], "peak": peak}


def words(job, output, threads):
    folder = job["output"]
    return ["finetune", "--model_name_or_path", f"{folder}/base", "--task_type", SHAPES[job["model"]][2], "--train_file", f"{folder}/rows.jsonl",
            "--output_dir", output, "--r", 8, "--lora_alpha", 32, "--lora_dropout", 0.1, "--learning_rate", RATE, "--max_steps", job["steps"],
            "--bf16", str(job["bf16"]).lower(), "--threads", threads, "--logging_steps", 1, "--save_strategy", "no", "--disable_tqdm", "true"]  # fmt: skip


def measure_ours(job, binary):
    output, ends = pathlib.Path(job["output"], f"ours-{time.time()}"), []
    file = output / "metrics.jsonl"

    def watch():
        lines = file.read_text().count('"learning_rate"') if file.exists() else 0
        ends.extend([time.time()] * (lines - len(ends)))

    _, peak = reviews.measure([binary, *words(job, output, job["threads"]), "--per_device_train_batch_size", BATCH], watch)
    return {"seconds": ends[-1] - ends[0], "peak": peak}


def memory_of_two_ranks(job, binary):
    """The largest sum over the ranks of proportional sizes (smaps_rollup), in bytes."""
    output, most = pathlib.Path(job["output"], "two"), [0]

    def watch():
        most[0] = max(most[0], reviews.proportional_bytes())
        time.sleep(0.2)

    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_hwloc_base_binding_policy="none")
    reviews.measure(["mpirun", "-n", 2, binary, *words(job, output, 1), "--per_device_train_batch_size", BATCH // 2], watch)
    return most[0]


def benchmark(args, model, scratch):
    job = {"model": model, "steps": args.steps, "threads": args.threads, "output": str(scratch), "bf16": False}
    in_own_process("make", job)
    length, target, _ = SHAPES[model]
    tokens = BATCH * (length if model == "opt-350m" else length + target)
    best = {}
    for number in range(args.rounds):
        for name in args.dtype:
            for who, call in (("peer", measure_peer), ("ours", lambda one: measure_ours(one, args.binary))):
                result = call(dict(job, bf16=name == "bf16"))
                print(f"{model}, round {number + 1}, {name}, {who}: {result['seconds'] / (args.steps - 1):.3f} s an update, {result['peak'] / 1e9:.2f} GB", flush=True)
                old = best.get((name, who), result)
                best[name, who] = {key: min(value, old[key]) for key, value in result.items()}
    for name in args.dtype:
        his, mine = best[name, "peer"], best[name, "ours"]
        print(f"{model} {name}: {tokens * (args.steps - 1) / mine['seconds']:.0f} tokens/s, {his['seconds'] / mine['seconds']:.2f} times the peer's; "
              f"{mine['peak'] / 1e9:.2f} GB, {mine['peak'] / his['peak']:.2f} of the peer's", flush=True)  # fmt: skip
    print(f"{model}: two ranks take {memory_of_two_ranks(dict(job, steps=3), args.binary) / 1e9:.2f} GB together", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.environ.get("RANKWISE_BINARY", str(reviews.ROOT / "build" / "rankwise")))
    parser.add_argument("--model", choices=SHAPES, nargs="*", default=list(SHAPES))
    parser.add_argument("--dtype", choices=["float32", "bf16"], nargs="*", default=["float32", "bf16"])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--job", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        {"peer": peer, "make": make}[args.job[0]](json.loads(args.job[1]))
        return
    for model in args.model:
        with tempfile.TemporaryDirectory() as scratch:
            benchmark(args, model, pathlib.Path(scratch))


if __name__ == "__main__":
    main()
