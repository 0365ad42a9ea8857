"""Several processes of one training write into one run.

    python examples/ddp.py                                # starts its two processes itself
    torchrun --nproc-per-node 2 examples/ddp.py           # or let torchrun do it

All processes know the run's id (``RUNFMT_RUN_ID``). Rank 0 is the main writer, and
rank k appends to streams of its own, so that no two processes ever write one file.
"""

import os
import socket

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import runfmt

STEPS = 20


def work():
    """Train in one process of the group; RANK, WORLD_SIZE and MASTER_* are in the environment."""
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    torch.manual_seed(rank)

    shared = [runfmt.util.generate_id() if rank == 0 else None]
    dist.broadcast_object_list(shared)
    run_id = os.environ.get("RUNFMT_RUN_ID") or shared[0]

    if rank:
        dist.barrier()  # rank 0 makes the run, the others join it
    run = runfmt.init(project="ddp", id=run_id, config={"world_size": dist.get_world_size()})
    if not rank:
        dist.barrier()

    model = DistributedDataParallel(nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(STEPS):
        x = torch.randn(32, 4)
        loss = ((model(x) - x.sum(1, keepdim=True)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log({"loss": loss.item()})  # this rank's own loss
    print(f"rank {rank}: {run.directory}", flush=True)
    run.finish()
    dist.destroy_process_group()


def spawned(rank, port):
    """What torchrun would set, for one process on this machine."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    work()


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    if "RANK" in os.environ:
        work()
    else:
        multiprocessing.spawn(spawned, args=(free_port(),), nprocs=2)
