package pipeline

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow/array"
)

// streamLoad is a Load with a running count of what was staged.
type streamLoad struct {
	*run
	spec     LoadSpec
	load     Load
	requests int64 // the source's counter when the load began
	distinct int64 // rows read, those that an interrupted load has stored included; no read brings an id twice
	lastID   int64 // the greatest, if there are any
	bytes    int64 // staged and not flushed
	flushed  bool  // some rows of this load are stored already
	divided  bool  // read by several workers, or in several runs
}

func (s *run) begin(ctx context.Context, spec LoadSpec) (*streamLoad, error) {
	spec.RunID = s.rec.ID
	if o := s.outlineOf(spec.Table.Entity.Name); o != nil {
		spec.Frozen = o.frozen
	}
	load, err := s.Sink.Begin(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &streamLoad{run: s, spec: spec, load: load, requests: s.Source.Requests()[spec.Table.Entity.Name]}, nil
}

// stage returns the function that hands a read's batches to the load.
func (l *streamLoad) stage(ctx context.Context) func(Batch) error {
	return func(b Batch) error {
		for _, id := range batchIDs(b) {
			if l.distinct == 0 || id > l.lastID {
				l.lastID = id
			}
			l.distinct++
		}
		l.bytes += batchBytes(b)
		if err := l.outdated(ctx, l.spec.Table, b.Rejects); err != nil {
			return err
		}
		return l.load.Stage(ctx, b)
	}
}

func (l *streamLoad) commit(ctx context.Context, c Commit, report *StreamReport) error {
	c.Requests = l.Source.Requests()[l.spec.Table.Entity.Name] - l.requests
	res, err := l.load.Commit(ctx, c)
	if err != nil {
		return err
	}
	report.LoadID = res.LoadID
	report.Fetched += res.Fetched
	report.Inserted += res.Inserted
	report.Updated += res.Updated
	report.Unchanged += res.Unchanged
	report.Deleted += res.Deleted
	report.Rejected += res.Rejected
	return nil
}

// batchBytes returns about how much memory a batch takes.
func batchBytes(b Batch) (n int64) {
	for _, column := range b.Record.Columns() {
		for _, buffer := range column.Data().Buffers() {
			if buffer != nil {
				n += int64(buffer.Len())
			}
		}
	}
	return n
}

// batchIDs returns the id column of a batch.
func batchIDs(b Batch) []int64 {
	return b.Record.Column(0).(*array.Int64).Int64Values()
}
