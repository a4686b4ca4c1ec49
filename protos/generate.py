"""Generate the code beside the .proto files: ``python -m protos.generate [--check]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def generate(out: Path) -> list[Path]:
    """Write *_pb2.py, *_pb2.pyi and *_pb2_grpc.py of every schema below ``out``/protos."""
    from grpc_tools import protoc

    schemas = sorted(str(p.relative_to(HERE.parent)) for p in HERE.glob("*.proto"))
    args = [
        "protoc",
        f"-I{HERE.parent}",
        f"--python_out={out}",
        f"--pyi_out={out}",
        f"--grpc_python_out={out}",
        *schemas,
    ]
    if protoc.main(args) != 0:
        raise SystemExit("protoc failed; its words stand above")
    for name in schemas:  # a schema without services needs no gRPC module
        stub = out / name.replace(".proto", "_pb2_grpc.py")
        if "service " not in (HERE.parent / name).read_text():
            stub.unlink(missing_ok=True)
    return sorted((out / "protos").glob("*_pb2*"))


def stale() -> list[str]:
    """Names of generated files that differ from what the schemas give now."""
    with tempfile.TemporaryDirectory() as scratch:
        made = generate(Path(scratch))
        return [p.name for p in made if not (HERE / p.name).exists() or (HERE / p.name).read_bytes() != p.read_bytes()]


if __name__ == "__main__":
    if "--check" in sys.argv:
        old = stale()
        if old:
            raise SystemExit(f"stale, run make proto: {', '.join(old)}")
    else:
        generate(HERE.parent)
