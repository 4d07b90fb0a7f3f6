"""Writes tests/fixtures/opinfo and opinfo.safetensors: what PyTorch computes for single layers, losses and optimizers.

The list has a line per case: name, mode, operator, inputs | arguments. Inputs, weights and the gradient of the output
are not stored: tests/unit/test_opinfo.c makes them again from the name "case/tensor" by `numbers` below. Stored are
the output and the gradients, the running statistics after the step (new.*), an optimizer's weights after three steps;
computed in float64, stored as float32.
"""
import pathlib
import re

import numpy
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
LINES, TENSORS = [], {}


def numbers(name, shape, kind):
    """f: in [-2, 2); p: in [0.05, 0.95); i5: 0..4. A 64-bit linear congruential generator, seeded by FNV-1a."""
    state = 0xcbf29ce484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001b3 % 2**64
    values = []
    for _ in range(int(numpy.prod(shape))):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        u = (state >> 40) / 2**23 - 1
        values.append(2 * u if kind == "f" else 0.5 + 0.45 * u if kind == "p" else (u + 1) / 2 * int(kind[1:]) // 1)
    t = torch.tensor(values, dtype=torch.float32).reshape(shape)  # the tests see float32
    return t.long() if kind[0] == "i" else t.double()


def inputs_of(name, texts):
    for i, text in enumerate(texts.split()):
        kind, dims = re.fullmatch(r"([fp]|i\d+)\[([\d,]*)\]", text).groups()
        yield numbers(f"{name}/in{i}", [int(d) for d in dims.split(",") if d], kind)


def store(name, t):
    TENSORS[name] = t.detach().float().contiguous()


class Call(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.forward = function


def case(name, operator, texts, arguments, module, mode="train"):
    module = module if isinstance(module, nn.Module) else Call(module)
    module = module.double().train(mode == "train")
    for key, t in module.state_dict(keep_vars=True).items():
        if isinstance(t, nn.Parameter) or key.startswith("running"):  # not the weights of a loss
            t.data.copy_(numbers(f"{name}/{key}", t.shape, "p" if key == "running_var" else "f"))
    inputs = list(inputs_of(name, texts))
    seen = [t[:, 0] if not t.is_floating_point() and isinstance(module, (nn.CrossEntropyLoss, nn.NLLLoss)) else
            t.double() if not t.is_floating_point() else t.requires_grad_() for t in inputs]
    out = module(*seen)
    out.backward(numbers(f"{name}/dy", out.shape, "f"))
    store(f"{name}/out", out)
    for i, t in enumerate(inputs):
        if t.grad is not None:
            store(f"{name}/d.in{i}", t.grad)
    for key, t in module.named_parameters():
        store(f"{name}/d.{key}", t.grad)
    for key, t in module.named_buffers():
        if mode == "train" and key.startswith("running"):
            store(f"{name}/new.{key}", t)
    LINES.append(f"{name} {mode} {operator} {texts} | {arguments}".rstrip())


def optimizer(name, kind, arguments):
    w = numbers(f"{name}/w", [35], "f").requires_grad_()
    values = {k: eval(v, {"true": True}) for k, v in (a.split("=") for a in arguments.split())}
    step = getattr(torch.optim, kind)([w], **values)
    for t in range(1, 4):
        w.grad = numbers(f"{name}/g{t}", [35], "f")
        step.step()
    store(f"{name}/out", w)
    LINES.append(f"{name} train {kind} f[35] | {arguments}")


def convolutions():
    x = "f[2,6,5,4]"
    case("conv", "Conv2d", x, "out_channels=5 kernel_size=3 padding=1", nn.Conv2d(6, 5, 3, padding=1))
    case("conv_stride", "Conv2d", x, "out_channels=4 kernel_size=(3,2) stride=2 padding=(1,0) bias=false",
         nn.Conv2d(6, 4, (3, 2), 2, (1, 0), bias=False))
    case("conv_dilated", "Conv2d", x, "out_channels=3 kernel_size=3 padding=2 dilation=2",
         nn.Conv2d(6, 3, 3, padding=2, dilation=2))
    case("conv_groups", "Conv2d", x, "out_channels=4 kernel_size=3 groups=2", nn.Conv2d(6, 4, 3, groups=2))
    case("depthwise", "Conv2d", x, "out_channels=12 kernel_size=3 padding=1 stride=2 groups=6",
         nn.Conv2d(6, 12, 3, 2, 1, groups=6))
    case("transpose", "ConvTranspose2d", x, "out_channels=3 kernel_size=2 stride=2", nn.ConvTranspose2d(6, 3, 2, 2))
    case("transpose_pad", "ConvTranspose2d", x,
         "out_channels=3 kernel_size=3 stride=2 padding=1 output_padding=1 bias=false",
         nn.ConvTranspose2d(6, 3, 3, 2, 1, 1, bias=False))
    case("transpose_groups", "ConvTranspose2d", x, "out_channels=4 kernel_size=(3,2) groups=2 dilation=2",
         nn.ConvTranspose2d(6, 4, (3, 2), groups=2, dilation=2))
    case("transpose_stride3", "ConvTranspose2d", "f[1,2,3,3]",
         "out_channels=2 kernel_size=4 stride=3 output_padding=(2,1)",
         nn.ConvTranspose2d(2, 2, 4, 3, output_padding=(2, 1)))
    case("linear", "Linear", "f[3,7]", "out_features=5", nn.Linear(7, 5))


def pools():
    x = "f[2,3,6,4]"
    case("max_pool", "MaxPool2d", x, "kernel_size=3 stride=2 padding=1", nn.MaxPool2d(3, 2, 1))
    case("max_pool_ceil", "MaxPool2d", "f[1,2,5,7]", "kernel_size=2 ceil_mode=true", nn.MaxPool2d(2, ceil_mode=True))
    case("avg_pool", "AvgPool2d", x, "kernel_size=3 stride=2 padding=1", nn.AvgPool2d(3, 2, 1))
    case("avg_pool_inner", "AvgPool2d", x, "kernel_size=3 stride=2 padding=1 count_include_pad=false",
         nn.AvgPool2d(3, 2, 1, count_include_pad=False))
    case("adaptive_avg", "AdaptiveAvgPool2d", x, "output_size=(4,3)", nn.AdaptiveAvgPool2d((4, 3)))
    case("global_avg", "AdaptiveAvgPool2d", x, "output_size=1", nn.AdaptiveAvgPool2d(1))
    case("adaptive_max", "AdaptiveMaxPool2d", x, "output_size=(3,2)", nn.AdaptiveMaxPool2d((3, 2)))
    case("global_max", "AdaptiveMaxPool2d", x, "output_size=1", nn.AdaptiveMaxPool2d(1))


def activations():
    x = "f[2,3,3,4]"
    for name, arguments, module in [
            ("ReLU", "", nn.ReLU()), ("LeakyReLU", "negative_slope=0.2", nn.LeakyReLU(0.2)), ("ReLU6", "", nn.ReLU6()),
            ("Hardtanh", "min_val=-0.5 max_val=1.25", nn.Hardtanh(-0.5, 1.25)), ("ELU", "alpha=0.7", nn.ELU(0.7)),
            ("SiLU", "", nn.SiLU()), ("Mish", "", nn.Mish()), ("Hardswish", "", nn.Hardswish()),
            ("Hardsigmoid", "", nn.Hardsigmoid()), ("Sigmoid", "", nn.Sigmoid()), ("Tanh", "", nn.Tanh()),
            ("LogSigmoid", "", nn.LogSigmoid()), ("Softplus", "beta=2 threshold=3", nn.Softplus(2, 3)),
            ("GELU", "", nn.GELU()), ("GELU", "approximate=tanh", nn.GELU("tanh")), ("PReLU", "", nn.PReLU()),
            ("PReLU", "num_parameters=3", nn.PReLU(3)), ("Softmax", "dim=1", nn.Softmax(1)),
            ("LogSoftmax", "dim=1", nn.LogSoftmax(1))]:
        case(f"{name.lower()}{len(LINES)}", name, x, arguments, module)


def planes():
    x = "f[2,3,4,3]"
    def resize(**arguments):
        return lambda t: F.interpolate(t, **arguments)
    case("nearest", "Upsample", x, "scale_factor=2", nn.Upsample(scale_factor=2))
    case("nearest_size", "Upsample", x, "size=(3,7)", nn.Upsample((3, 7)))
    case("nearest_part", "Interpolate", x, "scale_factor=(1.7,2.4)", resize(scale_factor=(1.7, 2.4)))
    case("nearest_41", "Upsample", "f[1,1,1,2]", "size=(41,82)", nn.Upsample((41, 82)))
    case("bilinear", "Upsample", x, "scale_factor=2 mode=bilinear", nn.Upsample(scale_factor=2, mode="bilinear"))
    case("bilinear_size", "Interpolate", x, "size=(7,2) mode=bilinear", resize(size=(7, 2), mode="bilinear"))
    case("bilinear_part", "Upsample", x, "scale_factor=(1.7,2.4) mode=bilinear",
         nn.Upsample(scale_factor=(1.7, 2.4), mode="bilinear"))
    case("corners", "Upsample", x, "scale_factor=2 mode=bilinear align_corners=true",
         nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True))
    case("corners_size", "Upsample", x, "size=(3,8) mode=bilinear align_corners=true",
         nn.Upsample((3, 8), mode="bilinear", align_corners=True))
    case("zero_pad", "ZeroPad2d", x, "padding=(1,2,0,3)", nn.ZeroPad2d((1, 2, 0, 3)))
    case("reflect", "ReflectionPad2d", x, "padding=(2,1,3,0)", nn.ReflectionPad2d((2, 1, 3, 0)))
    case("reflect_one", "ReflectionPad2d", x, "padding=1", nn.ReflectionPad2d(1))
    case("replicate", "ReplicationPad2d", x, "padding=(2,1,3,4)", nn.ReplicationPad2d((2, 1, 3, 4)))


def shapes():
    x = "f[2,3,3,4]"
    case("concat", "Concat", "f[2,3,2,4] f[2,1,2,4] f[2,5,2,4]", "", lambda *t: torch.cat(t, 1))
    case("concat_2d", "Concat", "f[3,4] f[3,2]", "dim=1", lambda *t: torch.cat(t, 1))
    case("concat_16", "Concat", "f[1,16,1,2] f[1,32,1,2]", "", lambda *t: torch.cat(t, 1))
    case("add", "Add", f"{x} f[2,3,1,1]", "", torch.add)
    case("sub", "Sub", f"{x} f[2,1,3,4]", "", torch.sub)
    case("mul", "Mul", f"{x} f[2,3,1,1]", "", torch.mul)
    case("div", "Div", "f[2,3,3,4] p[2,3,3,4]", "", torch.div)
    case("flatten", "Flatten", x, "", nn.Flatten())
    case("flatten_2", "Flatten", x, "start_dim=2", nn.Flatten(2))
    case("unflatten", "Unflatten", "f[2,12]", "dim=1 unflattened_size=[3,-1,2]", nn.Unflatten(1, (3, -1, 2)))
    case("reshape", "Reshape", x, "shape=[4,3,3]", lambda t: t.reshape(2, 4, 3, 3))
    case("mean", "Mean", x, "dim=(2,3)", lambda t: t.mean((2, 3)))
    case("mean_channels", "Mean", x, "dim=1 keepdim=true", lambda t: t.mean(1, keepdim=True))
    case("identity", "Identity", x, "", nn.Identity())


def norms():
    x = "f[2,6,3,2]"
    case("batch", "BatchNorm2d", x, "eps=0.001 momentum=0.3", nn.BatchNorm2d(6, 0.001, 0.3))
    case("batch_eval", "BatchNorm2d", x, "", nn.BatchNorm2d(6), "eval")
    case("batch_1d", "BatchNorm1d", "f[5,4]", "", nn.BatchNorm1d(4))
    case("group", "GroupNorm", x, "num_groups=3 num_channels=6", nn.GroupNorm(3, 6))
    case("group_plain", "GroupNorm", x, "num_groups=2 affine=false eps=0.1", nn.GroupNorm(2, 6, 0.1, False))
    case("group_2d", "GroupNorm", "f[3,8]", "num_groups=2", nn.GroupNorm(2, 8))
    case("layer", "LayerNorm", x, "normalized_shape=[6,3,2]", nn.LayerNorm([6, 3, 2]))
    case("layer_row", "LayerNorm", x, "normalized_shape=2 bias=false", nn.LayerNorm(2, bias=False))
    case("layer_2d", "LayerNorm", "f[4,7]", "normalized_shape=7 eps=0.01", nn.LayerNorm(7, 0.01))
    case("instance", "InstanceNorm2d", x, "", nn.InstanceNorm2d(6))
    case("instance_affine", "InstanceNorm2d", x, "affine=true", nn.InstanceNorm2d(6, affine=True))


def losses():
    x, t, w = "f[4,3]", "i3[4,1]", torch.tensor([0.5, 2, 1.25], dtype=torch.float64)
    plane, mask = "f[2,3,3,2]", "i4[2,1,3,2]"
    def ce(name, texts, arguments, **values):
        case(name, "CrossEntropyLoss", texts, arguments, nn.CrossEntropyLoss(**values))
    ce("ce", f"{x} {t}", "")
    ce("ce_weight", f"{x} {t}", "weight=[0.5,2,1.25]", weight=w)
    ce("ce_smooth", f"{x} {t}", "label_smoothing=0.2", label_smoothing=0.2)
    ce("ce_mask", f"{plane} {mask}", "ignore_index=3", ignore_index=3)
    ce("ce_all", f"{plane} {mask}", "weight=[0.5,2,1.25] ignore_index=3 label_smoothing=0.1", weight=w, ignore_index=3,
       label_smoothing=0.1)
    ce("ce_inner", f"{plane} i3[2,1,3,2]", "ignore_index=1 reduction=sum", ignore_index=1, reduction="sum")
    ce("ce_sum", f"{x} {t}", "weight=[0.5,2,1.25] reduction=sum label_smoothing=0.3", weight=w, reduction="sum",
       label_smoothing=0.3)
    case("nll", "NLLLoss", f"{x} {t}", "", nn.NLLLoss())
    case("nll_mask", "NLLLoss", f"{plane} {mask}", "weight=[0.5,2,1.25] ignore_index=3", nn.NLLLoss(w, ignore_index=3))
    y = "f[3,5]"
    case("mse", "MSELoss", f"{y} {y}", "", nn.MSELoss())
    case("mse_sum", "MSELoss", f"{y} {y}", "reduction=sum", nn.MSELoss(reduction="sum"))
    case("l1", "L1Loss", f"{y} {y}", "", nn.L1Loss())
    case("smooth_l1", "SmoothL1Loss", f"{y} {y}", "beta=0.7", nn.SmoothL1Loss(beta=0.7))
    case("smooth_l1_sum", "SmoothL1Loss", f"{y} {y}", "reduction=sum", nn.SmoothL1Loss(reduction="sum"))
    case("huber", "HuberLoss", f"{y} {y}", "delta=0.7", nn.HuberLoss(delta=0.7))
    case("kl", "KLDivLoss", f"{y} p[3,5]", "", nn.KLDivLoss())
    case("kl_batch", "KLDivLoss", f"{y} p[3,5]", "reduction=batchmean", nn.KLDivLoss(reduction="batchmean"))
    case("kl_log", "KLDivLoss", f"{y} {y}", "log_target=true reduction=sum", nn.KLDivLoss(reduction="sum", log_target=True))
    case("bce", "BCELoss", "p[3,5] p[3,5]", "", nn.BCELoss())
    case("bce_sum", "BCELoss", "p[3,5] i2[3,5]", "reduction=sum", nn.BCELoss(reduction="sum"))
    case("logits", "BCEWithLogitsLoss", f"{y} p[3,5]", "", nn.BCEWithLogitsLoss())
    case("logits_weight", "BCEWithLogitsLoss", "f[4,3] p[4,3]", "pos_weight=[0.5,2,1.25]", nn.BCEWithLogitsLoss(pos_weight=w))
    case("logits_sum", "BCEWithLogitsLoss", "f[4,1] i2[4,1]", "reduction=sum pos_weight=[3]",
         nn.BCEWithLogitsLoss(reduction="sum", pos_weight=torch.tensor([3.0]).double()))


def optimizers():
    for i, (kind, arguments) in enumerate([
            ("SGD", "lr=0.1 momentum=0.9 nesterov=true weight_decay=0.01"), ("Adam", "lr=0.05 weight_decay=0.1"),
            ("Adam", "lr=0.05 amsgrad=true"), ("AdamW", "lr=0.05 weight_decay=0.1 amsgrad=true"),
            ("RMSprop", "lr=0.05"), ("RMSprop", "lr=0.05 alpha=0.9 momentum=0.8 weight_decay=0.1"),
            ("RMSprop", "lr=0.05 alpha=0.9 centered=true"), ("Adagrad", "lr=0.1"),
            ("Adagrad", "lr=0.1 lr_decay=0.1 weight_decay=0.1 initial_accumulator_value=0.2")]):
        optimizer(f"step{i}", kind, arguments)


def main():
    for group in (convolutions, pools, activations, planes, shapes, norms, losses, optimizers):
        group()
    (FIXTURES / "opinfo").write_text("\n".join(LINES) + "\n")
    save_file(TENSORS, FIXTURES / "opinfo.safetensors")
    print(f"{len(LINES)} cases, {len(TENSORS)} tensors")


if __name__ == "__main__":
    main()
