"""`make same BASE=<commit>`: does today's tree still give what another commit gave? Wall times are left out.

`cases.py` lists what is run, `record.py` runs it on one tree and writes down what came out, `__main__.py` sets two
records side by side. A difference is not an error by itself: whoever makes one says why.
"""
