"""Speed of generation beside its peer (transformers) and its floor, interleaved in one run, as ratios.

    .parity/python/bin/python tests/benchmarks/generate.py [--binary build/rankwise] [--batch 1 8] [--tokens 48] [--rounds 5]

SmolLM2-135M-Instruct of .assets (.gguf, computed in float32), greedy, prompts of 4 ids, end tokens ignored. The floor of batch 1 is
the time of reading all weights once a token, at the speed at which LibTorch sums as many numbers; of larger batches the time of the
products alone (mm with each weight of the model). Each round measures every one of them; the best round counts. --keep adds our
speed and peak of memory with --base_dtype keep.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from reviews import ROOT, measure

GGUF = ROOT / ".assets" / "SmolLM2-135M-Instruct.gguf"
LINEARS = [(576, 576, 60), (576, 192, 60), (576, 1536, 60), (1536, 576, 30), (576, 49152, 1)]  # (in, out, how many)
NUMBERS = sum(inputs * outputs * count for inputs, outputs, count in LINEARS)


def prompts(batch):
    return [[504, 1000 + row, 282, 2000 + row] for row in range(batch)]


def seconds_of(call, repeats):
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


class Peer:
    """A process of its own that holds transformers' model and the floor's weights, and measures on request."""

    def __init__(self, threads):
        words = [sys.executable, __file__, "--serve", str(threads)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def ask(self, **what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def serve(threads):
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(GGUF.parent, gguf_file=GGUF.name, dtype=torch.float32).eval()
    model.generation_config.eos_token_id = model.config.eos_token_id = None
    weights = [torch.randn(outputs, inputs) for inputs, outputs, count in LINEARS for _ in range(count)]
    for line in sys.stdin:
        asked = json.loads(line)
        batch, tokens = asked["batch"], asked["tokens"]
        with torch.inference_mode():
            if asked["who"] == "peer":
                ids = torch.tensor(prompts(batch))
                made = []
                seconds = seconds_of(
                    lambda: made.append(model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False,
                                                       pad_token_id=0)), 1)  # fmt: skip
                answer = {"seconds": seconds, "ids": made[0][:, ids.shape[1]:].tolist()}
            elif batch == 1:
                answer = {"seconds": tokens * seconds_of(lambda: [weight.sum() for weight in weights], 5)}
            else:
                inputs = {size: torch.randn(batch, size) for size in (576, 1536)}
                answer = {"seconds": tokens * seconds_of(lambda: [inputs[w.shape[1]].mm(w.t()) for w in weights], 5)}
        print(json.dumps(answer), flush=True)


def measure_ours(binary, file, tokens, threads, *more):
    """Seconds of generation as the binary says them, its texts, and its peak of resident bytes."""
    with tempfile.TemporaryDirectory() as folder:
        output, said = pathlib.Path(folder, "texts.jsonl"), pathlib.Path(folder, "said")
        words = [binary, "generate", "--model_name_or_path", GGUF, "--task_type", "CAUSAL_LM", "--prompt_file", file, "--ignore_eos",
                 "--max_new_tokens", tokens, "--threads", threads, "--output_file", output, *more]  # fmt: skip
        _, peak = measure(["bash", "-c", 'exec "$@" 2>"$0"', said, *words])
        seconds = float(re.search(r"new tokens in ([0-9.]+) s", said.read_text())[1])
        return seconds, [json.loads(line)["new_ids"] for line in output.read_text().splitlines()], peak


def benchmark(args, batch, peer, folder):
    file = folder / f"prompts{batch}.jsonl"
    file.write_text("".join(json.dumps({"input_ids": ids}) + "\n" for ids in prompts(batch)))
    kinds = {"ours": []} | ({"keep": ["--base_dtype", "keep"]} if args.keep else {})
    best, peaks = {}, {}
    for _ in range(args.rounds):
        seconds = {"floor": peer.ask(who="floor", batch=batch, tokens=args.tokens)["seconds"]}
        theirs = peer.ask(who="peer", batch=batch, tokens=args.tokens)
        seconds["peer"] = theirs["seconds"]
        for who, words in kinds.items():
            seconds[who], ids, peaks[who] = measure_ours(args.binary, file, args.tokens, args.threads, *words)
            if ids != theirs["ids"]:
                print(f"{who}: the texts differ from transformers'")
        best = {who: min(best.get(who, value), value) for who, value in seconds.items()}
    count = batch * args.tokens
    print(f"\nbatch {batch:<4} {'tokens/s':>10} {'/ peer':>8} {'/ floor':>8} {'peak MB':>8}")
    for who, seconds in best.items():
        line = f"{who:10} {count / seconds:10.1f} {best['peer'] / seconds:8.2f} {best['floor'] / seconds:8.3f}"
        print(line + (f" {peaks[who] / 1e6:8.0f}" if who in peaks else ""))
    if batch == 1:
        print(f"floor: {4 * NUMBERS * args.tokens / best['floor'] / 1e9:.1f} GB/s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.environ.get("RANKWISE_BINARY", str(ROOT / "build" / "rankwise")))
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
        return
    peer = Peer(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        for batch in args.batch:
            benchmark(args, batch, peer, pathlib.Path(folder))


if __name__ == "__main__":
    main()
