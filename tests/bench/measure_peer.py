"""Other simulators on the layers this one simulates; whoever runs this measures its CPU seconds and memory.

Runs in an environment of the peers' own (they pin other versions of what we use): nothing of this project is imported.
Usage: python measure_peer.py scalesim|zigzag LAYERS.csv OUT.json; LAYERS.csv has name, rows, cols, inner a line.
"""

import csv
import json
import sys
import tempfile
from pathlib import Path

ARRAY = 32  # PEs a side, in both
SCALE_CONFIG = f"""[general]
run_name = peers
[architecture_presets]
ArrayHeight = {ARRAY}
ArrayWidth = {ARRAY}
IfmapSramSzkB = 4096
FilterSramSzkB = 2048
OfmapSramSzkB = 2048
IfmapOffset = 0
FilterOffset = 1000000000
OfmapOffset = 2000000000
Dataflow = ws
Bandwidth = 1000
ReadRequestBuffer = 32
WriteRequestBuffer = 32
[layout]
IfmapCustomLayout = False
FilterCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
SparseRep = ellpack_block
OptimizedMapping = false
BlockSize = 8
RandomNumberGeneratorSeed = 40
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""


def scalesim(layers: list[dict[str, str]], folder: Path) -> list[int]:
    """Cycles by layer, weight stationary, stall-free bandwidth, no traces kept: one less a layer than their number."""
    from scalesim.scale_sim import scalesim as Simulation

    (folder / "scale.cfg").write_text(SCALE_CONFIG)
    lines = [f"{each['name']},{each['rows']},{each['cols']},{each['inner']}," for each in layers]
    (folder / "gemm.csv").write_text("Layer,M,N,K,\n" + "\n".join(lines) + "\n")
    (folder / "layout.csv").write_text("Layer,\n" + "\n".join(f"{each['name']}," + "1," * 24 for each in layers) + "\n")
    job = Simulation(
        save_disk_space=True,
        verbose=False,
        config=str(folder / "scale.cfg"),
        topology=str(folder / "gemm.csv"),
        layout=str(folder / "layout.csv"),
        input_type_gemm=True,
    )
    job.run_scale(top_path=str(folder))
    (report,) = folder.rglob("COMPUTE_REPORT.csv")
    with report.open() as file:
        rows = [{name.strip(): value.strip() for name, value in row.items() if name} for row in csv.DictReader(file)]
    return [int(float(row["Total Cycles"])) for row in rows]


def zigzag(_: list[dict[str, str]], folder: Path) -> list[int]:
    """Cycles of its own ResNet-18 at 224 x 224, batch 1, on its own 32 x 32 array, by the search it has by default."""
    import zigzag as package
    from zigzag.api import get_hardware_performance_zigzag

    inputs = Path(package.__file__).parent / "inputs"
    found = get_hardware_performance_zigzag(
        workload=str(inputs / "workload/resnet18.onnx"),
        accelerator=str(inputs / "hardware/tpu_like.yaml"),
        mapping=str(inputs / "mapping/tpu_like.yaml"),
        dump_folder=str(folder),
        loma_show_progress_bar=False,
    )
    return [int(found[1])]


def main() -> None:
    peer, layers_file, out = sys.argv[1:]
    with Path(layers_file).open() as file:
        layers = list(csv.DictReader(file))
    with tempfile.TemporaryDirectory() as folder:
        found = {"scalesim": scalesim, "zigzag": zigzag}[peer](layers, Path(folder))
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
