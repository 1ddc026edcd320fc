"""The rows of the queue that are written with the record, in one transaction of the store.

So what was recorded is queued, what has ended has left the queue, and neither costs a journey of
its own. Procrastinate's functions for this want a connection of theirs; its triggers tell who
listens all the same.
"""

from typing import Final

import orjson

from app.deployment.model import Deployment
from app.store import Beside
from app.worker.fetching import QUEUE, Job
from app.worker.jobs import TASK
from app.worker.running import lane

_PUT: Final = """
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args)
VALUES (?, ?, ?, ?, ?)
"""
_DELETE: Final = "DELETE FROM procrastinate_jobs WHERE id = ?"
# what is true of a row of the record's table while it is queued or carried
JOB: Final = "EXISTS (SELECT 1 FROM procrastinate_jobs WHERE queueing_lock = deployments.id)"
_WITHDRAW: Final = "DELETE FROM procrastinate_jobs WHERE queueing_lock = ?"


def queued(deployment: Deployment, sealed: str) -> Beside:
    """A deployment at the end of its lane."""
    arguments = orjson.dumps({"id": deployment.id, "sealed": sealed}).decode()
    values = (QUEUE, TASK, lane(deployment), deployment.id, arguments)
    return Beside(statement=_PUT, values=values)


def withdrawn(deployment: Deployment) -> Beside:
    """A deployment that was cancelled; who has its job already finds that before it begins."""
    return Beside(statement=_WITHDRAW, values=(deployment.id,))


def ended(job: Job) -> Beside:
    """A job that has left the queue, whoever has it."""
    return Beside(statement=_DELETE, values=(job.number,))
