"""Writes tests/fixtures/models/*.keys and *.safetensors from PyTorch. README.md beside this says how and what.

    make_models.py [CASE...]      the cases of tests/fixtures/models/cases, or only these

Architectures are torchvision's where it has them; the others stand below, with the names of models/*.yaml.
"""
import contextlib
import copy
import math
import pathlib
import sys
from collections import OrderedDict

import numpy as np
import torch
import torchvision
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional as F

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "models"
STEPS, MOMENTUM, DECAY = 5, 0.9, 0.0005
SAMPLES = {"output": 1024, "grads": 32, "buffers": 32, "changes": 8}
ZERO = 1e-12  # of the largest norm of a section: a tensor below it is zero but for rounding, and so compared
FLOOR = {"changes": 1e-4}  # what is allowed at least; 1e-5 elsewhere

# ---- numbers: the same formula as in tests/e2e/parity.c ----

VALUES, POSITIONS, SIGNS = range(3)


def key_hash(key):
    h = 0xCBF29CE484222325
    for byte in key.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def random_bits(key, stream, n):
    start = (key_hash(key) + stream * 0xD1B54A32D192ED03) % 2**64
    z = np.uint64(start) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return z ^ z >> np.uint64(31)


def values(key, shape, low, high):
    u = (random_bits(key, VALUES, math.prod(shape)) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return (low + (high - low) * u).reshape(shape)


def range_of(key, tensor, module):
    """What a tensor of a state_dict is, and the range of its values.

    Gradients jump where ReLU and MaxPool2d bend, and in a deep model there is always an activation that float32 puts on
    the other side. BatchNorm2d has positive biases here, which keep all but a few percent of them away from there.
    """
    norm = isinstance(module, nn.BatchNorm2d)
    last = key.rsplit(".", 1)[1]
    if last == "num_batches_tracked":
        return "counter", 0, 0
    if last in ("running_mean", "running_var"):
        return "buffer", *((-0.1, 0.1) if last == "running_mean" else (0.5, 1.5))
    if norm:
        return "param", *((2, 3) if last == "bias" else (0.5, 0.9))
    if last == "bias":
        return "param", -0.1, 0.1
    transposed = isinstance(module, nn.ConvTranspose2d)
    fan_in = tensor.numel() // tensor.shape[1 if transposed else 0]
    if transposed:  # how many of the kernel's values reach one place
        fan_in = fan_in / math.prod(module.stride)
    limit = float(f"{math.sqrt(6 / fan_in):.6g}")
    return "param", -limit, limit


def list_of(model):
    modules = dict(model.named_modules())
    return [(key, tuple(t.shape), *range_of(key, t, modules[key.rsplit(".", 1)[0]]))
            for key, t in model.state_dict().items()]


def line_of(key, shape, kind, low, high):
    return f"{kind} {key} {','.join(map(str, shape)) or '-'} {low} {high}\n"


# ---- models ----

def named(**modules):
    return nn.Sequential(OrderedDict(modules))


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = named(fc1=nn.Linear(784, 128), act1=nn.ReLU(), fc2=nn.Linear(128, 32), act2=nn.ReLU())
        self.decoder = named(fc1=nn.Linear(32, 128), act1=nn.ReLU(), fc2=nn.Linear(128, 784), act2=nn.Sigmoid())

    def forward(self, x):
        return self.decoder(self.encoder(x.flatten(1))).view_as(x)


class ConvAutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU())
        self.decoder = nn.Sequential(nn.ConvTranspose2d(32, 16, 3, 2, 1, 1), nn.ReLU(),
                                     nn.ConvTranspose2d(16, 1, 3, 2, 1, 1), nn.Sigmoid())

    def forward(self, x):
        return self.decoder(self.encoder(x))


def double(channels, planes):
    return nn.Sequential(nn.Conv2d(channels, planes, 3, padding=1, bias=False), nn.BatchNorm2d(planes), nn.ReLU(),
                         nn.Conv2d(planes, planes, 3, padding=1, bias=False), nn.BatchNorm2d(planes), nn.ReLU())


