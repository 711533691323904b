"""Trains the networks behind virtual tokens, which no folder of peft's holds, with peft and with our binary from the same values, and compares.

    RANKWISE_BINARY=build/rankwise .parity/python/bin/python tests/parity/prompt_networks.py [--seed N] [--family F ...]

P-tuning's MLP and LSTM and prefix tuning's projection, SEQ_CLS: our checkpoint of a training at rate 0 has the initial values (read by h5dump);
then the losses of four updates and the virtual tokens that come of them. Exits with 1 if anything differs.
"""

import argparse
import json
import random
import subprocess

import heads  # first: it puts this folder behind the packages
import torch
from compare import Differences, call, metrics, run_cases
from peft import PrefixTuningConfig, PromptEncoderConfig, get_peft_model
from safetensors.torch import load_file

TASK, TOKENS, HIDDEN = "SEQ_CLS", 4, 8
NETWORKS = {  # our options, peft's config
    "mlp": (["P_TUNING"], lambda: PromptEncoderConfig(task_type=TASK, num_virtual_tokens=TOKENS, encoder_hidden_size=HIDDEN)),
    "lstm": (["P_TUNING", "--encoder_reparameterization_type", "LSTM"],
             lambda: PromptEncoderConfig(task_type=TASK, num_virtual_tokens=TOKENS, encoder_hidden_size=HIDDEN, encoder_reparameterization_type="LSTM")),
    "lstm, 3 layers": (["P_TUNING", "--encoder_reparameterization_type", "LSTM", "--encoder_num_layers", 3],
                       lambda: PromptEncoderConfig(task_type=TASK, num_virtual_tokens=TOKENS, encoder_hidden_size=HIDDEN,
                                                   encoder_reparameterization_type="LSTM", encoder_num_layers=3)),
    "projection": (["PREFIX_TUNING", "--prefix_projection"],
                   lambda: PrefixTuningConfig(task_type=TASK, num_virtual_tokens=TOKENS, encoder_hidden_size=HIDDEN, prefix_projection=True)),
}  # fmt: skip


def read_dataset(state, name, like, scratch):
    subprocess.run(["h5dump", "-d", f"/adapter/{name}", "-b", "LE", "-o", scratch, state], check=True, capture_output=True)
    return torch.frombuffer(bytearray(scratch.read_bytes()), dtype=torch.float32).reshape(like.shape)


def train_with_peft(base, config, rows, pad, state, folder):
    model = get_peft_model(heads.load_base(base, TASK), config).eval()
    model.row_by_row = True
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    with torch.no_grad():
        for name, value in trained.items():
            ours = name.replace("prompt_encoder.default.", "prompt_encoder.").replace("modules_to_save.default.", "")
            value.copy_(read_dataset(state, ours, value, folder / "dataset"))
    optimizer = torch.optim.AdamW(trained.values(), lr=heads.RATE, weight_decay=0.0)
    losses = []
    for _ in range(heads.UPDATES):
        loss = heads.loss_of(model, rows, TASK, pad)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    model.save_pretrained(folder / "theirs")
    return losses


def compare(family, network, config, folder, source, differences):
    where = f"{family} {network}"
    words, peft_config = NETWORKS[network]
    config.num_labels, config.pad_token_id = heads.LABELS, config.pad_token_id or 0
    heads.make_model(config, TASK, folder / "base", source)
    rows, file = heads.make_rows(TASK, family in heads.TYPED, None, source), folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def train(to, updates, rate):
        call("finetune", "--model_name_or_path", folder / "base", "--task_type", TASK, "--num_labels", heads.LABELS, "--train_file", file,
             "--output_dir", to, "--peft_type", *words, "--num_virtual_tokens", TOKENS, "--encoder_hidden_size", HIDDEN,
             "--per_device_train_batch_size", 2, "--global_batch_size", heads.ROWS, "--learning_rate", rate, "--lr_scheduler_type", "constant",
             "--logging_steps", 1, "--save_steps", updates, "--max_steps", updates, "--model_dropout", 0)  # fmt: skip
        return metrics(to, "loss")

    train(folder / "start", 1, 0)
    losses = train_with_peft(folder / "base", peft_config(), rows, config.pad_token_id, folder / "start" / "checkpoint-1" / "state.h5", folder)
    for number, (mine, his) in enumerate(zip(train(folder / "ours", heads.UPDATES, heads.RATE), losses, strict=True)):
        differences.close(mine, his, (1e-3 if number else 2e-5) * max(1, abs(his)), f"{where}, loss {number}")
    start, ours, theirs = (load_file(folder / name / "adapter_model.safetensors")["prompt_embeddings"] for name in ("start", "ours", "theirs"))
    way, off = (theirs - start).norm().item(), (ours - theirs).norm().item()
    differences.check(0 < way and off <= 0.05 * way, where, f"prompt_embeddings: off by {off:.2e} after a way of {way:.2e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--family", nargs="*", default=["bert", "gpt2", "llama"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"seed {args.seed}", flush=True)
    source, differences = random.Random(args.seed), Differences()
    models = heads.configs(source)
    cases = {f"{family} {network}": lambda folder, which=(family, network, models[family]): compare(*which, folder, source, differences)
             for family in args.family for network in NETWORKS}  # fmt: skip
    run_cases("prompt_networks", cases, differences)


if __name__ == "__main__":
    main()
