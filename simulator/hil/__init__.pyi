from simulator.hil.loop import check_core as check_core
from simulator.hil.loop import check_possible as check_possible
from simulator.hil.loop import with_core as with_core
from simulator.hil.loop import with_hardware as with_hardware
from simulator.hil.outcome import Outcome as Outcome
