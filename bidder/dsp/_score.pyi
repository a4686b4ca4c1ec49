class _Capsule: ...

def model_load(
    trees: int, depth: int, features: int, shared: int, scale: float, bias: float,
    feature: bytes, threshold: bytes, leaf: bytes, /,
) -> _Capsule: ...  # fmt: skip
def table_load(
    rows: int, features: int, bins: bytes, by_click: bytes, steps: bytes, slot: bytes,
    base: bytes, cap: bytes, outside: bytes, multiplier: bytes, /,
) -> _Capsule: ...  # fmt: skip
def table_pace(table: _Capsule, pace: bytes, /) -> None: ...
def pick(
    model: _Capsule | None, table: _Capsule, bitmap: bytes, shared: bytes, quality: bytes,
    share: float, cap: float, most: int, /,
) -> list[tuple[int, int]]: ...  # fmt: skip
def predict(model: _Capsule, bins: bytes, /) -> bytes: ...
def crc32c(data: bytes, /) -> int: ...