class UNet(nn.Module):
    def __init__(self, base=32, classes=21):
        super().__init__()
        self.enc1 = double(3, base)
        for i in (2, 3, 4):
            self.add_module(f"enc{i}", named(pool=nn.MaxPool2d(2), conv=double(base << i - 2, base << i - 1)))
        self.middle = named(pool=nn.MaxPool2d(2), conv=double(8 * base, 16 * base))
        for i in (4, 3, 2, 1):
            planes = base << i - 1
            self.add_module(f"up{i}", nn.ConvTranspose2d(2 * planes, planes, 2, stride=2))
            self.add_module(f"dec{i}", double(2 * planes, planes))
        self.out = nn.Conv2d(base, classes, 1)

    def forward(self, x):
        skips = []
        for i in (1, 2, 3, 4):
            x = self.get_submodule(f"enc{i}")(x)
            skips.append(x)
        x = self.middle(x)
        for i in (4, 3, 2, 1):
            x = self.get_submodule(f"up{i}")(x)
            x = self.get_submodule(f"dec{i}")(torch.cat([skips[i - 1], x], 1))
        return self.out(x)


class Residual(nn.Module):
    def __init__(self, planes):
        super().__init__()
        self.conv1, self.conv2 = plain(planes, planes), plain(planes, planes)

    def forward(self, x):
        return x + self.conv2(self.conv1(x))


def plain(channels, planes):
    return named(conv=nn.Conv2d(channels, planes, 3, padding=1, bias=False), bn=nn.BatchNorm2d(planes), relu=nn.ReLU())


def resnet9(width=32):
    def stage(channels, planes, res):
        rest = {"res": Residual(planes)} if res else {}
        return named(conv=plain(channels, planes), pool=nn.MaxPool2d(2), **rest)
    return named(prep=plain(1, width), layer1=stage(width, 2 * width, True), layer2=stage(2 * width, 4 * width, False),
                 layer3=stage(4 * width, 8 * width, True), pool=nn.AdaptiveMaxPool2d(1), flat=nn.Flatten(),
                 fc=nn.Linear(8 * width, 10))


def small_cnn():
    return named(conv1=nn.Conv2d(1, 32, 3, padding=1), relu1=nn.ReLU(), pool1=nn.MaxPool2d(2),
                 conv2=nn.Conv2d(32, 64, 3, padding=1), relu2=nn.ReLU(), pool2=nn.MaxPool2d(2), flat=nn.Flatten(),
                 fc1=nn.Linear(3136, 128), relu3=nn.ReLU(), fc2=nn.Linear(128, 10))


def bn_cnn(channels=1):
    def block(channels, planes):
        return named(conv=nn.Conv2d(channels, planes, 3, padding=1, bias=False), bn=nn.BatchNorm2d(planes),
                     relu=nn.ReLU(), pool=nn.MaxPool2d(2))
    return named(block1=block(channels, 32), block2=block(32, 64), avgpool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(),
                 fc=nn.Linear(64, 10))


def cnn3():
    return named(conv1=nn.Conv2d(3, 32, 3, padding=1), relu1=nn.ReLU(), pool1=nn.MaxPool2d(4),
                 conv2=nn.Conv2d(32, 64, 3, padding=1), relu2=nn.ReLU(), pool2=nn.MaxPool2d(2),
                 conv3=nn.Conv2d(64, 128, 3, padding=1), relu3=nn.ReLU(), pool3=nn.MaxPool2d(2), flat=nn.Flatten(),
                 fc=nn.LazyLinear(10))


def mlp():
    return named(flat=nn.Flatten(), fc1=nn.Linear(784, 128), act1=nn.LeakyReLU(0.01), fc2=nn.Linear(128, 128),
                 act2=nn.Sigmoid(), fc3=nn.Linear(128, 10))


def of_torchvision(name):
    return lambda: getattr(torchvision.models, name)(weights=None)


