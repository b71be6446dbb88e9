//! Write-ahead log, Parquet, Delta tables on an object store, and SQL.
