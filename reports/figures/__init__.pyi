from reports.figures.accuracy import accuracy_figure as accuracy_figure
from reports.figures.accuracy import pareto_figure as pareto_figure
from reports.figures.area import area_figure as area_figure
from reports.figures.area import iso_area_figure as iso_area_figure
from reports.figures.fabric import (
    sweep_figure as sweep_figure,
)
from reports.figures.fabric import (
    time_figure as time_figure,
)
from reports.figures.fabric import (
    timeline_figure as timeline_figure,
)
from reports.figures.sparsity import sparsity_figure as sparsity_figure
from reports.figures.style import save_figure as save_figure
from reports.figures.validation import (
    ceilings_figure as ceilings_figure,
)
from reports.figures.validation import checks_figure as checks_figure
from reports.figures.validation import explained_figure as explained_figure
from reports.figures.validation import (
    sensitivity_figure as sensitivity_figure,
)
from reports.figures.validation import (
    waterfall_figure as waterfall_figure,
)
