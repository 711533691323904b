"""Writes tensorboard.json: TFRecords (hex) that TensorFlow's and torch's own writers make of a few events, with fixed
wall times. Run: python make_tensorboard.py > tensorboard.json"""
import io
import json

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import scalar, text


def record(event):
    file = io.BytesIO()
    RecordWriter(file).write(event.SerializeToString())
    return file.getvalue().hex()


WALL = 1700000000.25
SCALARS = [("train/loss", 0, 0.6931471805599453), ("eval/accuracy", 10, 0.84), ("train/x", 300, -1e-8),
           ("t" * 200, 3_000_000_000, 0.0)]
TEXTS = [("args", '{"learning_rate": 5e-05}'), ("empty", ""), ("long", "é" * 300)]

print(json.dumps({
    "wall_time": WALL,
    "version": record(Event(wall_time=WALL, file_version="brain.Event:2")),
    "session_start": {"step": 21, "record": record(Event(wall_time=WALL, step=21, session_log=SessionLog(status=SessionLog.START)))},
    "scalars": [{"tag": tag, "step": step, "value": value,
                 "record": record(Event(wall_time=WALL, step=step, summary=scalar(tag, value, new_style=False)))}
                for tag, step, value in SCALARS],
    "texts": [{"tag": tag, "value": value, "record": record(Event(wall_time=WALL, step=0, summary=text(tag, value)))}
              for tag, value in TEXTS],
}, indent=1))
