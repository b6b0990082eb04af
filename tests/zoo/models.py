"""The zoo: every model of it, by family."""

from tests.zoo import adapters, convolutions, diffusion, language, layers, products, structures, vision

MODELS = (
    *vision.MODELS,
    *language.MODELS,
    *adapters.MODELS,
    *diffusion.MODELS,
    *layers.MODELS,
    *convolutions.MODELS,
    *products.MODELS,
    *structures.MODELS,
)
