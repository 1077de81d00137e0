"""Order: texts sort alike in every store."""

from typing import Any

from sqlalchemy import String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class ByteOrder(FunctionElement[str]):
    """A column of text that sorts and compares by its bytes, as SQLite's do, whatever locale a database was made with.

    In most locales a hyphen counts for nothing, and a page would end elsewhere.
    """

    type = String()
    inherit_cache = True


@compiles(ByteOrder)
def _as_it_is(element: ByteOrder, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(ByteOrder, "postgresql")
def _in_the_locale_of_c(element: ByteOrder, compiler: SQLCompiler, **options: Any) -> str:
    return f'{compiler.process(element.clauses, **options)} COLLATE "C"'
