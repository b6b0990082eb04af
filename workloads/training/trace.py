"""A real training step as a Workload, with masks and zeros as they were."""

from workloads.models.spec import DataKind, ModelSpec
from workloads.training.loop import Batch, Training
from workloads.training.record import Watcher, versions
from workloads.workload import Capture, Mode, Workload


def trace_step(
    spec: ModelSpec,
    training: Training,
    batch: Batch,
    dataset: str = "",
    seed: int = 0,
    watch: Watcher | None = None,
) -> Workload:
    """Run one step of a training and return what it did. `watch` sees every product with its tensors.

    Its masks are `measured`: they are those of the run's own method and patterns. Raises UserError for a mask its
    pattern forbids.
    """
    scale = training.scale.scale
    recorded, loss = training.record_step(batch, watch)
    inputs, _ = batch
    return Workload(
        model=spec.name,
        method=training.recipe.method.name,
        pattern=str(training.recipe.patterns),
        batch=inputs.shape[0],
        sequence=inputs.shape[1] if spec.data is DataKind.BYTES else 1,
        mode=Mode.TRAINING,
        ops=recorded.ops,
        parameters=recorded.parameters,
        saved_elements=recorded.saved_elements,
        kept_dense=tuple(training.recipe.kept_dense),
        orders=recorded.orders,
        capture=Capture(
            source="recorded step",
            shapes="recorded step",
            dataset=dataset,
            step=training.step,
            loss=loss,
            loss_scale=scale,
            seed=seed,
            versions=versions(),
            masks="measured",
        ),
    )
