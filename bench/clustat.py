"""How long clustat takes against a bare Python: side by side, in one run, on a lab of two nodes."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from standfast.lab.cluster import Lab, Wanted

RUNS = 30
LIMIT = 4.0  # clustat may take this many times a bare `python3 -c pass`


def main() -> int:
    """Print the medians and their ratio; 1 when the limit is passed."""
    clustat = str(Path(sys.executable).with_name("clustat"))
    with (
        tempfile.TemporaryDirectory(prefix="standfast-bench-") as folder,
        Lab.up(Wanted(directory=Path(folder) / "lab", nodes=2, isolated=False)) as lab,
    ):
        environment = {"STANDFAST_PREFIX": str(lab.place.root("vapp1"))}
        give_up = time.monotonic() + 20
        while subprocess.run(
            [clustat, "-Q"], env=environment, stderr=subprocess.DEVNULL, check=False
        ).returncode:
            if time.monotonic() > give_up:
                print("bench: the lab's daemons do not answer", file=sys.stderr)
                return 1
        bare: list[float] = []
        ours: list[float] = []
        for _ in range(RUNS):
            bare.append(_time_s([sys.executable, "-c", "pass"], {}))
            ours.append(_time_s([clustat], environment))
    ratio = sorted(ours)[RUNS // 2] / sorted(bare)[RUNS // 2]
    print(f"python -c pass  {sorted(bare)[RUNS // 2] * 1000:6.1f} ms (median of {RUNS})")
    print(f"clustat         {sorted(ours)[RUNS // 2] * 1000:6.1f} ms")
    print(f"ratio           {ratio:6.2f} (limit {LIMIT:g})")
    return 0 if ratio <= LIMIT else 1


def _time_s(command: Sequence[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
