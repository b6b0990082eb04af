from simulator.kernel.events import ExactRun as ExactRun
from simulator.kernel.reading import ends as ends
from simulator.kernel.reading import evaluated as evaluated
from simulator.kernel.reading import load_kernel as load_kernel
from simulator.kernel.reading import run as run
from simulator.kernel.reading import timing as timing
