from pathlib import Path


def render_plates(assets: Path, targets: Path, out: Path, samples: int, threads: int) -> None: ...
