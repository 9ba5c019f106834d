"""Segments the cases of a list with Dask, one shard a task, then checks that nothing is missing.

    python dask_batch.py cases.csv --shards 20                                  # two processes on this machine
    python dask_batch.py cases.csv --shards 20 --scheduler tcp://head:8786      # a cluster that runs
    python dask_batch.py cases.csv --shards 20 -- --model m.safetensors         # options of `mem3d batch`

Every worker needs the command `mem3d` and the files under the same paths. Needs dask[distributed]. Exit status 1 when
a result is missing.
"""

import argparse
import contextlib
import subprocess
import sys

from distributed import Client, LocalCluster, as_completed


def segment(command, shard):
    """Does one shard in a process of its own; its exit status and last lines."""
    done = subprocess.run([*command, "--shard", shard], capture_output=True, text=True, check=False)
    return done.returncode, "\n".join(done.stderr.splitlines()[-5:])


def segment_all(client, command, shards):
    """Does all shards and prints what became of them. The results are in files; none passes through Dask."""
    names = [f"{k}/{shards}" for k in range(1, shards + 1)]
    # Not pure: the same command does what is left when it is called again, as Dask does when a worker is lost.
    futures = client.map(segment, [command] * shards, names, pure=False)
    named = dict(zip(futures, names, strict=True))
    for future in as_completed(futures):
        lost = future.exception()
        status, text = (1, f"its workers were lost: {lost}") if lost else future.result()
        print(f"shard {named[future]}: {'failed' if status else 'done'}", flush=True)
        if status:
            print(text, file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", help="list or folder of cases")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--scheduler", help="address of a scheduler [default: a cluster on this machine]")
    parser.add_argument("--workers", type=int, default=2, help="processes of the cluster on this machine")
    parser.add_argument("--threads", type=int, default=1, help="threads of each shard")
    parser.add_argument("--mem3d", default="mem3d", help="the command")
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    given = parser.parse_args(words[:end])
    batch = [given.mem3d, "batch", given.cases, *words[end + 1 :]]
    with contextlib.ExitStack() as stack:
        cluster = given.scheduler
        if cluster is None:
            # One thread a worker: a shard at a time.
            local = LocalCluster(n_workers=given.workers, threads_per_worker=1, dashboard_address=None)
            cluster = stack.enter_context(local)
        client = stack.enter_context(Client(cluster))
        segment_all(client, [*batch, "--threads", str(given.threads)], given.shards)
    return subprocess.run([*batch, "--merge"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
