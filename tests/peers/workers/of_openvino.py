"""OpenVINO: the exported model, latency hint, float32."""
import openvino as ov
from safetensors.numpy import load_file


class Peer:
    def __init__(self, row, folder, threads, variant):
        model = ov.Core().compile_model(folder / "model.onnx", "CPU", {
            "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1})
        self.request = model.create_infer_request()
        self.x = ov.Tensor(load_file(folder / "input.safetensors")["input"])
        self.request.set_input_tensor(self.x)

    def run(self):
        self.request.infer()

    def results(self):
        self.run()
        return {"output": self.request.get_output_tensor().data.copy()}
