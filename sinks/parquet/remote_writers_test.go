package parquet_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/parquet"
)

// TestRemoteTwoWriters: of two warehouses, or of two copies of one, the first keeps the bucket.
func TestRemoteTwoWriters(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	one, two := newRemote(t, s, nil), newRemote(t, s, nil)
	one.load(t, 1, 1, 2, 3)
	one.publish(t)
	two.load(t, 9, 9)
	if _, err := two.publisher.Publish(t.Context()); err == nil || !strings.Contains(err.Error(), "another atsync") {
		t.Errorf("the second: %v", err)
	}
	if _, err := two.publisher.Prune(t.Context(), -1); err == nil {
		t.Error("the second prunes what is the first's")
	}
	one.equal(t)

	// between the look and the swap of one, somebody else swaps
	one.load(t, 2, 4)
	other := []byte(`{"format":1,"tenant":"acme"}`)
	fail := func(req *http.Request) int {
		if isManifest(req) {
			s.fail.Store(nil)
			b := s.open(t)
			_, v, err := b.Read(t.Context(), parquet.ManifestName)
			if err = errors.Join(err, b.Swap(t.Context(), parquet.ManifestName, other, v)); err != nil {
				t.Error(err)
			}
		}
		return 0
	}
	s.fail.Store(&fail)
	if _, err := one.publisher.Publish(t.Context()); err == nil || !strings.Contains(err.Error(), "another atsync") {
		t.Errorf("overtaken: %v", err)
	}
	raw, _, err := s.open(t).Read(t.Context(), parquet.ManifestName)
	if err != nil || string(raw) != string(other) {
		t.Errorf("both won: %s %v", raw, err)
	}
}

// TestRemoteRace: two who found the same in the bucket write at the same moment. One wins; the other says so, also when it looks
// again, and can go on from what the winner has published.
func TestRemoteRace(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	writers := []*remote{newRemote(t, s, nil), newRemote(t, s, nil)}
	var both, done sync.WaitGroup
	both.Add(len(writers))
	meet := func(r *http.Request) int {
		if isManifest(r) {
			both.Done()
			both.Wait()
		}
		return 0
	}
	s.fail.Store(&meet)
	errs := make([]error, len(writers))
	for i, w := range writers {
		w.load(t, i, upTo(0, 5)...)
		done.Go(func() { _, errs[i] = w.publisher.Publish(t.Context()) })
	}
	done.Wait()
	s.fail.Store(nil)
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Fatalf("of two one wins: %v", errs)
	}
	winner, loser := writers[0], writers[1]
	if errs[0] != nil {
		winner, loser = loser, winner
	}
	refused := func(when string, err error) {
		t.Helper()
		e, ok := errors.AsType[*pipeline.Error](err)
		if !ok || e.Class != pipeline.ClassSink || e.Tenant != "acme" || !strings.Contains(err.Error(), "another atsync") || !strings.Contains(e.Remedy, "sink.path") {
			t.Errorf("%s: %v", when, err)
		}
		winner.equal(t)
	}
	refused("the one that came late", errors.Join(errs...))
	_, err := loser.publisher.Publish(t.Context())
	refused("looking again", err)

	loser.Hydrate(t)
	loser.equal(t)
	loser.load(t, 3, upTo(3, 8)...)
	loser.publish(t)
	winner.load(t, 4, 1)
	_, err = winner.publisher.Publish(t.Context())
	winner = loser
	refused("the one that won before", err)
}

// TestRemoteDeaf: a service that does not heed conditions is refused before anything is published.
func TestRemoteDeaf(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, header := range []string{"If-Match", "If-None-Match"} {
		deaf := func(r *http.Request) int {
			r.Header.Del(header)
			return 0
		}
		s.fail.Store(&deaf)
		r := newRemote(t, s, nil)
		r.load(t, 1, 1)
		_, err := r.publisher.Publish(t.Context())
		for what, err := range map[string]error{"publish": err, "check": r.publisher.Check()} {
			if err == nil || !strings.Contains(err.Error(), "both would win") {
				t.Errorf("%s without %s: %v", what, header, err)
			}
		}
	}
	s.fail.Store(nil)
	if files, err := s.open(t).List(t.Context()); err != nil || len(files) != 0 {
		t.Errorf("left there: %v %v", files, err)
	}
}