def of_segmentation(name):
    make = getattr(torchvision.models.segmentation, name)
    return lambda: make(weights=None, weights_backbone=None, num_classes=21, aux_loss=True)


MODELS = {
    "softmax_regression": lambda: named(flat=nn.Flatten(), fc=nn.Linear(784, 10)),
    "logistic_regression": lambda: named(flat=nn.Flatten(), fc=nn.Linear(784, 1)),
    "mlp": mlp, "cnn": small_cnn, "bn_cnn": bn_cnn, "cnn3": cnn3, "resnet9": resnet9,
    "autoencoder": AutoEncoder, "conv_autoencoder": ConvAutoEncoder, "unet": UNet,
    "resnet18": of_torchvision("resnet18"), "resnet34": of_torchvision("resnet34"),
    "resnet50": of_torchvision("resnet50"), "squeezenet1_1": of_torchvision("squeezenet1_1"),
    "mobilenetv2": of_torchvision("mobilenet_v2"),
    "fcn_resnet50": of_segmentation("fcn_resnet50"), "deeplabv3_resnet50": of_segmentation("deeplabv3_resnet50"),
}


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def loss_of(name, output, x, target):
    if isinstance(output, dict):
        return (F.cross_entropy(output["out"], target, ignore_index=255)
                + 0.5 * F.cross_entropy(output["aux"], target, ignore_index=255))
    if name.endswith("autoencoder"):
        return F.mse_loss(output, target)
    if name == "logistic_regression":
        return F.binary_cross_entropy_with_logits(output, target)
    return F.cross_entropy(output, target, ignore_index=255, label_smoothing=0.1 if name == "resnet9" else 0)


# ---- cases ----

class Case:
    """A line of `cases`."""

    made = {}  # the last model

    def __init__(self, line):
        self.name, self.model, lr, shape, low, high, target, self.classes = line.split()
        self.lr = float(lr)
        self.shape = tuple(map(int, shape.split(",")))
        self.low, self.high = float(low), float(high)
        self.target = tuple(map(int, target.split(","))) if target != "-" else None

    def data(self):
        """Input and target in float64 and int64; what both worlds have is rounded to float32."""
        x = torch.from_numpy(values("input", self.shape, self.low, self.high).astype(np.float32)).double()
        if not self.target:
            return x, x
        y = torch.from_numpy(np.floor(values("target", self.target, 0, int(self.classes))))
        if self.model == "logistic_regression":
            return x, y.double()
        if len(self.target) == 1:
            return x, y.long()
        y[y == int(self.classes) - 1] = 255
        return x, y.long().squeeze(1)

    def start(self):
        """The model with its weights, and their list."""
        if self.model not in Case.made:
            model = without_dropout(MODELS[self.model]())
            with torch.no_grad():
                model(torch.zeros(2, *self.shape[1:]))  # makes the lazy modules; the statistics are set below
            entries = list_of(model)
            model.load_state_dict({
                key: torch.zeros(shape, dtype=torch.int64) if kind == "counter" else
                torch.from_numpy(values(key, shape, low, high).astype(np.float32))
                for key, shape, kind, low, high in entries})
            Case.made = {self.model: (model, entries)}
        model, entries = Case.made[self.model]
        return copy.deepcopy(model), entries


def tensors(items):
    return {key: t.detach().double().numpy().copy() for key, t in items}


def floats(model):
    return tensors((key, t) for key, t in model.state_dict().items() if t.is_floating_point())


def run(case, model, x, y):
    """Everything that is compared, by section; in the precision of the model."""
    start = floats(model)
    model.eval()
    with torch.no_grad():
        output = model(x)
    result = {"output": {"output": (output["out"] if isinstance(output, dict) else output).double().numpy()}}
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), case.lr, MOMENTUM, weight_decay=DECAY)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(case.model, model(x), x, y)
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            result["grads"] = tensors((k, p.grad) for k, p in model.named_parameters())
            result["buffers"] = tensors((k, b) for k, b in model.named_buffers() if b.is_floating_point())
        optimizer.step()
    result["changes"] = {k: t - start[k] for k, t in floats(model).items()}
    result["losses"] = {"losses": np.array(losses)}
    return result


