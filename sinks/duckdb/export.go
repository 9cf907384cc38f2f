package duckdb

import (
	"context"
	"database/sql"
	"sync"
)

// Export runs read on a connection that sees the warehouse as it is at one moment, its views fresh, however long it
// takes: commits go on beside it. It is how publishers that write files of their own read the warehouse. read may
// query and COPY … TO other files and, once it has ended the transaction with ROLLBACK, attach files and write to those; it must
// change nothing of the warehouse, and the connection ends with it.
func (w *Warehouse) Export(ctx context.Context, read func(ctx context.Context, conn *sql.Conn) error) error {
	if err := w.lock(ctx); err != nil {
		return wrap(w.opts, "", "export", err)
	}
	unlock := sync.OnceFunc(w.unlock)
	defer unlock()
	if err := w.refreshViews(ctx); err != nil {
		return wrap(w.opts, "", "export", err)
	}
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return wrap(w.opts, "", "export", err)
	}
	defer discard(conn) // and with it the transaction
	s := session{ctx, conn}
	if err := s.exec("BEGIN TRANSACTION READ ONLY"); err != nil {
		return wrap(w.opts, "", "export", err)
	}
	if _, err := s.number(`SELECT count(*) FROM _atsync.info`); err != nil { // the moment is that of the first read
		return wrap(w.opts, "", "export", err)
	}
	unlock()
	return wrap(w.opts, "", "export", read(ctx, conn))
}
