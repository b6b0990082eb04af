"""The place that reads and writes files; tests/test_house.py names the few modules that do so themselves, and why.

`reading` bounds the size and the depth of a file before anything is built of it, holds it against a typed schema, and
turns every failure into a sentence. `yaml`, `tensors` and `tables` read one format each. `writing` gives a file or a
folder its name only once it is whole; `partials` is about the name before that. `lines` is a file that grows line by
line, `cache` and `kept` are for what outlives a run. `locks` holds a file, `limits` names every bound, with its reason.
"""