def singles(case):
    """Runs in float32 that should give the same: other kernels, other memory formats, another order of the batch."""
    x, y = case.data()
    order = torch.arange(len(x) - 1, -1, -1)

    def go(kernels=contextlib.nullcontext(), flip=False, last=False):
        model = case.start()[0]
        a, b = (x[order], y[order]) if flip else (x, y)
        a, b = a.float(), b.float() if b.is_floating_point() else b
        if last and a.dim() == 4:
            model, a = model.to(memory_format=torch.channels_last), a.contiguous(memory_format=torch.channels_last)
        with kernels:
            result = run(case, model, a, b)
        if flip:
            result["output"]["output"] = result["output"]["output"][order.numpy()]
        return result

    plain = torch.backends.mkldnn.flags
    yield go()
    yield go(last=True, flip=True)
    yield go(plain(enabled=False))
    yield go(plain(enabled=False), flip=True)


def far(a, b):
    return float(np.linalg.norm((a - b).ravel()) / max(np.linalg.norm(b.ravel()), 1e-300))


def digest(key, x, samples, bound):
    x = x.ravel()
    signs = np.where(random_bits(key, SIGNS, x.size) & np.uint64(1), 1.0, -1.0)
    at = np.arange(x.size)
    if x.size > samples:
        at = (random_bits(key, POSITIONS, samples) % np.uint64(x.size)).astype(np.int64)
    row = np.zeros(3 + samples)
    row[:3 + at.size] = [bound, np.linalg.norm(x), signs @ x, *x[at]]
    return row


def write(case):
    model, entries = case.start()
    keys = FOLDER / f"{case.model}.keys"
    keys.write_text("".join(line_of(*entry) for entry in entries))
    x, y = case.data()
    exact = run(case, model.double(), x, y)
    lows = list(singles(case))
    stored, says = {}, []
    for section, wanted in ((name, tensors) for name, tensors in exact.items() if tensors):
        zero = ZERO * max(map(np.linalg.norm, wanted.values()))
        zeros = {key for key, t in wanted.items() if np.linalg.norm(t) <= zero}
        errors = {key: max(np.linalg.norm(low[section][key]) if key in zeros else far(low[section][key], t)
                           for low in lows) for key, t in wanted.items()}
        # One bound for tensors of a kind and a part of the model; of a single tensor, a few runs say too little.
        group = {key: (key.split(".")[0], key.split(".")[-1], t.ndim, key in zeros) for key, t in wanted.items()}
        bounds = {key: max([FLOOR.get(section, 1e-5)] + [2 * errors[other] for other in errors
                                                         if group[other] == group[key]]) for key in errors}
        wanted = {key: 0 * t if key in zeros else t for key, t in wanted.items()}
        worst = max(errors, key=errors.get)
        says.append(f"{section} {errors[worst]:.0e} ({worst}, median {np.median(list(errors.values())):.0e})")
        if section == "losses":
            rows = [[bounds["losses"], loss] for loss in wanted["losses"]]
        else:
            rows = [digest(key, t, SAMPLES[section], bounds[key]) for key, t in wanted.items()]
        stored[section] = np.array(rows, dtype=np.float32)
    order = [entry[0] for entry in entries]
    for section in ("grads", "buffers", "changes"):  # rows in the order of the list
        assert list(exact[section]) == [key for key in order if key in exact[section]], section
    save_file(stored, FOLDER / f"{case.name}.safetensors")
    print(f"{case.name}: float32 is off by " + ", ".join(says), flush=True)


def main():
    lines = [line for line in (FOLDER / "cases").read_text().splitlines() if line and not line.startswith("#")]
    for case in map(Case, lines):
        if len(sys.argv) == 1 or case.name in sys.argv[1:]:
            write(case)


if __name__ == "__main__":
    main()
