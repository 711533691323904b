"""Writes schedules.json: learning rate factors of transformers' get_scheduler (4.57.6), and of torch's
ReduceLROnPlateau fed with metrics. Run: python make_schedules.py > schedules.json"""
import json

import torch
from transformers import get_scheduler

STEPS = (0, 1, 2, 3, 5, 7, 10, 13, 17, 19, 20, 22)
METRICS = (1.0, 0.9, 0.9, 0.89995, 0.95, 0.8, 0.85, 0.81, 0.82, 0.79999, 0.9, 1.0, float("nan"), 0.1)
HORIZONS = ((0, 20), (3, 20), (1, 7), (20, 20))

KWARGS = {
    "linear": [{}],
    "cosine": [{}, {"num_cycles": 2}, {"num_cycles": 1.25}],
    "cosine_with_restarts": [{}, {"num_cycles": 3}],
    "polynomial": [{}, {"power": 2.5}, {"lr_end": 1e-5, "power": 0.5}],
    "constant": [{}],
    "constant_with_warmup": [{}],
    "inverse_sqrt": [{}],
    "cosine_with_min_lr": [{"min_lr": 1e-5}, {"min_lr_rate": 0.1, "num_cycles": 1.5}, {"min_lr": None, "min_lr_rate": 0}],
    "cosine_warmup_with_min_lr": [{"min_lr": 1e-5}, {"min_lr_rate": 0.1, "warmup_lr_rate": 0.05, "num_cycles": 0.75}],
    "warmup_stable_decay": [
        {"num_decay_steps": 5},
        {"num_decay_steps": 6, "min_lr_ratio": 0.1, "warmup_type": "cosine", "decay_type": "linear"},
        {"num_decay_steps": 4, "num_stable_steps": 2, "warmup_type": "1-sqrt", "decay_type": "1-sqrt", "min_lr_ratio": 0.2},
        {"num_decay_steps": 8, "num_cycles": 1.5},
    ],
}
PLATEAU = [
    {"patience": 0},
    {"patience": 1, "factor": 0.5},
    {"patience": 0, "factor": 0.5, "cooldown": 2, "threshold": 0.05},
    {"patience": 1, "factor": 0.3, "threshold_mode": "abs", "threshold": 0.01, "min_lr": 4e-5},
    {"mode": "max", "patience": 0, "factor": 0.9},
    {"mode": "max", "threshold_mode": "abs", "patience": 2, "factor": 0.1, "eps": 1e-4},
    {},
]


def optimizer(rate):
    return torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def pure_cases(rate):
    for name, choices in KWARGS.items():
        for kwargs in choices:
            for warmup, total in HORIZONS:
                scheduler = get_scheduler(name, optimizer(rate), warmup, total, dict(kwargs))
                # the polynomial of transformers divides by zero at step T = W
                steps = [s for s in STEPS if not (name == "polynomial" and s == warmup == total)]
                factors = [float(scheduler.lr_lambdas[0](s)) for s in steps]
                yield {"type": name, "rate": rate, "warmup": warmup, "total": total, "kwargs": kwargs,
                       "steps": steps, "factors": factors}


def plateau_cases(rate):
    for kwargs in PLATEAU:
        opt = optimizer(rate)
        scheduler = get_scheduler("reduce_lr_on_plateau", opt, None, None, kwargs)
        rates = []
        for metric in METRICS:
            scheduler.step(metric)
            rates.append(opt.param_groups[0]["lr"])
        yield {"kwargs": kwargs, "rate": rate, "rates": rates}


def lines(values):
    return "[\n" + ",\n".join(json.dumps(value) for value in values) + "\n]"


metrics = [metric if metric == metric else None for metric in METRICS]
print('{"pure":', lines(pure_cases(1e-3)), ',\n"metrics":', json.dumps(metrics),
      ',\n"plateau":', lines(plateau_cases(1e-3)), "}")
