"""Our LoRA of a GGUF base in llama.cpp: the most likely next tokens after held-out prompts.

    RANKWISE_BINARY=build/rankwise .parity/python/bin/python tests/parity/llama_cpp.py [--updates 60] [--prompts 200]

Trains SmolLM2-135M-Instruct of .assets/ on the reviews, writes the adapter as GGUF and asks llama.cpp (PyPI's llama-cpp-python, which is
built from source and so not part of `environment`: without it this says so and is content). Of the prompts after which base and adapted
model differ here, llama.cpp must agree with the adapted one on 90 %; its products round activations to 8 bits. Exits with 1 if not.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.append(sys.path.pop(0))  # this folder goes last: one script in it is called like a library
from compare import BINARY, call

ASSETS = pathlib.Path(__file__).resolve().parents[2] / ".assets"
BASE, REVIEWS = ASSETS / "SmolLM2-135M-Instruct.gguf", ASSETS / "reviews"
FEWEST, SHARE, PROMPT_TOKENS = 20, 0.9, 12


def next_tokens(prompts, folder, *adapter):
    file, output = folder / "prompts.jsonl", folder / "next.jsonl"
    file.write_text("".join(json.dumps({"input_ids": ids}) + "\n" for ids in prompts))
    call("generate", "--model_name_or_path", BASE, "--task_type", "CAUSAL_LM", "--prompt_file", file, "--output_file", output, "--max_new_tokens", 1,
         "--ignore_eos", *adapter, threads=2)  # fmt: skip
    return [json.loads(line)["new_ids"][0] for line in output.read_text().splitlines()]


def without_repacked_weights(library):
    """llama.cpp repacks weights for AMX where there is any, and then crashes with an adapter (0.3.36)."""
    original = library.llama_model_default_params

    def parameters():
        values = original()
        values.use_extra_bufts = False
        return values

    library.llama_model_default_params = parameters


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--prompts", type=int, default=200)
    args = parser.parse_args()
    try:
        import llama_cpp
    except ImportError:
        print("llama_cpp: skipped, since llama-cpp-python is not installed")
        return
    without_repacked_weights(llama_cpp.llama_cpp)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        call("finetune", "--model_name_or_path", BASE, "--task_type", "CAUSAL_LM", "--train_file", REVIEWS / "train.tsv", "--output_dir", folder / "lora",
             "--r", 8, "--lora_alpha", 32, "--learning_rate", 1e-3, "--max_steps", args.updates, "--per_device_train_batch_size", 8,
             "--save_strategy", "no", threads=2, timeout=1800)  # fmt: skip
        subprocess.run([BINARY, "convert", "--adapter_name_or_path", folder / "lora", "--output", folder / "lora.gguf", "--model_name_or_path", BASE], check=True)
        plain = llama_cpp.Llama(str(BASE), n_ctx=64, n_threads=2, verbose=False)
        texts = [line.split("\t", 1)[1] for line in (REVIEWS / "validation.tsv").read_text(encoding="utf-8").splitlines()[1 : 1 + args.prompts]]
        prompts = [plain.tokenize(text.encode(), add_bos=False)[:PROMPT_TOKENS] for text in texts]
        base, adapted = next_tokens(prompts, folder), next_tokens(prompts, folder, "--adapter_name_or_path", folder / "lora")
        differ = [number for number in range(len(prompts)) if base[number] != adapted[number]]
        model = llama_cpp.Llama(str(BASE), lora_path=str(folder / "lora.gguf"), n_ctx=64, n_threads=2, verbose=False)
        agree = 0
        for number in differ:
            model.reset()
            agree += next(iter(model.generate(prompts[number], temp=0.0))) == adapted[number]
    print(f"llama_cpp: {agree} of {len(differ)} prompts with the adapted model ({len(prompts)} asked)")
    sys.exit(0 if len(differ) >= FEWEST and agree >= SHARE * len(differ) else 1)


if __name__ == "__main__":
    main()
