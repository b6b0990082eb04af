"""A workload on disk: JSON, with sampled tensors beside it in safetensors."""

import json
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import MaxLen

from workloads.consistent import check_ops, has_pattern
from workloads.errors import UserError
from workloads.files.limits import GLOBS, LIMITS, NAME_LETTERS, Limits
from workloads.files.reading import MIB, check_schema, checked, digest_of, parse_json, read_text
from workloads.files.writing import write_text
from workloads.op import CLOSED, Amount, Count, MatrixOp, Op, Orders, VectorOp, name_fault
from workloads.schema import SCHEMA, renewed, written_out
from workloads.shape_fit import resolve
from workloads.workload import Capture, Mode, Workload

WHAT = "a workload is JSON"
Globs = Annotated[tuple[Annotated[str, MaxLen(NAME_LETTERS)], ...], MaxLen(GLOBS)]


@dataclass(frozen=True)
class Template:
    """A workload on disk. Sizes in `ops` and `saved_elements` may be functions of batch B and sequence length S.

    samples: the SHA-256 of the file of samples beside it, without which it is not read; empty in older files, and where
    there is none.
    """

    schema_version: Literal[2]
    model: str
    method: str
    pattern: str
    mode: Mode
    batch: Count
    sequence: Count
    parameters: Amount
    saved_elements: Amount | dict[str, int]
    kept_dense: Globs
    capture: Capture
    ops: list[dict[str, Any]]
    orders: dict[str, Orders] = field(default_factory=dict)
    training_only: Globs = ()
    samples: str = ""

    __pydantic_config__: ClassVar[dict[str, str]] = CLOSED

    @property
    def follows_batch(self) -> bool:
        """True when some size depends on the batch; a single recorded step has one batch for good."""
        return self._mentions('"B"', '"BS"', '"BSS"')

    @property
    def follows_sequence(self) -> bool:
        """True when some size depends on the sequence length."""
        return self._mentions('"S"', '"BS"', '"SS"', '"BSS"')

    def _mentions(self, *terms: str) -> bool:
        return any(term in json.dumps([self.ops, self.saved_elements]) for term in terms)


def read_template(path: Path, limits: Limits = LIMITS) -> Template:
    """Read a workload file. Raises UserError that names the file, the line and the field."""
    return parse_template(path, read_text(path, WHAT, limits.file_mib * MIB, "file_mib"), limits)


def parse_template(path: Path, text: str, limits: Limits = LIMITS) -> Template:
    """A workload file's text; `path` is what it is called. Raises UserError as `read_template` does."""
    node = parse_json(text, str(path), "not a whole workload")
    if isinstance(node, dict) and "arch" in node and "schema" in node:
        raise UserError(f"{path}: is the card of a result, and no workload; `simulate report {path.parent}` shows it")
    whole = renewed(check_schema(node, str(path), SCHEMA, "a workload", "schema_version", older=(1,)))
    if isinstance(whole.get("ops"), list):
        whole = {**whole, "ops": written_out(whole["ops"], str(path), limits)}
        limits.check("ops", len(whole["ops"]), f"{path}: the step")
    return checked(Template, whole, str(path))


def instantiate(
    template: Template,
    path: Path,
    batch: int | None = None,
    sequence: int | None = None,
    tensors: str | None = None,
) -> Workload:
    """The workload at a batch and a sequence length (both those it was recorded at by default).

    tensors: the file of its samples, "" for none; by default the one beside `path`, where there is one. Raises
    UserError for another size than the recorded one where the file holds no other, for a broken file, and for samples
    that are not those it was written with.
    """
    if batch not in (None, template.batch) and not template.follows_batch:
        raise UserError(f"{path}: --batch {batch}: is a step recorded at batch {template.batch}, and holds no other")
    if sequence not in (None, template.sequence) and not template.follows_sequence:
        raise UserError(f"{path}: --sequence {sequence}: the recorded step does not change with the sequence length")
    at = (batch or template.batch, sequence or template.sequence)
    try:
        nodes = [resolve(node, *at) for node in template.ops]
        saved = resolve(template.saved_elements, *at)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: ops or saved_elements: {error}") from None
    ops = tuple(_op(node, path, number) for number, node in enumerate(nodes))
    _check(template, ops, path)
    return Workload(
        model=template.model,
        method=template.method,
        pattern=template.pattern,
        batch=at[0],
        sequence=at[1],
        mode=template.mode,
        ops=ops,
        parameters=template.parameters,
        saved_elements=checked(Amount, saved, str(path), "saved_elements"),
        kept_dense=template.kept_dense,
        capture=template.capture,
        tensors=_samples(template, path, path.with_suffix(".safetensors") if tensors is None else Path(tensors)),
        orders=template.orders,
        training_only=template.training_only,
        samples=template.samples,
    )


