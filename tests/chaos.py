"""`make chaos`: batches whose workers, drivers, servers and disk fail at random.

60 rows, 2 workers, on each engine that is here: workers killed 10 times, the driver twice, a server
once, a disk that is full once. In the end there must be 60 records, one commit for each key, and
nothing left over. Prints a line for each engine and seed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ROWS, WORKERS, KILLS, DRIVER_KILLS, SERVER_KILLS = 60, 2, 10, 2, 1
CLIPS = 6
SECONDS = 600
HERE = Path(__file__).resolve().parent


def targets(seed: int) -> list[str]:
    """Rows of a few hundredths of a second, one of which finds the disk full."""
    chance = random.Random(seed)
    rows = [f"sleep {chance.uniform(0.05, 0.3):.2f}" for _ in range(ROWS)]
    rows[chance.randrange(ROWS)] = "full once"
    return rows


def drive(engine: str, folder: Path, seed: int, servers: list[str]) -> None:
    """A driver's life, in a process of its own."""
    import batch_edits
    from batch_fakes import GRAPH, driving, opened, planned, table_of

    from evenframe.batch.driver import Driver
    from evenframe.batch.job import Setup
    from evenframe.batch.plan import plan

    store, table = opened(folder / "out"), table_of(targets(seed), CLIPS)
    work, setup = planned(table), Setup(folder / "out", batch_edits.make)
    if engine == "local":
        from evenframe.batch.engines.local import LocalEngine

        runs = LocalEngine(setup, WORKERS)
    elif engine == "ray":
        from evenframe.batch.engines.cluster import RayEngine

        runs = RayEngine(setup, WORKERS, {})
    else:
        from evenframe.batch.engines import comfyui
        from evenframe.batch.engines.server import Server
        from evenframe.batch.there import ThereRules
        from evenframe.nodes.host.standalone import Session
        from evenframe.nodes.host.workflow import parse

        comfyui.POLL, comfyui.RETRY = 0.05, 0.2
        addresses = [Server(url) for url in servers]
        rules = ThereRules(addresses, Session(inputs=(folder,)), parse(GRAPH))
        work = plan(table, parse(GRAPH), rules)
        runs = comfyui.ComfyUIEngine(store, addresses, rules.fits)
    with driving(store):
        left = Driver(store, work, runs, tell=print, pause=0.2).run().left
    sys.exit(int(left > 0))


