"""Committed events as Parquet in object storage, and back.

archiver   the loop: events out, each once
ledger     which events go into which objects, written down first
manifest   what is in an archive
schema     columns and names
parquet    events to and from Parquet files
export     events of any time out, from log and archive
formats    exported events as NDJSON, CSV, Parquet
restore    an archive back into a database
stores     where an archive is, one of the next two
s3         in a bucket
directory  in a directory
"""
