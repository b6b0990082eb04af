"""The half that the simulate command uses does not import torch."""

import subprocess
import sys

import pytest

MODULES = (
    "workloads.methods.bdwp, workloads.methods.dense, workloads.shipped, workloads.apply_method, workloads.registry",
    "workloads.samples, workloads.masks",
    ", ".join(
        f"workloads.methods.{name}"
        for name in (
            "ste",
            "srste",
            "sdwp",
            "sdgp",
            "bimask",
            "transposable",
            "mdgf",
            "sdgf",
            "srigl",
            "adams",
            "torch24",
        )
    ),
)


@pytest.mark.parametrize("modules", MODULES)
def test_torch_is_not_imported(modules: str) -> None:
    work = "w = workloads.shipped.load_shipped('resnet18', 4); " if "shipped" in modules else ""
    code = f"import sys, {modules}; {work}print([name for name in ('torch', 'sklearn') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
