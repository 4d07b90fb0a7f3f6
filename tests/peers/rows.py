"""What is measured: a row is a model, its phase, its batch and the size of its input."""
import pathlib
import re
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Row(NamedTuple):
    name: str
    phase: str      # infer, train-step
    model: str      # of models/*.yaml
    batch: int
    image: tuple    # C, H, W
    classes: int    # of the target; 0: the input is the target
    lr: float = 0   # of the three steps whose losses are compared
    goals: dict = {}    # how many times as fast sinter is to be: by peer, or `best` of all of them
    busy: bool = False  # another process keeps one of the cores

    @property
    def shape(self):
        return (self.batch, *self.image)


def photo(size):
    return (3, size, size)


GREY = (1, 28, 28)

ROWS = {row.name: row for row in [
    Row("resnet18_b1", "infer", "resnet18", 1, photo(224), 1000, goals={"ncnn": 1.6, "ort": 2.0, "openvino": 2.0, "torch_compile": 2.2}),
    Row("resnet18_b16", "infer", "resnet18", 16, photo(224), 1000),
    Row("resnet50_b1", "infer", "resnet50", 1, photo(224), 1000),
    Row("squeezenet_b1", "infer", "squeezenet1_1", 1, photo(224), 1000, goals={"best": 1.5}),
    Row("mobilenetv2_b1", "infer", "mobilenetv2", 1, photo(224), 1000, goals={"best": 1.2}),
    Row("fcn_b1", "infer", "fcn_resnet50", 1, photo(256), 21, goals={"best": 1.7}),
    Row("deeplabv3_b1", "infer", "deeplabv3_resnet50", 1, photo(256), 21, goals={"best": 1.7}),
    Row("cnn28_b1", "infer", "cnn", 1, GREY, 10, goals={"best": 3.0}),
    Row("cnn28_b64", "infer", "cnn", 64, GREY, 10),
    Row("bn_cnn32_b1", "infer", "bn_cnn", 1, photo(32), 10, goals={"best": 3.0}),
    Row("bn_cnn32_b64", "infer", "bn_cnn", 64, photo(32), 10),
    Row("cnn128_b1", "infer", "cnn3", 1, photo(128), 10, goals={"best": 3.0}),
    Row("cnn128_b64", "infer", "cnn3", 64, photo(128), 10),
    Row("train_cnn28_b64", "train-step", "cnn", 64, GREY, 10, 0.001, {"best": 3.5}),
    Row("train_bn_cnn32_b64", "train-step", "bn_cnn", 64, photo(32), 10, 0.01, {"best": 2.5}),
    Row("train_bn_cnn128_b32", "train-step", "bn_cnn", 32, photo(128), 10, 0.01, {"best": 3.0}),
    Row("train_mlp_b128", "train-step", "mlp", 128, GREY, 10, 0.001, {"best": 2.2}),
    Row("train_conv_ae_b64", "train-step", "conv_autoencoder", 64, GREY, 0, 0.001, {"best": 3.5}),
    Row("train_resnet18_b16", "train-step", "resnet18", 16, photo(224), 1000, 0.0002, {"best": 2.2}),
    Row("train_resnet18_64px_b16", "train-step", "resnet18", 16, photo(64), 1000, 0.0002),
    Row("train_unet128_b4", "train-step", "unet", 4, photo(128), 21, 0.0002, {"best": 2.0}),
    Row("resnet18_b1_busy", "infer", "resnet18", 1, photo(224), 1000, busy=True),
]}


def description(row):
    """models/*.yaml at the row's size, and without dropout, which draws other numbers in every contestant."""
    text = (ROOT / "models" / f"{row.model}.yaml").read_text()
    text = re.sub(r"(?m)^(input: \{image: )\[[^]]*\]", rf"\g<1>{list(row.image)}", text)
    text = re.sub(r"(?m)^(params: .*\bsize: )\d+", rf"\g<1>{row.image[-1]}", text)  # what transforms make of images
    return re.sub(r"Dropout\([0-9.]+\)", "Dropout(0)", text)


def optimizer(row):
    """Name and arguments of the description's optimizer, which are PyTorch's."""
    name, arguments = re.search(r"optimizer: (\w+)\(([^)]*)\)", description(row)).groups()
    pairs = (pair.split("=") for pair in arguments.split(",") if pair.strip())
    values = {"true": True, "false": False}
    given = {key.strip(): values.get(text.strip()) if text.strip() in values else float(text) for key, text in pairs}
    return name, {**given, "lr": row.lr}
