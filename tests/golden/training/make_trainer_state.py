"""Writes trainer_state.json: what a Trainer of transformers 4.57.6 leaves after a few steps with evaluation, best model
and early stopping. Run: python make_trainer_state.py"""
import json
import pathlib
import tempfile

import torch
from transformers import BertConfig, BertForSequenceClassification, EarlyStoppingCallback, Trainer, TrainingArguments

torch.manual_seed(0)
model = BertForSequenceClassification(BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                                                 intermediate_size=16, max_position_embeddings=16))
rows = [{"input_ids": torch.randint(0, 50, (8,)), "labels": i % 2} for i in range(16)]
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(folder, max_steps=4, per_device_train_batch_size=4, logging_steps=2, eval_strategy="steps",
                                  eval_steps=2, save_steps=2, load_best_model_at_end=True, report_to=[], use_cpu=True)
    trainer = Trainer(model, arguments, train_dataset=rows, eval_dataset=rows, callbacks=[EarlyStoppingCallback(3, 0.01)])
    trainer.train()
    trainer.save_state()
    text = pathlib.Path(folder, "trainer_state.json").read_text().replace(folder, "out")
pathlib.Path(__file__).with_name("trainer_state.json").write_text(text)
