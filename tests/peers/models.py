"""The rows' models in PyTorch, with weights and inputs by the formula of tests/torch/make_models.py.

    models.py ROW FOLDER     writes what the contestants read: weights and input (.safetensors), and for inference the
                             model as .onnx and as ncnn's files
"""
import pathlib
import subprocess
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from rows import ROOT, ROWS

sys.path.insert(0, str(ROOT / "tests" / "torch"))
import make_models  # noqa: E402

STEPS = 3


class Out(torch.nn.Module):
    """A segmentation model in evaluation, without the head that only training needs."""

    def __init__(self, model):
        super().__init__()
        model.aux_classifier = None
        self.model = model

    def forward(self, x):
        return self.model(x)["out"]


def start(row, folder=None):
    """The model with its weights: made, or as the folder has them."""
    make = make_models.MODELS[row.model]
    model = make_models.without_dropout(make(row.image[0]) if row.model == "bn_cnn" else make())
    with torch.no_grad():
        model(torch.zeros(2, *row.image))  # makes the lazy modules
    if folder:
        model.load_state_dict(load_file(folder / "weights.safetensors"))
        return model
    model.load_state_dict({
        key: torch.zeros(shape, dtype=torch.int64) if kind == "counter" else
        torch.from_numpy(make_models.values(key, shape, low, high).astype(np.float32))
        for key, shape, kind, low, high in make_models.list_of(model)})
    return model


def inference(row, folder=None):
    model = start(row, folder).eval()
    return Out(model) if hasattr(model, "aux_classifier") else model


def data(row):
    """Input and target."""
    x = torch.from_numpy(make_models.values("input", row.shape, -1 if row.classes else 0, 1).astype(np.float32))
    if not row.classes:
        return x, x
    shape = (row.batch, *row.image[1:]) if row.model == "unet" else (row.batch,)
    return x, torch.from_numpy(np.floor(make_models.values("target", shape, 0, row.classes)).astype(np.int64))


def export_onnx(row, folder):
    x, _ = data(row)
    torch.onnx.export(inference(row), (x,), folder / "model.onnx", dynamo=True, external_data=False,
                      input_names=["input"], output_names=["output"], verbose=False)


def export_ncnn(row, folder):
    model, x = inference(row), data(row)[0][:1]  # ncnn takes one image at a time
    torch.jit.trace(model, x).save(folder / "model.pt")
    tool = pathlib.Path(sys.executable).parent / "pnnx"
    shape = ",".join(map(str, x.shape))
    subprocess.run([tool, "model.pt", f"inputshape=[{shape}]", "fp16=0"], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def attempt(what, row, folder):
    """An export that fails is a reason in the table."""
    failed = folder / f"{what.__name__}.failed"
    failed.unlink(missing_ok=True)
    try:
        what(row, folder)
    except Exception as e:  # noqa: BLE001 - whatever it is, it is the reason
        failed.write_text(f"{type(e).__name__}: {e}".splitlines()[0])


def main():
    row, folder = ROWS[sys.argv[1]], pathlib.Path(sys.argv[2])
    x, y = data(row)
    save_file(start(row).state_dict(), folder / "weights.safetensors")
    save_file({"input": x}, folder / "input.safetensors")
    if row.classes:
        target = y.unsqueeze(1) if y.dim() > 1 else y
        save_file({"target": target.to(torch.int32).contiguous()}, folder / "target.safetensors")
    if row.phase == "infer":
        attempt(export_onnx, row, folder)
        attempt(export_ncnn, row, folder)


if __name__ == "__main__":
    main()
