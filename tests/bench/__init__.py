"""`make bench`: the service beside a bare script of the Azure SDK that makes the same calls.

Both take turns on one core, before a stub of Key Vault on the other, so what the machine does
meanwhile happens to both. Nothing here is asserted: the end is a table, and the same as a picture.
Read `rounds` first (what is measured, in which order), then `bare` (the yardstick).
"""
