"""A zoo of models that others wrote: what is recorded of each, held against a count that is not ours."""

from importlib import import_module
from importlib.util import find_spec

import torch

DECLARED = ("nms", "qnms")
ARGUMENTS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def _importable_torchvision() -> torch.library.Library | None:
    """Makes torchvision, which timm and transformers import, importable beside a CPU build of torch.

    Its wheel on PyPI is compiled against the CUDA build and cannot load its operators beside another one. It registers
    shapes for two of them all the same, which fails where they are not declared; nothing in the zoo runs them. The
    declarations live as long as what is returned.
    """
    if find_spec("torchvision") is None:
        return None
    try:
        import_module("torchvision")
    except RuntimeError:  # operator torchvision::nms does not exist
        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for name in DECLARED:
            library.define(name + ARGUMENTS)  # type: ignore[no-untyped-call]
        import_module("torchvision")
        return library
    return None


_LIBRARY = _importable_torchvision()
