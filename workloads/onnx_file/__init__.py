"""ONNX files as workloads: read with the package `onnx` alone, which is imported when a file is asked for.

`files.slim` reads a file without its weights. `graph` makes of it nodes and values; `sizes` and `constants` find how
large these are. `operators` says what every operator is, `facts` what depends on data and on what trains. `products`,
`convolutions`, `recurrent` and `attention` are the rules for operators that multiply, `vector` is that for the rest.
`draft` and `derive` add the backward pass and the updates, `names` calls the layers, and `read` puts it together.
"""
