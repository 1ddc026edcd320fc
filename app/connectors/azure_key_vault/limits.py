"""What is refused before anything is asked of a vault: by the operator, or by Key Vault's limits.

What Key Vault was only reported to refuse is no fault but a doubt: it is said and tried.

A PFX is only built to be measured where it could be too large, because that costs CPU.
"""

import base64
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from app.connectors.azure_key_vault.config import AzureOptions
from app.errors import Fault
from app.pki import Bundle, Notice

_PFX_LIMIT: Final = 25 * 1024  # characters of base64: the secret of a certificate is 25 KB at most
_PFX_NEAR: Final = 15 * 1024  # bytes of DER below which no PFX comes near that
_LONGEST_TAG: Final = 256
_NOT_ALLOWED: Final = Fault(
    field="target_config.vault_url",
    code="vault-not-allowed",
    message="The operator of this service does not let it deploy to this vault.",
)
_TOO_LARGE: Final = Fault(
    field="chain_pem",
    code="bundle-too-large",
    message="Key Vault keeps 25 KB of PFX in base64; send fewer or smaller certificates.",
)
_ID_TOO_LONG: Final = Fault(
    field="metadata.certificate_id",
    code="certificate-id-too-long",
    message="It becomes a tag, and Key Vault keeps 256 characters of one.",
)
_ID_EMPTY: Final = Fault(
    field="metadata.certificate_id",
    code="certificate-id-empty",
    message="It becomes a tag, and an empty one names nothing; send an id, or leave it out.",
)
# RFC 5758, section 3.2, and RFC 3279, section 2.2.3: every ECDSA signature is named below this
_ECDSA: Final = "1.2.840.10045.4."
# https://github.com/MicrosoftDocs/azure-docs/issues/115129 and 88477: reported in 2022 and 2023,
# never documented
_RSA_BELOW_EC: Final = Notice(
    code="rsa-signed-by-ec",
    message=(
        "An EC authority signed this RSA certificate, and Key Vault was reported to reject such "
        "ones (KeySizeNotSupported). A rejected import changes nothing; if it is, have the "
        "certificate reissued with an EC key, or by an RSA authority."
    ),
)


def faults(
    options: AzureOptions, vault_url: str, bundle: Bundle | None, metadata: Mapping[str, str]
) -> tuple[Fault, ...]:
    """Every fault of what is to be deployed to the vault."""
    id_ = metadata.get("certificate_id")
    found = (
        (not options.allows(vault_url), _NOT_ALLOWED),
        (bundle is not None and _too_large(bundle), _TOO_LARGE),
        (id_ is not None and len(id_) > _LONGEST_TAG, _ID_TOO_LONG),
        (id_ is not None and not id_.strip(), _ID_EMPTY),
    )
    return tuple(fault for wrong, fault in found if wrong)


def doubts(bundle: Bundle | None) -> tuple[Notice, ...]:
    """What Key Vault may reject of *bundle*, though that is not certain."""
    if bundle is None or not isinstance(bundle.leaf.public_key(), rsa.RSAPublicKey):
        return ()
    signed = bundle.leaf.signature_algorithm_oid.dotted_string
    return (_RSA_BELOW_EC,) if signed.startswith(_ECDSA) else ()


def _too_large(bundle: Bundle) -> bool:
    """Whether the PFX passes the limit; it is built only where it could."""
    certificates = (bundle.leaf, *bundle.chain)
    near = sum(len(one.public_bytes(Encoding.DER)) for one in certificates) > _PFX_NEAR
    return near and len(base64.b64encode(bundle.pfx())) > _PFX_LIMIT
