"""A workload on disk: JSON, with sampled tensors beside it in safetensors."""

import json
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from pydantic import TypeAdapter, ValidationError

from workloads.errors import UserError
from workloads.op import CLOSED, Amount, Count, MatrixOp, Op, Orders
from workloads.shape_fit import resolve
from workloads.workload import Capture, Mode, Workload

SCHEMA: Final = 1


@dataclass(frozen=True)
class Template:
    """A workload on disk. Sizes in `ops` and `saved_elements` may be functions of batch B and sequence length S."""

    schema_version: Literal[1]
    model: str
    method: str
    pattern: str
    mode: Mode
    batch: Count
    sequence: Count
    parameters: Amount
    saved_elements: Amount | dict[str, int]
    kept_dense: tuple[str, ...]
    capture: Capture
    ops: list[dict[str, Any]]
    orders: dict[str, Orders] = field(default_factory=dict)
    training_only: tuple[str, ...] = ()

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


def read_template(path: Path) -> Template:
    """Read a workload file. Raises UserError that names the file, the line and the field."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not a text file; a workload is JSON") from None
    return parse_template(path, text)


def parse_template(path: Path, text: str) -> Template:
    """A workload file's text; `path` is what it is called. Raises UserError as `read_template` does."""
    try:
        node = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not a whole workload: {error.msg}") from None
    except (RecursionError, ValueError):
        raise UserError(f"{path}: is nested too deeply, or holds a number too long to read") from None
    if isinstance(node, dict) and "arch" in node and "schema" in node:
        raise UserError(f"{path}: is the card of a result, and no workload; `simulate report {path.parent}` shows it")
    try:
        return TypeAdapter(Template).validate_python(node)
    except ValidationError as error:
        raise _field_error(path, error) from None


def instantiate(template: Template, path: Path, batch: int | None = None, sequence: int | None = None) -> Workload:
    """The workload at a batch and a sequence length (both those it was recorded at by default).

    Raises UserError for another size than the recorded one where the file holds no other, and for a broken file.
    """
    if batch not in (None, template.batch) and not template.follows_batch:
        raise UserError(f"{path}: --batch {batch}: is a step recorded at batch {template.batch}, and holds no other")
    if sequence not in (None, template.sequence) and not template.follows_sequence:
        raise UserError(f"{path}: --sequence {sequence}: the recorded step does not change with the sequence length")
    at = (batch or template.batch, sequence or template.sequence)
    try:
        ops = TypeAdapter(tuple[Op, ...]).validate_python(resolve(template.ops, *at))
        saved = int(resolve(template.saved_elements, *at))  # type: ignore[call-overload]
    except ValidationError as error:
        raise _field_error(path, error, "ops") from None
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: ops or saved_elements: {error}") from None
    _check(template, ops, path)
    tensors = path.with_suffix(".safetensors")
    return Workload(
        model=template.model,
        method=template.method,
        pattern=template.pattern,
        batch=at[0],
        sequence=at[1],
        mode=template.mode,
        ops=ops,
        parameters=template.parameters,
        saved_elements=saved,
        kept_dense=template.kept_dense,
        capture=template.capture,
        tensors=tensors if tensors.exists() else None,
        orders=template.orders,
        training_only=template.training_only,
    )


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
    )


def write_template(template: Template, path: Path) -> None:
    """Write a workload file; it appears whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text_of(template), encoding="utf-8")
    partial.replace(path)


def text_of(template: Template) -> str:
    """A workload file's text, one op and one order a line."""
    head = {key: value for key, value in asdict(template).items() if key not in ("ops", "orders")}
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
    if not ops:
        raise UserError(f"{path}: ops: a workload has at least one")
    products = [op for op in ops if isinstance(op, MatrixOp)]
    for op in products:
        if wrong := op.mismatch():
            raise UserError(f"{path}: {op.layer} {op.phase}: {wrong}")
    sparse = any(not (op.left.pattern.is_dense and op.right.pattern.is_dense) for op in products)
    claims = (template.method, template.pattern) != ("dense", "dense")
    if claims and not sparse and template.capture.masks != "measured":  # a recorded step may be dense so far
        said = f"says method '{template.method}' and pattern '{template.pattern}'"
        raise UserError(f"{path}: {said}, but no operand is sparse; both are 'dense' then")


def _field_error(path: Path, error: Any, prefix: str = "") -> UserError:
    first = error.errors()[0]
    place = ".".join(str(part) for part in (prefix, *first["loc"]) if part != "")
    return UserError(f"{path}: {place}: {first['msg'][0].lower() + first['msg'][1:]}")
