"""What peers ask of a server for the newest hundred runs of fifty thousand: MLflow's own store, where it is installed."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from statistics import median

from perdure.core.clock import monotonic_s


def search_runs_ms(n_runs: int, n_asked: int) -> float | None:
    """Median milliseconds of `search_runs` on SQLite, without HTTP; None where MLflow is not installed."""
    if importlib.util.find_spec("mlflow") is None or importlib.util.find_spec("mlflow.store.tracking") is None:
        return None
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    with tempfile.TemporaryDirectory() as folder:
        client = MlflowClient(f"sqlite:///{Path(folder) / 'runs.db'}")
        experiment = client.create_experiment("big")
        for number in range(n_runs):
            run = client.create_run(experiment, start_time=number)
            metrics = [Metric("mae", number % 97 / 10, 0, 0), Metric("rmse", number % 89 / 10, 0, 0)]
            client.log_batch(run.info.run_id, metrics, [Param("leaves", str(number % 255)), Param("lr", "0.1")])
        took = []
        for _ in range(n_asked):
            began_s = monotonic_s()
            client.search_runs([experiment], "metrics.mae < 5", max_results=100, order_by=["metrics.mae ASC"])
            took.append((monotonic_s() - began_s) * 1000)
    return median(took)
