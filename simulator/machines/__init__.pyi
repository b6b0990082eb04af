from simulator.machines.core_limits import check_core as check_core
