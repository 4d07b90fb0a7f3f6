"""Writes tests/fixtures/pth: one state_dict in every form that torch.save has had, and files that must be refused.

The tar form is that of PyTorch before 0.2, written by hand; torch.load of today is asked whether it reads it.
`ref.safetensors` holds the same tensors, row-major.
"""
import collections
import io
import os
import pathlib
import pickle
import struct
import tarfile
import zipfile

import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "pth"
IN_TAR = ("conv.weight", "conv.bias", "perm", "slice", "shared", "bn.num_batches_tracked")


def state_dict():
    base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4) / 8
    return collections.OrderedDict({
        "conv.weight": torch.randn(2, 1, 3, 3),
        "conv.bias": torch.randn(2).double(),
        "perm": base.permute(2, 0, 1),
        "slice": base[:, 1:, ::2],
        "shared": base,
        "expand": torch.tensor([1.5, -2.]).reshape(2, 1).expand(2, 3),
        "half": torch.tensor([1., -0., 65504., 6e-8, 2 ** -14]).half(),
        "bf": torch.tensor([1., -3.25, 1e30]).bfloat16(),
        "bn.num_batches_tracked": torch.tensor(1234567),
        "empty": torch.zeros(0, 3),
        "i32": torch.tensor([1, -2, 3], dtype=torch.int32),
        "flag": torch.tensor([True, False]),
    })


def pickled_int(n):
    return pickle.dumps(n, 2)[2:-1]


def pickled_class(v, kind):
    name = {torch.float32: "Float", torch.float64: "Double", torch.int64: "Long"}[v.dtype] + kind
    return b"ctorch\n" + name.encode() + b"\n"


def save_tar(state, path):
    storage, tensor = {}, {}
    for k, v in state.items():
        place = storage.setdefault(v.untyped_storage()._cdata, (1000 + len(storage), v))
        tensor[k] = (2000 + len(tensor), place[0], v)
    storages = pickle.dumps(len(storage), 2)
    for key, v in storage.values():
        data = bytes(v.untyped_storage().tolist())
        storages += b"\x80\x02" + pickled_int(key) + b"X\x03\0\0\0cpu" + pickled_class(v, "Storage") + b"\x87."
        storages += struct.pack("<q", len(data) // v.element_size()) + data
    storages += pickle.dumps([], 2)
    tensors = pickle.dumps(len(tensor), 2)
    for key, place, v in tensor.values():
        tensors += b"\x80\x02" + pickled_int(key) + pickled_int(place) + pickled_class(v, "Tensor") + b"\x87."
        numbers = (v.dim(), *v.size(), *v.stride(), v.storage_offset())
        tensors += struct.pack(f"<{len(numbers)}q", *numbers)

    class ById(pickle.Pickler):
        def persistent_id(self, obj):
            return str(obj[1]) if isinstance(obj, tuple) and obj[:1] == ("tensor",) else None

    text = io.BytesIO()
    ById(text, 2).dump(collections.OrderedDict((k, ("tensor", t[0])) for k, t in tensor.items()))
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as tar:
        for name, data in ("storages", storages), ("tensors", tensors), ("pickle", text.getvalue()):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    back = torch.load(path, weights_only=False)
    assert all(torch.equal(back[k], state[k]) for k in state)


class Hostile:
    def __reduce__(self):
        return os.system, ("echo this must never run",)


def main():
    OUT.mkdir(exist_ok=True)
    torch.manual_seed(3)
    state = state_dict()
    save_file({k: v.contiguous() for k, v in state.items()}, OUT / "ref.safetensors")
    torch.save(state, OUT / "zip.pth")
    torch.save(state, OUT / "zip_protocol4.pth", pickle_protocol=4)
    torch.save(state, OUT / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "lr": 0.1, "seen": 2 ** 70, "history": [1, 2.5, None, (1, 2, 3, 4)], "model": state},
               OUT / "nested.pth")
    save_tar(collections.OrderedDict((k, state[k]) for k in IN_TAR), OUT / "tar.pth")
    with zipfile.ZipFile(OUT / "zip.pth") as stored, \
            zipfile.ZipFile(OUT / "deflated.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        for info in stored.infolist():
            packed.writestr(zipfile.ZipInfo(info.filename), stored.read(info), zipfile.ZIP_DEFLATED)
    fake = torch.nn.DataParallel(torch.nn.ModuleDict({"fc": torch.nn.Linear(16, 3)}))  # tests/unit/fake_model.h
    torch.save({"state_dict": fake.state_dict(), "epoch": 7}, OUT / "parallel.pth")
    hostile = {"a": torch.ones(2), "b": Hostile()}
    torch.save(hostile, OUT / "hostile_zip.pth")
    torch.save(hostile, OUT / "hostile_legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(hostile, OUT / "hostile_protocol4.pth", pickle_protocol=4)
    torch.save(torch.nn.Linear(1, 1), OUT / "module.pth")
    torch.save({"a": torch.ones(2, dtype=torch.complex64)}, OUT / "complex.pth")


if __name__ == "__main__":
    main()
