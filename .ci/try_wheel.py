# SPDX-License-Identifier: Apache-2.0
"""Try the installed package as a user does: its public names, its provider info, its sandbox."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import airflow_provider_dreambooth

PUBLIC = {
    "hooks.dreambooth": ["DreamboothHook"],
    "operators.dreambooth": [
        "DreamboothImageToImageOperator",
        "DreamboothInpaintOperator",
        "DreamboothReloadModelOperator",
        "DreamboothSaveImagesOperator",
        "DreamboothTextToImageOperator",
    ],
    "retry_policy": ["DreamboothRetryPolicy"],
    "sandbox": ["Sandbox"],
    "sensors.dreambooth": ["DreamboothFetchSensor"],
    "triggers.dreambooth": ["DreamboothFetchTrigger"],
}

installed = Path(airflow_provider_dreambooth.__file__).parent
assert Path(sys.prefix) in installed.parents, f"{installed} is not the installed package"
assert (installed / "py.typed").exists(), "the wheel has no py.typed"
for module, names in PUBLIC.items():
    loaded = importlib.import_module(f"airflow_provider_dreambooth.{module}")
    for name in names:
        assert hasattr(loaded, name), f"{module} has no {name}"

command = ["airflow", "providers", "get", "airflow-provider-dreambooth", "--output", "json"]
shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
[info] = json.loads(shown)
assert info["Version"] == airflow_provider_dreambooth.__version__, info

command = [sys.executable, "-m", "airflow_provider_dreambooth.sandbox", "--help"]
assert "--port" in subprocess.run(command, check=True, capture_output=True, text=True).stdout
print(f"airflow-provider-dreambooth {info['Version']} works from {installed}")
