"""Samples of the machine for ``system.jsonl``, the heartbeat (R100)."""

from __future__ import annotations

import functools
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Sampler", "gpu_names"]


class Sampler:
    """Takes a sample when asked; without psutil or NVIDIA's library it holds less, but it is one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder  # its disk is the one that is looked at
        self._process, self._psutil = _open_psutil()
        self._gpus, self._nvml = _open_gpus(os.getpid())

    def sample(self) -> dict[str, Any]:
        """``cpu`` in percent, ``memory``, ``disk``, ``network``, ``process`` in bytes, ``gpu`` a list."""
        found: dict[str, Any] = {"cpu": {"load": os.getloadavg()[0]}, "process": {"memory": _peak_memory()}}
        if self._psutil is not None:
            found |= self._with_psutil()
        if self._gpus:
            found["gpu"] = [_gpu(self._nvml, gpu) for gpu in self._gpus]
        return found

    def _with_psutil(self) -> dict[str, Any]:
        psutil = self._psutil
        memory, disk, network = (
            psutil.virtual_memory(),
            psutil.disk_usage(str(self._folder)),
            psutil.net_io_counters(),
        )
        found = {
            "cpu": {"percent": psutil.cpu_percent(), "load": os.getloadavg()[0]},
            "memory": {"used": memory.used, "percent": memory.percent},
            "disk": {"used": disk.used, "percent": disk.percent},
            "process": {
                "memory": self._process.memory_info().rss,
                "cpu_percent": self._process.cpu_percent(),
                "threads": self._process.num_threads(),
            },
        }
        if network is not None:
            found["network"] = {"sent": network.bytes_sent, "received": network.bytes_recv}
        return found


def _open_psutil() -> tuple[Any, Any]:
    try:
        import psutil
    except ImportError:
        return None, None
    process = psutil.Process()
    psutil.cpu_percent(), process.cpu_percent()  # percentages are since the last call
    return process, psutil


@functools.cache
def _open_gpus(process: int) -> tuple[list[Any], Any]:
    """The handles of the GPUs, which are a process's own, and the library."""
    try:
        import pynvml
    except ImportError:
        return [], None
    try:
        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())], pynvml
    except pynvml.NVMLError:  # the library is there, the driver is not
        return [], None


def gpu_names() -> list[str]:
    """What the GPUs call themselves."""
    gpus, nvml = _open_gpus(os.getpid())
    return [str(nvml.nvmlDeviceGetName(gpu)) for gpu in gpus]


def _gpu(nvml: Any, handle: Any) -> dict[str, Any]:
    """Utilisation in percent, memory in bytes, temperature in °C, power in watts: what the card tells."""
    asked: dict[str, Callable[[], Any]] = {
        "percent": lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
        "memory": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used,
        "temperature": lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
        "power": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
    }
    found = {}
    for name, ask in asked.items():
        try:
            found[name] = ask()
        except nvml.NVMLError:  # many cards do not tell everything
            continue
    return found


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
