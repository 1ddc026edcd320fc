"""The truth about rollback: what could be put back, why a deployment failed, what then happened."""
