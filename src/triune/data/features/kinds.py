"""Which of Feast's value types a view may use, and for what. Pure."""

from __future__ import annotations

SCALARS = frozenset(
    {
        *("STRING", "BYTES", "PDF_BYTES", "IMAGE_BYTES", "BOOL", "INT32", "INT64"),
        *("FLOAT", "DOUBLE", "UNIX_TIMESTAMP", "ZONED_TIMESTAMP"),
        *("JSON", "UUID", "TIME_UUID", "DECIMAL"),
    }
)
_IN_BOTH = frozenset(
    {
        *("STRING", "BYTES", "BOOL", "INT32", "INT64", "FLOAT", "DOUBLE", "UNIX_TIMESTAMP"),
        *("UUID", "TIME_UUID", "DECIMAL"),
    }
)
LISTS = frozenset(f"{one}_LIST" for one in (*_IN_BOTH, "JSON", "MAP", "STRUCT", "VALUE"))
SETS = frozenset(f"{one}_SET" for one in (*_IN_BOTH, "VALUE"))
MAPS = frozenset({"MAP", "SCALAR_MAP", "STRUCT"})

FEATURES = SCALARS | LISTS | SETS | MAPS
"""What a feature may be: each comes back as Feast's SDK gives it."""

KEYS = frozenset(
    {
        *("STRING", "BYTES", "INT32", "INT64", "BOOL", "UNIX_TIMESTAMP"),
        *("UUID", "TIME_UUID", "DECIMAL"),
    }
)
"""What a join key may be: a text, bytes or a whole number. Others have no one way to be written."""
