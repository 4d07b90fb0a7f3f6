"""PyTorch: eager, compiled, or (`first`) eager with no run before the first.

Eager runs in the faster of its two memory formats; the compiler chooses its own.
"""
import time

import numpy as np
import torch
from safetensors.torch import load_file

import models
from make_models import loss_of
from rows import optimizer

ENOUGH = 2  # seconds of looking which memory format is the faster


class Call:
    """A model that is ready to run, in a memory format."""

    def __init__(self, row, folder, compiled, form):
        self.row, self.weights = row, folder / "weights.safetensors"
        infer = row.phase == "infer"
        self.model = (models.inference if infer else models.start)(row, folder).train(not infer).to(memory_format=form)
        x, y = models.data(row)
        self.x = x.to(memory_format=form) if x.dim() == 4 else x
        self.y = y if row.classes else self.x
        self.forward = torch.compile(self.model) if compiled else self.model
        self.optim = None if infer else self.optimizer(0.0)
        self.run = torch.inference_mode()(self.infer) if infer else self.step

    def optimizer(self, lr):
        name, arguments = optimizer(self.row)
        return getattr(torch.optim, name)(self.model.parameters(), **{**arguments, "lr": lr})

    def infer(self):
        return self.forward(self.x)

    def step(self):
        self.optim.zero_grad(set_to_none=True)
        loss = loss_of(self.row.model, self.forward(self.x), self.x, self.y)
        loss.backward()
        self.optim.step()
        return loss

    def results(self):
        if self.row.phase == "infer":
            return {"output": np.ascontiguousarray(self.run().numpy())}
        self.model.load_state_dict(load_file(self.weights))
        timed, self.optim = self.optim, self.optimizer(self.row.lr)
        losses = [self.run().item()]
        grads = {k: np.ascontiguousarray(p.grad.numpy()) for k, p in self.model.named_parameters()}
        losses += [self.run().item() for _ in range(models.STEPS - 1)]
        self.model.load_state_dict(load_file(self.weights))
        self.optim = timed
        return {**grads, "losses": np.array(losses, dtype=np.float32)}


def probe(call):
    """Seconds of a run: the best of a few, after the first."""
    call.run()
    end, times = time.perf_counter() + ENOUGH, []
    while not times or (len(times) < 5 and time.perf_counter() < end):
        begin = time.perf_counter()
        call.run()
        times.append(time.perf_counter() - begin)
    return min(times)


class Peer:
    def __init__(self, row, folder, threads, variant):
        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)
        if row.phase == "infer":
            import torch._inductor.config as inductor
            inductor.freezing = True
        forms = [torch.contiguous_format]
        if variant == "eager" and row.model != "mlp":
            forms.append(torch.channels_last)
        calls = [Call(row, folder, variant == "compile", form) for form in forms]
        self.call = min(calls, key=probe) if len(calls) > 1 else calls[0]

    def run(self):
        self.call.run()

    def results(self):
        return self.call.results()
