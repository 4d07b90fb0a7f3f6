"""PyTorch: eager, compiled, or (`first`) eager with no run before the first.

Eager runs in the faster of its two memory formats; the compiler chooses its own.
"""
import time

import numpy as np
import torch

import models
from make_models import loss_of
from rows import optimizer


def step_of(model, row, x, y, optim):
    def step():
        optim.zero_grad(set_to_none=True)
        loss = loss_of(row.model, model(x), x, y)
        loss.backward()
        optim.step()
        return loss
    return step


class Peer:
    def __init__(self, row, folder, threads, variant):
        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)
        self.row, self.folder, self.variant = row, folder, variant
        self.call = self.choose()

    def make(self, last, lr=0.0):
        """The call that is timed, and the model in it."""
        row, compiled = self.row, self.variant == "compile"
        form = {"memory_format": torch.channels_last} if last else {}
        x, y = models.data(row)
        x = x.to(**form)
        y = x if not row.classes else y
        if row.phase == "infer":
            model = models.inference(row, self.folder).to(**form)
            call = lambda: model(x)  # noqa: E731
            if compiled:
                import torch._inductor.config as inductor
                inductor.freezing = True
                fast = torch.compile(model)
                call = lambda: fast(x)  # noqa: E731
            return torch.inference_mode()(call), model
        model = models.start(row, self.folder).to(**form).train()
        name, arguments = optimizer(row)
        optim = getattr(torch.optim, name)(model.parameters(), **{**arguments, "lr": lr})
        return step_of(torch.compile(model) if compiled else model, row, x, y, optim), model

    def choose(self):
        calls = [self.make(False)[0]]
        if self.variant == "eager" and self.row.model != "mlp":
            calls.append(self.make(True)[0])
        return min(calls, key=self.probe) if len(calls) > 1 else calls[0]

    @staticmethod
    def probe(call):
        times = []
        for _ in range(4):
            begin = time.perf_counter()
            call()
            times.append(time.perf_counter() - begin)
        return min(times)

    def run(self):
        self.call()

    def results(self):
        if self.row.phase == "infer":
            return {"output": self.call().numpy().copy()}
        step, model = self.make(False, self.row.lr)
        losses = [step().item()]
        grads = {k: p.grad.numpy().copy() for k, p in model.named_parameters()}
        losses += [step().item() for _ in range(models.STEPS - 1)]
        return {**grads, "losses": np.array(losses, dtype=np.float32)}
