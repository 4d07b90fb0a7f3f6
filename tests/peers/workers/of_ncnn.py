"""ncnn: the model as pnnx converts it, float32 throughout. It takes one image at a time."""
import ncnn
import numpy as np
from safetensors.numpy import load_file


class Peer:
    def __init__(self, row, folder, threads, variant):
        self.net = ncnn.Net()
        options = self.net.opt
        options.num_threads = threads
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        options.use_bf16_storage = False
        for load, name in ((self.net.load_param, "model.ncnn.param"), (self.net.load_model, "model.ncnn.bin")):
            if load(str(folder / name)) != 0:
                raise RuntimeError(f"does not load {name}")
        self.images = load_file(folder / "input.safetensors")["input"]
        self.mats = [ncnn.Mat(image) for image in self.images]

    def one(self, mat):
        with self.net.create_extractor() as extractor:
            extractor.input("in0", mat)
            status, out = extractor.extract("out0")
            if status != 0:
                raise RuntimeError(f"extract gives {status}")
            return out

    def run(self):
        for mat in self.mats:
            self.one(mat)

    def results(self):
        return {"output": np.stack([np.array(self.one(mat)) for mat in self.mats])}
