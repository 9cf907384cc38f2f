package duckdb

import "database/sql"

// Database gives tests a look inside.
func Database(w *Warehouse) *sql.DB { return w.db }
