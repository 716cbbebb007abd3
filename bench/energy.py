"""Energy of a cell where the machine lets it be read: RAPL counters of the processor, NVML of the card; else null.

The counters are of the whole machine: other processes are in the number, and `energy_method` says what was read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")


class Meter:
    """`Meter().read()` gives {"energy_wh": float | None, "energy_method": "rapl" | "nvml" | "rapl+nvml" | "none"} since its start."""

    def __init__(self, powercap: Path = POWERCAP, gpu: bool = False) -> None:
        self._zones = [z for z in sorted(powercap.glob("intel-rapl:*")) if z.name.count(":") == 1]
        self._start = {z: v for z in self._zones if (v := _number(z / "energy_uj")) is not None}
        self._nvml = _nvml() if gpu else None
        self._gpu_start = _gpu_mj(self._nvml)

    def read(self) -> dict[str, Any]:
        joule, methods = 0.0, []
        for zone, start in self._start.items():
            now = _number(zone / "energy_uj")
            if now is None:
                continue
            if now < start:  # the counter wrapped
                now += _number(zone / "max_energy_range_uj") or 0
            joule += max(0, now - start) / 1e6
            methods = ["rapl"]
        gpu = _gpu_mj(self._nvml)
        if gpu is not None and self._gpu_start is not None:
            joule += (gpu - self._gpu_start) / 1e3
            methods.append("nvml")
        return {"energy_wh": round(joule / 3600, 6) if methods else None, "energy_method": "+".join(methods) or "none"}


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _nvml() -> Any:
    try:
        import pynvml

        pynvml.nvmlInit()
        return pynvml
    except Exception:
        return None


def _gpu_mj(nvml: Any) -> float | None:
    """Millijoules that the card of this process has used since the driver was loaded."""
    if nvml is None:
        return None
    try:
        return float(nvml.nvmlDeviceGetTotalEnergyConsumption(_card(nvml, os.environ.get("CUDA_VISIBLE_DEVICES"))))
    except Exception:
        return None


def _card(nvml: Any, visible: str | None) -> Any:
    """The first card that CUDA shows to this process: an index or a UUID; NVML itself counts all cards of the machine."""
    first = (visible or "0").split(",")[0].strip()
    return nvml.nvmlDeviceGetHandleByIndex(int(first)) if first.isdigit() else nvml.nvmlDeviceGetHandleByUUID(first)
