"""Reads a run's event files with TensorBoard's own EventAccumulator; prints "tag step value" lines.

in: the run's folder"""
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1])
events.Reload()
for tag in sorted(events.Tags()["scalars"]):
    for e in events.Scalars(tag):
        print(tag, e.step, "%.6g" % e.value)
