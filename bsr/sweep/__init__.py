"""Experiments on a grid of problems, sizes, estimators and data sets: resumable, on one machine or a cluster."""

from bsr.sweep._config import Config, Estimator
from bsr.sweep._run import Counts, run
from bsr.sweep._store import load
from bsr.sweep._tasks import Task

__all__ = ["Config", "Counts", "Estimator", "Task", "load", "run"]
