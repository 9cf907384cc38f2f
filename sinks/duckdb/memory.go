package duckdb

import (
	"context"
	"fmt"
)

// narrowColumns is how many columns the tables of all open loads may have together before they need more memory than
// Options gives. DuckDB holds the end of every column in two blocks of 256 KB (values, validity), once for the rows of
// the load and once for the table's, and pins them while it commits. A commit that runs out of them ends DuckDB's
// instance, with all its connections.
const narrowColumns = 80

// freshMB is what first loads need beside that: what their flushes have left in the log is in memory, too, until DuckDB
// folds the log into the file.
const freshMB = 256

// growMemory raises the memory limit to what the open loads need: 1.5 MB for each further column. It is never lowered: the
// next wide load needs the same.
func (w *Warehouse) growMemory(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	columns, fresh := 0, 0
	for _, l := range w.loading {
		columns += len(l.spec.Table.Columns)
		if l.spec.Fresh {
			fresh = freshMB
		}
	}
	need := w.opts.MemoryMB + fresh + max(0, columns-narrowColumns)*3/2
	if need <= w.memoryMB {
		return nil
	}
	if _, err := w.db.ExecContext(ctx, fmt.Sprintf(`SET GLOBAL memory_limit = '%dMB'`, need)); err != nil {
		return err
	}
	w.memoryMB = need
	return nil
}
