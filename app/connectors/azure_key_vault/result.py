"""certctl's DeploymentResult for a version that is current."""

from datetime import datetime

from app.connectors.azure_key_vault.answers import Version
from app.connectors.azure_key_vault.config import AzureKeyVaultTarget
from app.deployment.model import Result


def result(config: AzureKeyVaultTarget, version: Version, at: datetime) -> Result:
    """What to tell of *version*, read back at *at*.

    `secret_id` is version-less on purpose: a consumer that names a version never follows a
    renewal.
    """
    return Result(
        target_address=f"{version.name_id}/{version.id}",
        deployment_id=version.id,
        message="The vault serves this certificate; it was read back.",
        deployed_at=at,
        metadata={
            "vault_url": config.vault_url,
            "certificate_name": config.certificate_name,
            "version_id": version.id,
            "kid": f"{version.name_id}/{version.id}",
            "secret_id": f"{config.vault_url}/secrets/{config.certificate_name}",
        },
    )
