from dataflows.systolic.binding import bound as bound
from dataflows.systolic.steps import folded_steps as folded_steps
from dataflows.systolic.steps import spilled_steps as spilled_steps
from dataflows.systolic.steps import streamed_steps as streamed_steps
from dataflows.systolic.tiles import cut_output_stationary as cut_output_stationary
from dataflows.systolic.tiles import cut_weight_stationary as cut_weight_stationary
from dataflows.systolic.tiles import output_stationary_extent as output_stationary_extent
from dataflows.systolic.tiles import weight_stationary_extent as weight_stationary_extent
