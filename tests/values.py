"""Random values of any of our records, for property tests: drawn by what msgspec knows of the types."""

from functools import lru_cache
from typing import Any

import msgspec.inspect as shapes
from hypothesis import strategies as st

DEPTH_MAX = 4  # records that hold records of their own kind end here

small_ints = st.integers(0, 4)
short_texts = st.sampled_from(("", "a", "service:web", 'a "quoted" line\n', "ö€𝄞"))


def values_of(kind: Any) -> st.SearchStrategy[Any]:  # any type that msgspec can decode
    """Return a strategy for a type: small numbers and few texts, so that things meet."""
    return _values(shapes.type_info(kind), 0)


def _values(shape: shapes.Type, depth: int) -> st.SearchStrategy[Any]:
    match shape:
        case shapes.IntType():
            return small_ints
        case shapes.StrType():
            return short_texts
        case shapes.BoolType():
            return st.booleans()
        case shapes.NoneType():
            return st.none()
        case shapes.EnumType():
            return st.sampled_from(list(shape.cls))
        case shapes.VarTupleType():
            if depth > DEPTH_MAX:
                return st.just(())
            return st.lists(_values(shape.item_type, depth + 1), max_size=2).map(tuple)
        case shapes.TupleType():
            return st.tuples(*(_values(item, depth + 1) for item in shape.item_types))
        case shapes.UnionType():
            return st.one_of(*(_values(item, depth) for item in shape.types))
        case shapes.StructType():
            return _records(shape.cls, depth)
        case _:
            raise AssertionError(f"no values for {shape}")


@lru_cache
def _records(cls: type, depth: int) -> st.SearchStrategy[Any]:
    info = shapes.type_info(cls)
    assert isinstance(info, shapes.StructType)
    return st.builds(cls, **{field.name: _later(field.type, depth + 1) for field in info.fields})


def _later(shape: shapes.Type, depth: int) -> st.SearchStrategy[Any]:
    """What is drawn only when it is needed, since a record may hold others of its kind."""
    return st.deferred(lambda: _values(shape, depth))
