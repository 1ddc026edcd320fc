"""The embedded Key Vault: certificates, keys that wrap others, and login, over TLS, in memory.

For the demo, the tests and integrators: real enough that the Azure SDK and `az` talk to it
unchanged, and able to fail on command. Nothing survives the process; it holds private keys and
must never serve anything but tests.
"""

from app.emulator.access import By, Denial
from app.emulator.budgets import Budgets
from app.emulator.cli import serve
from app.emulator.clock import Clock
from app.emulator.effects import (
    AnotherWriter,
    Answer,
    Delay,
    Drop,
    ForgetTags,
    StaleRead,
    StoreAnother,
)
from app.emulator.emulator import (
    CLIENT_ID,
    CLIENT_SECRET,
    IDENTITY_HEADER,
    TENANT_ID,
    Emulator,
)
from app.emulator.faults import Fault
from app.emulator.roles import Assignment
from app.emulator.state import Call
from app.emulator.stored import StoredVersion
from app.emulator.vaults import Vault

__all__ = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "IDENTITY_HEADER",
    "TENANT_ID",
    "AnotherWriter",
    "Answer",
    "Assignment",
    "Budgets",
    "By",
    "Call",
    "Clock",
    "Delay",
    "Denial",
    "Drop",
    "Emulator",
    "Fault",
    "ForgetTags",
    "StaleRead",
    "StoreAnother",
    "StoredVersion",
    "Vault",
    "serve",
]
