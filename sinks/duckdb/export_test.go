package duckdb

import "database/sql"

// Database gives tests a look inside.
func Database(w *Warehouse) *sql.DB { return w.db }

// OpenFeeds counts the feeds in use.
func OpenFeeds(w *Warehouse) int {
	w.feeds.mu.Lock()
	defer w.feeds.mu.Unlock()
	return len(w.feeds.open)
}
