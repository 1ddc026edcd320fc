"""Takes deployments and carries each through the saga, one at a time to a target.

`Worker` keeps what waits in this process's memory, `ClusterWorker` in PostgreSQL, where every
replica finds it; whoever submits does not see which one it is.
"""

from app.worker.cluster import ClusterWorker
from app.worker.jobs import Jobs
from app.worker.pool import Worker
from app.worker.rounds import Beats
from app.worker.running import Outside, Pool, Runner

__all__ = ["Beats", "ClusterWorker", "Jobs", "Outside", "Pool", "Runner", "Worker"]
