"""ONNX Runtime: the exported model, all optimizations, input and output bound once."""
import numpy as np
import onnxruntime as ort
from safetensors.numpy import load_file


class Peer:
    def __init__(self, row, folder, threads, variant):
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        options.add_session_config_entry("session.force_spinning_stop", "1")  # its threads spin in its own runs only
        self.session = ort.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        x = load_file(folder / "input.safetensors")["input"]
        self.binding = self.session.io_binding()
        self.input = ort.OrtValue.ortvalue_from_numpy(x)
        shape = self.session.get_outputs()[0].shape
        self.output = ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32))
        self.binding.bind_ortvalue_input("input", self.input)
        self.binding.bind_ortvalue_output("output", self.output)

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def results(self):
        self.run()
        return {"output": self.output.numpy().copy()}
