"""A sweep's runs on Dask: a cluster of this computer's cores, or a scheduler by its address."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence

from distributed import Client, LocalCluster, as_completed

from sim.sweep.runs import Job, Mapper, Verdict, do

CONNECT_S = 10


def on_dask(address: str | None) -> Mapper:
    """Return what does jobs on Dask.

    Args:
        address: of a running scheduler, as ``tcp://127.0.0.1:8786``; None starts a cluster for
            the time of the sweep: one process for each core, on loopback, without a dashboard.
    """

    def work(jobs: Sequence[Job]) -> Iterator[Verdict]:
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(client_of(address, stack))
            futures = client.map(do, jobs, pure=False)
            for _, verdict in as_completed(futures, with_results=True):  # type: ignore[no-untyped-call]
                yield verdict

    return work


def client_of(address: str | None, stack: contextlib.ExitStack) -> Client:
    """A client of the scheduler at ``address``, or of a cluster that ends with ``stack``.

    Raises:
        OSError: no scheduler answers there.
    """
    if address is not None:
        return Client(address, timeout=CONNECT_S)  # type: ignore[no-untyped-call]
    cluster = LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=len(os.sched_getaffinity(0)),
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        silence_logs=logging.ERROR,
    )
    return Client(stack.enter_context(cluster))  # type: ignore[no-untyped-call]
