"""Writes loraplus.json: 5 steps of AdamW with peft's create_loraplus_optimizer on a tiny module with every group: LoRA of
an embedding and of linears, trained biases, a norm and a module that is saved whole. Run: python make_loraplus.py"""
import json
import pathlib

import torch
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer

RATE, RATIO, DECAY, EMBEDDING_RATE, STEPS = 1e-2, 16.0, 0.1, 3e-3, 5


class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(5, 4)
        self.dense = torch.nn.Linear(4, 3)
        self.norm = torch.nn.LayerNorm(3)
        self.classifier = torch.nn.Linear(3, 2)

    def forward(self, ids):
        return self.classifier(self.norm(self.dense(self.words(ids))))


torch.manual_seed(3)
model = get_peft_model(Tiny(), LoraConfig(r=2, target_modules=["words", "dense"], modules_to_save=["classifier"], bias="all"))
optimizer = create_loraplus_optimizer(model, torch.optim.AdamW, lr=RATE, loraplus_lr_ratio=RATIO, loraplus_weight_decay=DECAY,
                                      loraplus_lr_embedding=EMBEDDING_RATE)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / STEPS)
trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def values():
    return torch.cat([p.detach().flatten() for _, p in trained]).tolist()


for _, p in trained:
    p.data += torch.randn_like(p) * 0.1
result = {
    "learning_rate": RATE, "lr_ratio": RATIO, "weight_decay": DECAY, "lr_embedding": EMBEDDING_RATE,
    # a Trainer decays all but biases and norms
    "trainables": [{"name": name.replace(".default", ""), "shape": list(p.shape), "decays": "bias" not in name and "norm" not in name}
                   for name, p in trained],
    "start": values(), "steps": [],
}
for step in range(STEPS):
    for _, p in trained:
        p.grad = torch.randn_like(p) * 10.0 ** (-step)
    gradient = torch.cat([p.grad.flatten() for _, p in trained]).tolist()
    optimizer.step()
    schedule.step()
    result["steps"].append({"factor": 1 - step / STEPS, "gradient": gradient, "value": values()})
text = json.dumps(result).replace('{"factor"', '\n{"factor"')
pathlib.Path(__file__).with_name("loraplus.json").write_text(text + "\n")
