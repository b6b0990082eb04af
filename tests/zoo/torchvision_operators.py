"""Imported before timm and transformers: makes torchvision importable beside a CPU build of torch.

torchvision's wheel on PyPI is compiled against the CUDA build and cannot load its operators beside another one. It
registers shapes for two of them all the same, which fails where they are not declared; nothing in the zoo runs them.
"""

from importlib import import_module

import torch

DECLARED = ("nms", "qnms")


def declared() -> torch.library.Library:
    """Declares what is missing. The declarations live as long as what is returned."""
    try:
        import_module("torchvision")
    except RuntimeError:  # operator torchvision::nms does not exist
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in DECLARED:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import_module("torchvision")
        return library
    return torch.library.Library("torchvision", "FRAGMENT")


LIBRARY = declared()
