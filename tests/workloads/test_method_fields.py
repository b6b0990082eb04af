"""The fields of methods that can be set: each changes a run, and a wrong one is refused."""

from itertools import islice

import pytest
import torch

from tests.workloads.small import ADAMW, SGD, batches, training
from workloads.errors import UserError
from workloads.methods.base import Method
from workloads.methods.fields import fitted, load_method, settable, with_fields
from workloads.registry import METHODS, names

STEPS = 8
# a value for every field, under which a run of STEPS steps differs from the default one
CHANGED = {
    "adams": ("decay=0.5", "rate=1e-3", "ramp_share=0.5", "period=3", "beta2=0.5", "epsilon=1e-2"),
    "bank": ("start_share=0.5", "stop_share=0.9", "period=2"),
    "bimask": ("decay=0.5", "period=2", "candidates=2", "seed=1"),
    "mdgf": ("decay=0.5", "fall=linear", "beta=0.1", "dense_share=0.5", "tune_share=0.5", "last_factor=0.1"),
    "sdgf": ("decay=0.5", "schedule=densify"),
    "srigl": ("period=2", "stop_share=0.9", "drop_share=0.9", "seed=1"),
    "transposable": ("decay=0.5", "period=2"),
    "srste": ("decay=0.5",),
}
BASE = {"adams": "rate=1e-7", "bank": "period=2", "srigl": "period=2"}  # so that every field shows in a short run


def method(name: str, *texts: str) -> Method:
    return fitted(with_fields(load_method(name), texts), STEPS)


def trained(chosen: Method) -> list[torch.Tensor]:
    pattern = {"srigl": "fan-in 6", "bank": "bank 2:4"}.get(chosen.name, "2:4")
    run = training(chosen, pattern, SGD if chosen.name == "srigl" else ADAMW)
    for batch in islice(batches(), STEPS):
        run.run_step(batch)
    return [parameter.detach() for parameter in run.model.parameters()]


EVERY = [(name, text) for name, texts in CHANGED.items() for text in texts]


@pytest.mark.parametrize(("name", "text"), EVERY, ids=[" ".join(each) for each in EVERY])
def test_a_field_changes_the_run(name: str, text: str) -> None:
    base = [BASE[name]] if name in BASE and text.partition("=")[0] not in BASE[name] else []
    plain, changed = trained(method(name, *base)), trained(method(name, *base, text))
    assert not all(torch.equal(*pair) for pair in zip(plain, changed, strict=True))


@pytest.mark.parametrize("name", names(METHODS))
def test_no_field_is_left_out(name: str) -> None:
    found = set(settable(load_method(name)))
    assert found - {"decay"} == {text.partition("=")[0] for text in CHANGED.get(name, ())} - {"decay"}


@pytest.mark.parametrize(
    ("name", "texts", "sentence"),
    [
        (
            "bimask",
            ("perod=3",),
            "--set: unknown field of method 'bimask' 'perod'; did you mean 'period'? (known: cand",
        ),
        ("bimask", ("period",), "--set period: write FIELD=VALUE, for example --set period=50"),
        ("bimask", ("period=x",), "--set period=x: wanted is a whole number"),
        ("bimask", ("period=2.5",), "--set period=2.5: wanted is a whole number"),
        ("bimask", ("period=0",), "method 'bimask': period and candidates must be at least 1"),
        ("bimask", ("period=2", "period=3"), "--set period=3: period is set twice"),
        ("bimask", ("decay=-1",), "--set decay=-1: must be 0 or more"),
        ("bimask", ("total_steps=5",), "--set: unknown field of method 'bimask' 'total_steps'"),
        ("mdgf", ("total_steps=5",), "--set: unknown field of method 'mdgf' 'total_steps'"),
        ("mdgf", ("fall=lineal",), "--set fall=lineal: unknown value 'lineal'; did you mean 'linear'?"),
        ("mdgf", ("beta=-1",), "method 'mdgf': beta must be 0 or more, not -1"),
        ("mdgf", ("tune_share=nan",), "--set tune_share=nan: wanted is a number"),
        ("mdgf", ("tune_share=1",), "method 'mdgf': dense_share and tune_share must be at least 0 and leave a rest"),
        ("adams", ("beta2=1",), "method 'adams': beta2 must be at least 0 and below 1, epsilon above 0"),
        ("sdgf", ("schedule=x",), "--set schedule=x: unknown value 'x' (known: densify, geometric, sparsify)"),
    ],
)
def test_mistakes(name: str, texts: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        method(name, *texts)
    assert str(caught.value).startswith(sentence)
