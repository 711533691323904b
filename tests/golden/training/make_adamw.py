"""Writes adamw.json: 20 steps of torch.optim.AdamW (float32) with two groups (decay; none, at another rate), a rate
that changes, and gradients clipped as torch.nn.utils.clip_grad_norm_ does. Run: python make_adamw.py > adamw.json"""
import json

import torch

ELEMENTS, DECAYING, STEPS, MAX_NORM = 20, 12, 20, 1.0
torch.manual_seed(7)
decaying = torch.nn.Parameter(torch.randn(DECAYING))
plain = torch.nn.Parameter(torch.randn(ELEMENTS - DECAYING) * 1e-2)
start = torch.cat([decaying, plain]).tolist()
optimizer = torch.optim.AdamW(
    [{"params": [decaying], "weight_decay": 0.1}, {"params": [plain], "weight_decay": 0.0}],
    lr=1e-2, betas=(0.9, 0.98), eps=1e-6, foreach=False, fused=False)

steps = []
for step in range(STEPS):
    rate = 1e-2 * (1 - step / STEPS)
    optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = rate, 4 * rate
    gradient = torch.randn(ELEMENTS) * 10.0 ** (-(step % 5))
    gradient[3] = 0  # an element that only decays
    decaying.grad, plain.grad = gradient[:DECAYING].clone(), gradient[DECAYING:].clone()
    norm = torch.nn.utils.clip_grad_norm_([decaying, plain], MAX_NORM)
    optimizer.step()
    steps.append({"rate": rate, "gradient": gradient.tolist(), "norm": norm.item(),
                  "value": torch.cat([decaying, plain]).tolist()})
state = [optimizer.state[p] for p in (decaying, plain)]
print(json.dumps({"start": start, "decaying": DECAYING, "weight_decay": 0.1, "beta1": 0.9, "beta2": 0.98, "epsilon": 1e-6,
                  "second_rate_scale": 4, "max_norm": MAX_NORM,
                  "exp_avg": torch.cat([s["exp_avg"] for s in state]).tolist(),
                  "exp_avg_sq": torch.cat([s["exp_avg_sq"] for s in state]).tolist(), "steps": steps}).replace('{"rate"', '\n{"rate"'))
