"""Dense training: nothing is masked. What every other method is compared with."""

from workloads.methods.base import MaskSource, MaskUse, Method, always_dense

DENSE_TRAINING = Method(name="dense", in_force=always_dense, mask_use=MaskUse.NONE, backward_from=MaskSource.NONE)
