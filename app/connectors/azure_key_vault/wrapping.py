"""Data keys, wrapped by keys that never leave their Key Vault: it wraps and unwraps, we ask.

A wrap says which version of the key did it, and that version alone opens it again: an older one
must stay enabled for as long as something waits under it. No data key is kept here beyond the
call, so every seal and every opening is one call.
"""

import asyncio
from typing import Final

import structlog

from app.connectors.azure_key_vault import answers
from app.connectors.azure_key_vault.answers import KeyResult
from app.connectors.azure_key_vault.config import AzureOptions, Place, key_url, versioned
from app.connectors.azure_key_vault.vaults import Vaults
from app.errors import (
    SealingKeyGone,
    SealingUnavailable,
    TargetAnswer,
    TargetError,
    TargetForbidden,
    TargetUnavailable,
    TargetUnreachable,
)
from app.sealing import Wrapped

WRAP: Final = "wrap_key"
UNWRAP: Final = "unwrap_key"
_ALGORITHM: Final = "RSA-OAEP-256"  # RFC 7518, section 4.3; a data key fits every RSA key
# (status, inner code or else code) of an unwrap after which the key opens this no more. One that
# has expired is not among them: Key Vault goes on unwrapping with it. 400 is what it most likely
# says of a value that this key did not wrap; no recorded answer was found.
_GONE: Final = {(404, "KeyNotFound"), (403, "KeyDisabled"), (400, "BadParameter")}
_FORBIDDEN: Final = (
    "Let this service's identity wrap and unwrap with this key, let the key itself do both, and "
    "let the vault's network admit us. Until then nothing is sealed or opened."
)


class KeyVaultKeys:
    """Wraps with the first of `AZURE__SEALING_KEYS`, unwraps with whichever of them it was.

    Args:
        options: the operator's settings, with one key at least.
        vaults: the clients; they are closed with this.
    """

    def __init__(self, options: AzureOptions, vaults: Vaults) -> None:
        self._keys = options.sealing_keys
        self._mode = options.sealing_credential_mode
        self._within_s = options.read_timeout_s
        self._vaults = vaults

    async def wrap(self, data_key: bytes) -> Wrapped:
        """Wrap a data key under the first key.

        Raises:
            SealingUnavailable: it cannot be done now; the log says why.
        """
        listed = self._keys[0]
        try:
            found = await self._use(WRAP, listed, data_key)
        except TargetError as refused:
            _log("sealing.unavailable", WRAP, listed, refused)
            raise SealingUnavailable from refused
        return Wrapped(key_id=found.key_id, key=found.octets)

    async def unwrap(self, wrapped: Wrapped) -> bytes:
        """The data key.

        Raises:
            SealingUnavailable: it cannot be done now; the log says why.
            SealingKeyGone: the key is not listed, not there, disabled, or did not wrap this.
        """
        if not any(_covers(listed, wrapped.key_id) for listed in self._keys):
            raise SealingKeyGone
        try:
            return (await self._use(UNWRAP, wrapped.key_id, wrapped.key)).octets
        except TargetError as refused:
            gone = _gone(refused)
            event = "sealing.key_gone" if gone else "sealing.unavailable"
            _log(event, UNWRAP, wrapped.key_id, refused)
            raise (SealingKeyGone if gone else SealingUnavailable) from refused

    async def aclose(self) -> None:
        """Close the clients."""
        await self._vaults.aclose()

    async def _use(self, operation: str, key: str, octets: bytes) -> KeyResult:
        """What an operation of a key answers, and the version of the key that did it.

        Raises:
            TargetError: it was refused, or there was no sensible answer in time.
        """
        vault_url, _, name = key.partition("/keys/")
        place = Place(vault_url=vault_url, credential_mode=self._mode)
        path = f"/keys/{name}/{operation.replace('_', '')}"
        body = {"alg": _ALGORITHM, "value": answers.base64url(octets)}
        try:
            async with asyncio.timeout(self._within_s):
                found = await self._vaults.of(place).use_key(operation, path, body)
            key_id = key_url(found.key_id)
        except TimeoutError as late:
            raise TargetUnreachable from late
        except ValueError as nonsense:
            raise TargetUnavailable from nonsense
        if not _covers(key, key_id):
            raise TargetUnavailable
        return KeyResult(key_id=key_id, octets=found.octets)


def _covers(listed: str, key_id: str) -> bool:
    """Whether *key_id* is a version of the listed key, or the version that is listed."""
    return versioned(key_id) and (key_id == listed or key_id.startswith(f"{listed}/"))


def _gone(refused: TargetError) -> bool:
    answer = refused.answer or TargetAnswer()
    return (answer.status, answer.inner_code or answer.code) in _GONE


def _log(event: str, operation: str, key: str, refused: TargetError) -> None:
    answer = refused.answer or TargetAnswer()
    structlog.get_logger().warning(
        event,
        operation=operation,
        key=key,
        code=refused.code,
        advice=_FORBIDDEN if isinstance(refused, TargetForbidden) else refused.message,
        azure_status=answer.status,
        azure_code=answer.code,
        azure_inner_code=answer.inner_code,
        azure_request_id=answer.request_id,
    )
