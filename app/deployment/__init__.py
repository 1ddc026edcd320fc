"""The core: what a deployment is, the law of its steps, and what it asks of a target.

It knows no library and does no I/O: everything outside is an argument.
"""
