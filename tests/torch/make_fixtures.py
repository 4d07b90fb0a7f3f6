"""Writes tests/fixtures/*.safetensors and *.jsonl from PyTorch. README.md beside this says how and what.

The models below are those of tests/fixtures/*.yaml, written by hand a second time. Weights, inputs and batches are
drawn in float32; the steps run in float64, so that the stored numbers carry no rounding of their own. What PyTorch
itself loses in float32 is printed, as a yardstick for the tests' tolerances.
"""
import copy
import json
import pathlib
from collections import OrderedDict

import torch
from safetensors.torch import save_file
from torch import nn

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
BATCHES, STEPS = 3, 10


def cnn_small():
    width, hidden = 4, 16
    return nn.Sequential(OrderedDict(
        conv1=nn.Conv2d(1, width, 3, padding=1), relu1=nn.ReLU(), pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(width, width * 2, 3, padding=1), relu2=nn.ReLU(), pool2=nn.MaxPool2d(2),
        flat=nn.Flatten(), fc1=nn.Linear(width * 2 * 7 * 7, hidden), relu3=nn.ReLU(), fc2=nn.Linear(hidden, 10)))


def bn_small():
    return nn.Sequential(OrderedDict(
        conv1=nn.Conv2d(3, 5, 3, padding=1, bias=False), bn1=nn.BatchNorm2d(5), relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(5, 7, 3, padding=1, bias=False), bn2=nn.BatchNorm2d(7), relu2=nn.ReLU(),
        avgpool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), fc=nn.Linear(7, 4)))


class OpsSmall(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.norm, self.act = nn.LayerNorm([6, 7, 6]), nn.PReLU()
        self.depth, self.group = nn.Conv2d(6, 12, 3, padding=1, groups=6), nn.GroupNorm(3, 12)
        self.up = nn.ConvTranspose2d(12, 5, 3, stride=2, padding=1, bias=False)
        self.inst, self.prelu = nn.InstanceNorm2d(5, affine=True), nn.PReLU(5)
        self.gate = nn.Sequential(OrderedDict(
            pool=nn.AdaptiveAvgPool2d(1), conv=nn.Conv2d(8, 8, 1), act=nn.Hardsigmoid()))
        self.pad = nn.ReflectionPad2d((1, 2, 2, 1))
        self.row, self.fc = nn.LayerNorm(48), nn.Linear(48, 4)

    def forward(self, image):
        x = self.act(self.norm(self.down(image)))
        x = nn.functional.hardswish(self.group(self.depth(x)))
        skip = torch.cat([self.prelu(self.inst(self.up(x))), image], 1)
        x = nn.functional.interpolate(self.pad(skip * self.gate(skip)), size=(9, 8), mode="bilinear")
        x = nn.functional.adaptive_max_pool2d(nn.functional.silu(x), (3, 2))
        return self.fc(self.row(x.flatten(1)))


def optimizer_of(text, parameters):
    """The optimizer as a description has it: its names are PyTorch's."""
    def make(kind):
        return lambda **arguments: kind(parameters, **arguments)
    names = {"SGD": make(torch.optim.SGD), "Adam": make(torch.optim.Adam), "AdamW": make(torch.optim.AdamW),
             "RMSprop": make(torch.optim.RMSprop), "Adagrad": make(torch.optim.Adagrad)}
    return eval(text, {"__builtins__": {}, "true": True, "false": False, **names})


def batch_of(step, batch, *tensors):
    start = step % BATCHES * batch
    return [tensor[start:start + batch] for tensor in tensors]


def train(model, text, batch, x, y, loss_of):
    """STEPS steps over the batches in turn -> the losses, and the gradients of the first step."""
    model.train()
    optimizer = optimizer_of(text, model.parameters())
    losses, first = [], None
    for step in range(STEPS):
        bx, by = batch_of(step, batch, x, y)
        optimizer.zero_grad()
        loss = loss_of(model(bx), by)
        loss.backward()
        if first is None:
            first = {key: p.grad.clone() for key, p in model.named_parameters()}
        optimizer.step()
        losses.append(loss.item())
    return losses, first


def far(a, b):
    a, b = a.double().flatten(), b.double().flatten()
    return ((a - b).norm() / b.norm().clamp_min(1e-30)).item()


def save(name, tensors):
    save_file({key: t.float().contiguous() if t.is_floating_point() else t.contiguous()
               for key, t in tensors.items()}, FIXTURES / f"{name}.safetensors")


def weights_of(model):
    return {key: t for key, t in model.state_dict().items() if not key.endswith("num_batches_tracked")}


def fixture(name, make, batch, shape, classes, optimizers, loss_of=nn.functional.cross_entropy):
    torch.manual_seed(20240229)
    start = make()
    for module in start.modules():  # running statistics that evaluation mode can be seen to use
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    x = torch.randn(BATCHES * batch, *shape)
    y = torch.randint(classes, (BATCHES * batch,))
    save(f"{name}.init", start.state_dict())
    save(f"{name}.input", {"input": x})
    save(f"{name}.target", {"target": y})

    with torch.no_grad():
        output = copy.deepcopy(start).double().eval()(x.double())
        single = copy.deepcopy(start).eval()(x)
    save(f"{name}.output", {"output": output})
    print(f"{name}: float32 differs from float64 by {far(single, output):.1e} in the output")

    for key, text in optimizers.items():
        model, low = copy.deepcopy(start).double(), copy.deepcopy(start)
        losses, grads = train(model, text, batch, x.double(), y, loss_of)
        low_losses, low_grads = train(low, text, batch, x, y, loss_of)
        save(f"{name}.{key}", weights_of(model))
        (FIXTURES / f"{name}.{key}.jsonl").write_text(
            "".join(json.dumps({"step": i + 1, "loss": loss}) + "\n" for i, loss in enumerate(losses)))
        if key == "sgd":
            save(f"{name}.grads", grads)
            print(f"{name}: {max(far(low_grads[k], grads[k]) for k in grads):.1e} in the gradients")
        low_weights = weights_of(low)
        print(f"{name}: {key}: {max(far(low_weights[k], t) for k, t in weights_of(model).items()):.1e} in the weights, "
              f"{far(torch.tensor(low_losses), torch.tensor(losses)):.1e} in the losses")


def weighted_loss(output, target):
    weight = torch.tensor([1, 2, 0.5, 1], dtype=output.dtype)
    return nn.functional.cross_entropy(output, target, weight=weight, label_smoothing=0.1)


def optimizers_in(name):
    return dict(line.split(" ", 1) for line in (FIXTURES / name).read_text().splitlines())


def main():
    torch.set_num_threads(1)
    optimizers = optimizers_in("optimizers")
    fixture("cnn_small", cnn_small, 8, (1, 28, 28), 10, optimizers)
    fixture("bn_small", bn_small, 6, (3, 13, 11), 4, optimizers)
    fixture("ops_small", OpsSmall, 6, (3, 13, 11), 4, optimizers_in("ops_small.optimizers"), weighted_loss)


if __name__ == "__main__":
    main()
