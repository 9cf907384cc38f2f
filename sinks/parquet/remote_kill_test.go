package parquet_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/pipeline/pipelinetest"
	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sinks/parquet"
)

// bucketVariable is the URL of the bucket to which a child publishes that is killed; the service is in its parent, and lives.
const bucketVariable = "ATSYNC_TEST_BUCKET"

func remoteKillOptions(url, dir string, now func() time.Time) parquet.RemoteOptions {
	return parquet.RemoteOptions{
		Options: parquet.Options{Folder: filepath.Join(dir, "lake", "acme"), Tenant: "acme", Grace: -1, Now: now},
		URL:     url, State: filepath.Join(dir, "work", "acme.bucket.json"),
	}
}

// remoteKillHarness is a warehouse and a publication of it in a bucket without a grace period, so that every step happens each time.
func remoteKillHarness(url string, read func(t *testing.T) reader) pipelinetest.KillHarness {
	h := killed(func(w *duckdb.Warehouse, dir string) keeper {
		return parquet.NewRemote(w, remoteKillOptions(url, dir, nil))
	}, func(ctx context.Context, dir, to string) (bool, error) {
		return parquet.HydrateRemote(ctx, remoteKillOptions(url, dir, nil), to)
	})
	h.Whole = func(t *testing.T, _ string) func(*testing.T, string, ...string) ([]map[string]string, bool) {
		return read(t)
	}
	return h
}

func killRemoteChild() {
	if url, ok := os.LookupEnv(bucketVariable); ok {
		pipelinetest.KillChild(remoteKillHarness(url, nil))
	}
}

// TestRemoteKill: what a killed process had on its way to the bucket shows no reader anything else than one version, whole, and is not
// in the way of the next process. A day later nothing is left there that no manifest names.
func TestRemoteKill(t *testing.T) {
	s := newStore(t)
	t.Setenv(bucketVariable, s.url())
	h := remoteKillHarness(s.url(), func(t *testing.T) reader {
		if objects, err := s.open(t).List(t.Context()); err != nil || objects[parquet.ManifestName].Bytes == 0 {
			return func(*testing.T, string, ...string) ([]map[string]string, bool) { return nil, false }
		}
		return byManifest(t, s)
	})
	folder, open := "", h.Open
	h.Open = func(ctx context.Context, dir string) (pipeline.Sink, pipeline.Publisher, func() error, error) {
		folder = dir
		return open(ctx, dir)
	}
	pipelinetest.TestPublisherKilled(t, h)

	tomorrow := func() time.Time { return time.Now().Add(25 * time.Hour) }
	r := parquet.NewRemote(nil, remoteKillOptions(s.url(), folder, tomorrow))
	if _, err := r.Prune(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	objects, err := s.open(t).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := s.manifest(t)
	delete(objects, parquet.ManifestName)
	for _, table := range m.Tables {
		for _, f := range table.Files {
			delete(objects, f.Path)
		}
	}
	if len(objects) > 0 {
		t.Errorf("left there: %v", objects)
	}
}
