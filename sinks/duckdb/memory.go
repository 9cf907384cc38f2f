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

// flushMB is what first loads that are flushed need beside that: what they have left in the log is in memory, too, until
// DuckDB folds the log into the file.
const flushMB = 128

// growMemory raises the memory limit to what the open loads need.
func (w *Warehouse) growMemory(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	columns := 0
	for _, l := range w.loading {
		columns += len(l.spec.Table.Columns)
	}
	return w.fitMemory(ctx, columns)
}

// fitMemory raises the memory limit for so many columns: 1.5 MB for each further one. It is never lowered: the
// next wide load needs the same. The caller holds mu.
func (w *Warehouse) fitMemory(ctx context.Context, columns int) error {
	need := w.opts.MemoryMB + max(0, columns-narrowColumns)*3/2
	if w.flushing > 0 {
		need += flushMB
	}
	if need <= w.memoryMB {
		return nil
	}
	if _, err := w.db.ExecContext(ctx, fmt.Sprintf(`SET GLOBAL memory_limit = '%dMB'`, need)); err != nil {
		return err
	}
	w.memoryMB = need
	return nil
}