class Watch(threading.Thread):
    """Looks at every record while all else goes on: one that changes was committed twice."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.over = folder / "out" / "results", threading.Event()
        self.seen: dict[str, int] = {}
        self.twice: list[str] = []

    def run(self) -> None:
        while not self.over.wait(0.05):
            self.look()

    def look(self) -> None:
        if not self.folder.is_dir():
            return
        now = {path.name: path.stat().st_ino for path in self.folder.glob("*.json")}
        self.twice += [name for name, inode in self.seen.items() if now.get(name) != inode]
        self.seen |= now


class Chaos:
    """One batch, and what befalls it."""

    def __init__(self, engine: str, folder: Path, seed: int) -> None:
        self.engine, self.folder, self.seed = engine, folder, seed
        self.chance = random.Random(seed)
        self.workers_killed = self.drivers_killed = self.servers_killed = 0
        self.servers: dict[int, subprocess.Popen[bytes]] = {}
        self.restart: threading.Timer | None = None

    def run(self) -> str:
        """What is wrong in the end; nothing where all is well."""
        if self.engine == "comfyui":
            for number in range(CLIPS):
                (self.folder / f"{number}.mp4").write_text(f"clip {number}")
            for port in free_ports(WORKERS):
                self.serve(port)
        watch = Watch(self.folder)
        watch.start()
        try:
            with self.disturbed():
                end = time.monotonic() + SECONDS
                while (code := self.drive()) != 0:
                    if code != -signal.SIGKILL:
                        return f"a driver that nobody killed ended with {code}"
                    if time.monotonic() > end:
                        return f"no end after {SECONDS} s"
        finally:
            watch.over.set()
            if self.restart is not None:
                self.restart.join()
            for process in self.servers.values():
                process.kill()
                process.wait()
        watch.join()
        watch.look()
        return self.wrong(watch)

    def wrong(self, watch: Watch) -> str:
        from batch_fakes import leftovers

        from evenframe.batch.store import Store

        store = Store(self.folder / "out")
        records = [store.record(key) for key in store.committed()]
        if len(records) != ROWS:
            return f"{len(records)} records"
        if watch.twice:
            return f"{len(watch.twice)} records were committed twice"
        lost = self.workers_killed + WORKERS * self.drivers_killed + self.servers_killed
        made = sum(record["inversions"] for record in records)
        if made > CLIPS + lost:
            return f"{made} inversions of {CLIPS} clips, with {lost} workers or servers lost"
        missing = [
            name
            for record in records
            for name in record["files"]
            if not (store.clips / record["folder"] / name).is_file()
        ]
        return f"missing {missing}" if missing else " ".join(leftovers(store))

    def drive(self) -> int:
        """Run a driver until it ends or is killed; its exit code."""
        command = [sys.executable, str(HERE / "chaos.py"), "--drive", self.engine]
        command += ["--folder", str(self.folder), "--seed", str(self.seed), "--servers"]
        command += [f"http://127.0.0.1:{port}" for port in self.servers]
        with (self.folder / "log").open("a") as log:
            self.driver = subprocess.Popen(command, stdout=log, stderr=log)
            return self.driver.wait()

    @contextmanager
    def disturbed(self) -> Iterator[None]:
        """Within the block, things die."""
        over = threading.Event()
        thread = threading.Thread(target=self.disturb, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def disturb(self, over: threading.Event) -> None:
        plan = ["worker"] * (KILLS if self.engine != "comfyui" else 0) + ["driver"] * DRIVER_KILLS
        plan += ["server"] * (SERVER_KILLS if self.engine == "comfyui" else 0)
        self.chance.shuffle(plan)
        results = self.folder / "out" / "results"
        for number, what in enumerate(plan):
            least = ROWS * number // (len(plan) + 1)
            while not over.wait(0.05):
                if results.is_dir() and len(list(results.glob("*.json"))) > least:
                    break
            while not over.is_set() and not self.kill(what):
                over.wait(0.1)

    def kill(self, what: str) -> bool:
        """Whether there was one to kill."""
        if what == "driver":
            if self.driver.poll() is not None:
                return False
            self.driver.kill()
            self.drivers_killed += 1
            return True
        if what == "server":
            port = self.chance.choice(list(self.servers))
            self.servers[port].kill()
            self.servers[port].wait()
            self.servers_killed += 1
            self.restart = threading.Timer(2.0, self.serve, (port,))
            self.restart.start()
            return True
        found = list(self.workers())
        if not found:
            return False
        with suppress(psutil.NoSuchProcess):
            self.chance.choice(found).kill()
            self.workers_killed += 1
        return True

    def workers(self) -> Iterator[psutil.Process]:
        """Processes of the driver that do rows."""
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self.driver.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    line = " ".join(process.cmdline())
                    local = self.engine == "local" and "spawn_main" in line
                    if local or line.startswith("ray::Worker"):
                        yield process

    def serve(self, port: int) -> None:
        script = HERE / "batch_server.py"
        command = [sys.executable, str(script), str(port), str(self.folder / str(port))]
        self.servers[port] = subprocess.Popen(command)


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--engines", nargs="+", default=["local", "comfyui", "ray"])
    parser.add_argument("--drive")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--servers", nargs="*", default=[])
    options = parser.parse_args()
    if options.drive:
        drive(options.drive, options.folder, options.seed, options.servers)
    paths = os.pathsep.join([str(HERE), *filter(None, sys.path)])  # for Ray's workers
    os.environ["PYTHONPATH"] = paths
    failed = 0
    for engine in options.engines:
        if engine == "ray" and importlib.util.find_spec("ray") is None:
            print("ray: not installed, so not tried (pip install 'evenframe[cluster]')")
            continue
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
                chaos, began = Chaos(engine, Path(folder), seed), time.monotonic()
                wrong = chaos.run()
                failed += bool(wrong)
                told = f"{chaos.workers_killed} workers, {chaos.drivers_killed} drivers, "
                told += f"{chaos.servers_killed} servers killed; {time.monotonic() - began:.0f} s"
                print(f"{engine} seed {seed}: {wrong or f'{ROWS} records'}; {told}", flush=True)
                if wrong:
                    print((Path(folder) / "log").read_text()[-4000:], file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
