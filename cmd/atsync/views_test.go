package main

import (
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

func TestViewsX(t *testing.T) {
	r := newRig(t, autotasktest.Tiny())
	r.cfg.Entities = entities(t, "all")
	t0 := time.Now()
	run, err := r.sync(pipeline.SyncRequest{})
	t.Log(time.Since(t0), run.Status, err)
	db := openPublished(t, r.cfg.PublishPath)
	var n int
	t.Log(db.QueryRow("select count(*) from duckdb_views() where view_name like 'v_%' and not internal").Scan(&n), n)
}
