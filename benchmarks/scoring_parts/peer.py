"""The peer: what a team writes first. FastAPI, a Pydantic body of ready features, one model, no record.

Run in an environment of its own: `python peer.py onnx|sklearn FOLDER`. It prints its URL.
It is written to be quick: async handler, one ONNX thread, uvloop and httptools, no access log.
"""

import pickle
import socket
import sys
from pathlib import Path

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import create_model

KIND, FOLDER = sys.argv[1], Path(sys.argv[2])
NAMES = (FOLDER / "features.txt").read_text().split()
Features = create_model("Features", **dict.fromkeys(NAMES, (float | None, None)))
app = FastAPI()


def _predict_onnx():
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession((FOLDER / "model.onnx").read_bytes(), options)
    return lambda x: session.run(None, {"x": x})[0].ravel()


def _predict_sklearn():
    model = pickle.loads((FOLDER / "model.pkl").read_bytes())
    model.set_params(n_jobs=1)
    return model.predict


predict_rows = _predict_onnx() if KIND == "onnx" else _predict_sklearn()


@app.post("/predict")
async def predict(row: Features):
    """One row of features."""
    values = [getattr(row, name) for name in NAMES]
    x = np.array([[np.nan if value is None else value for value in values]], dtype=np.float32)
    return {"value": float(predict_rows(x)[0])}


if __name__ == "__main__":
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen(2048)
    sys.stdout.write(f"http://127.0.0.1:{bound.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[bound])
