"""The one place that reads and writes files: everything the program takes from a disk, or leaves there, passes here.

`reading` bounds the size and the depth of a file before anything is built of it, holds it against a typed schema, and
turns every failure into a sentence. `yaml`, `tensors` and `tables` read one format each. `writing` gives a file or a
folder its name only once it is whole. `limits` names every bound, with its reason.
"""