def _op(node: object, path: Path, number: int) -> Op:
    """An op; work on elements one by one has a kind."""
    kind: type[Op] = VectorOp if isinstance(node, dict) and "kind" in node else MatrixOp
    return checked(kind, node, str(path), f"ops.{number}")


def _samples(template: Template, path: Path, tensors: Path) -> Path | None:
    """The file of samples; None where there is none. Raises UserError where it is not the one that belongs here."""
    if not tensors.is_file() and not template.samples:
        return None
    if not tensors.is_file():
        raise UserError(f"{path}: samples: belongs to {tensors}, which is not there; lay it beside")
    if template.samples and digest_of(tensors) != template.samples:
        raise UserError(f"{tensors}: is not the file of samples that {path} was written with; its digest is another")
    return tensors


def template_of(workload: Workload) -> Template:
    """A recorded step as it goes to disk: at its own batch and sequence length alone."""
    return Template(
        schema_version=SCHEMA,
        model=workload.model,
        method=workload.method,
        pattern=workload.pattern,
        mode=workload.mode,
        batch=workload.batch,
        sequence=workload.sequence,
        parameters=workload.parameters,
        saved_elements=workload.saved_elements,
        kept_dense=workload.kept_dense,
        capture=workload.capture,
        ops=[op_node(op) for op in workload.ops],
        orders=dict(workload.orders),
        training_only=workload.training_only,
        samples=workload.samples,
    )


def write_template(template: Template, path: Path, replace: bool = True) -> None:
    """Write a workload file; it appears whole or not at all. replace: whether in place of one that is there.

    Raises UserError where it cannot be written.
    """
    write_text(path, text_of(template), replace=replace)


def text_of(template: Template) -> str:
    """A workload file's text, one op and one order a line."""
    last = ("ops", "orders") if template.samples else ("ops", "orders", "samples")
    head = {key: value for key, value in asdict(template).items() if key not in last}
    text = json.dumps(head, indent=1)[:-2]
    if template.orders:
        orders = ",\n".join(f"  {json.dumps(name)}: {json.dumps(order)}" for name, order in template.orders.items())
        text += ',\n "orders": {\n' + orders + "\n }"
    lines = ",\n".join("  " + json.dumps(op, separators=(", ", ": ")) for op in template.ops)
    return text + ',\n "ops": [\n' + lines + "\n ]\n}\n"


def op_node(op: Op) -> dict[str, Any]:
    """An op as JSON; fields at their default are left out."""
    node: dict[str, Any] = _without_defaults(op)
    return node


def _without_defaults(value: Any) -> Any:
    if is_dataclass(value):
        shown = {}
        for entry in fields(value):
            inner = getattr(value, entry.name)
            if entry.default is MISSING or inner != entry.default:
                shown[entry.name] = _without_defaults(inner)
        return shown
    if isinstance(value, tuple):
        return [_without_defaults(inner) for inner in value]
    return value


def _check(template: Template, ops: tuple[Op, ...], path: Path) -> None:
    """Raises UserError where a file contradicts itself."""
    if wrong := name_fault(template.model):
        raise UserError(f"{path}: model: {wrong}")
    check_ops(ops, template.orders, path)
    claims = (template.method, template.pattern) != ("dense", "dense")
    if claims and not has_pattern(ops) and template.capture.masks != "measured":  # a recorded step may be dense so far
        said = f"says method '{template.method}' and pattern '{template.pattern}'"
        raise UserError(f"{path}: {said}, but no operand is sparse; both are 'dense' then")
