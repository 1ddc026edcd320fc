"""The yardstick: the same four calls, with the SDK as its documentation shows it.

Two clients, as the SDK has two packages; the certificate and its secret side by side, the import,
the certificate again. No check, no record, no way back. Runs as a process of its own: each line
of JSON on standard input is a run, answered by one on standard output.
"""

import asyncio
import base64
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

import uvloop
from azure.identity.aio import ClientSecretCredential
from azure.keyvault.certificates import (
    CertificateContentType,
    CertificatePolicy,
    KeyVaultCertificate,
    WellKnownIssuerNames,
)
from azure.keyvault.certificates.aio import CertificateClient
from azure.keyvault.secrets.aio import SecretClient

from tests.bench import loops

_TAGS: Final = {"env": "production"}
Renewal = tuple[KeyVaultCertificate, KeyVaultCertificate]


class Script:
    """Renews certificates."""

    def __init__(
        self, certificates: CertificateClient, secrets: SecretClient, pfx: list[bytes]
    ) -> None:
        self._certificates = certificates
        self._secrets = secrets
        self._pfx = pfx
        self._policy = CertificatePolicy(
            issuer_name=WellKnownIssuerNames.unknown,
            content_type=CertificateContentType.pkcs12,
            exportable=True,
        )

    async def gathered(self, number: int) -> Renewal:
        """The first two calls side by side."""
        name = f"bare-{number}"
        await asyncio.gather(
            self._certificates.get_certificate(name), self._secrets.get_secret(name)
        )
        return await self._renewed(name, number)

    async def sequential(self, number: int) -> Renewal:
        """All four one after the other."""
        name = f"bare-{number}"
        await self._certificates.get_certificate(name)
        await self._secrets.get_secret(name)
        return await self._renewed(name, number)

    async def _renewed(self, name: str, number: int) -> Renewal:
        pfx = self._pfx[number % len(self._pfx)]
        imported = await self._certificates.import_certificate(
            name, pfx, policy=self._policy, tags=_TAGS
        )
        return imported, await self._certificates.get_certificate(name)


async def _run(work: Callable[[int], Awaitable[Renewal]], told: dict[str, Any]) -> dict[str, Any]:
    """One run; what came back is looked at after the clock has stopped."""
    kept: list[Renewal] = []

    async def one(number: int) -> None:
        kept.append(await work(number))

    cpu = time.process_time()
    seconds, latencies = await loops.closed(
        one, range(told["first"], told["first"] + told["count"]), told["concurrency"]
    )
    cpu = time.process_time() - cpu
    assert all(imported.id == latest.id for imported, latest in kept)
    return {"seconds": seconds, "latencies": latencies, "cpu_s": cpu}


async def _serve(told: dict[str, Any]) -> None:
    async with AsyncExitStack() as stack:
        credential = await stack.enter_async_context(
            ClientSecretCredential(told["tenant"], "client", "secret", authority=told["vault_url"])
        )
        vault_url = told["vault_url"]
        # The stub has no name of Azure's; nothing else differs from the documentation.
        certificates = await stack.enter_async_context(
            CertificateClient(vault_url, credential, verify_challenge_resource=False)
        )
        secrets = await stack.enter_async_context(
            SecretClient(vault_url, credential, verify_challenge_resource=False)
        )
        script = Script(certificates, secrets, [base64.b64decode(one) for one in told["pfx"]])
        # Read without a thread: while this waits, there is nothing else to do.
        for line in sys.stdin:
            asked = json.loads(line)
            answer = await _run(getattr(script, asked["variant"]), asked)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    _told = json.loads(sys.stdin.readline())
    _factory = uvloop.new_event_loop if _told["uvloop"] else None
    with asyncio.Runner(loop_factory=_factory) as runner:
        runner.run(_serve(_told))
