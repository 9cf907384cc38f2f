"""Reads a table out of publications with Python's libraries and compares each value with what the Go reader found.

The argument is a JSON file: the rows, as texts; the DuckDB files, and the folders of Parquet files, that hold them.
"""

import datetime
import decimal
import glob
import json
import os
import sys

import duckdb
import pandas
import polars
import pyarrow
import pyarrow.parquet


def text(value):
    """The text that readers_test.go has for a value; None stays."""
    if value is None or value is pandas.NA or value is pandas.NaT:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime):
        assert value.tzinfo is not None, "a time without a zone"
        assert getattr(value, "nanosecond", 0) == 0
        utc = value.astimezone(datetime.timezone.utc)
        return utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    assert isinstance(value, str), f"{value!r} is a {type(value)}"
    return value


def rows(columns):
    """Rows of texts, by id, of columns of values."""
    names = list(columns)
    out = []
    for values in zip(*(columns[n] for n in names), strict=True):
        row = {n: text(v) for n, v in zip(names, values)}
        out.append({n: v for n, v in row.items() if v is not None})
    return sorted(out, key=lambda row: int(row["id"]))


def of_arrow(table):
    if isinstance(table, pyarrow.RecordBatchReader):
        table = table.read_all()
    return {n: table.column(n).to_pylist() for n in table.column_names}


def of_pandas(frame):
    return {n: list(frame[n]) for n in frame.columns}


def of_polars(frame):
    return {n: frame[n].to_list() for n in frame.columns}


def of_database(path, table):
    con = duckdb.connect(path, read_only=True)
    con.execute("SET TimeZone = 'UTC'")
    query = f'SELECT * FROM "{table}"'
    names = [d[0] for d in con.execute(query).description]
    fetched = con.execute(query).fetchall()
    yield "duckdb", {n: [r[i] for r in fetched] for i, n in enumerate(names)}
    arrow = con.execute(query).to_arrow_table()
    yield "duckdb → pyarrow", of_arrow(arrow)
    yield "duckdb → pandas", of_pandas(arrow.to_pandas(types_mapper=pandas.ArrowDtype))
    yield "duckdb → polars", of_polars(con.execute(query).pl())
    con.close()


def of_folder(folder):
    real = os.path.realpath(folder)
    yield "pyarrow", of_arrow(pyarrow.parquet.read_table(real))
    yield "pandas", of_pandas(pandas.read_parquet(real, dtype_backend="pyarrow"))
    yield "polars", of_polars(polars.scan_parquet(real + "/*.parquet").collect())
    yield "polars, one by one", of_polars(polars.concat(polars.read_parquet(f) for f in sorted(glob.glob(folder + "/*.parquet"))))
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    yield "duckdb", of_arrow(con.execute(f"SELECT * FROM read_parquet('{folder}/*.parquet')").to_arrow_table())
    con.close()


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        want = json.load(f)
    failed = compared = 0
    for path in want["databases"]:
        found = of_database(path, want["table"])
        failed, compared = compare(path, found, want["rows"], failed, compared)
    for folder in want["folders"]:
        failed, compared = compare(folder, of_folder(folder), want["rows"], failed, compared)
    print(f"{compared} readings of {len(want['rows'])} rows, {failed} differ")
    sys.exit(1 if failed else 0)


def compare(where, found, want, failed, compared):
    for how, columns in found:
        got = rows(columns)
        compared += 1
        if got != want:
            failed += 1
            print(f"{where}, {how}: {len(got)} rows")
            for a, b in zip(want, got):
                for name in sorted(a.keys() | b.keys()):
                    if a.get(name) != b.get(name):
                        print(f"  {a['id']}.{name}: want {a.get(name)!r}, got {b.get(name)!r}")
    return failed, compared


if __name__ == "__main__":
    main()
