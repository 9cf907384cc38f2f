package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
)

// backfillFeed logs while a backfill is quoted, and shows what others do (lines of progress on a terminal) once it
// runs: the quote and the question stand between.
type backfillFeed struct {
	log   *slog.Logger
	trace *pipeline.Trace // hands on to whatever shows at the time
	to    atomic.Pointer[pipeline.Trace]
	shown *feed // nil: not begun
}

func (e *env) newBackfillFeed(cfg *config.Config) *backfillFeed {
	f := &backfillFeed{log: e.logger(e.stderr, cfg)}
	f.to.Store(console.LogTrace(f.log))
	f.trace = &pipeline.Trace{
		StreamStarted: func(entity, mode string) {
			if to := f.to.Load().StreamStarted; to != nil {
				to(entity, mode)
			}
		},
		StreamTotal: func(entity string, rows int64) {
			if to := f.to.Load().StreamTotal; to != nil {
				to(entity, rows)
			}
		},
		Page: func(entity string, rows int) {
			if to := f.to.Load().Page; to != nil {
				to(entity, rows)
			}
		},
		Request: func(r pipeline.RequestInfo) {
			if to := f.to.Load().Request; to != nil {
				to(r)
			}
		},
		Retry: func(entity, op string, attempt int, wait time.Duration, cause error) {
			if to := f.to.Load().Retry; to != nil {
				to(entity, op, attempt, wait, cause)
			}
		},
		StreamFinished: func(r pipeline.StreamReport) {
			if to := f.to.Load().StreamFinished; to != nil {
				to(r)
			}
		},
		Published: func(p pipeline.Publication) {
			if to := f.to.Load().Published; to != nil {
				to(p)
			}
		},
	}
	return f
}

// start shows the run from now on.
func (f *backfillFeed) start(e *env, cfg *config.Config, tenant string) {
	f.shown = e.newFeed(cfg, 1, 1)
	f.to.Store(f.shown.trace(tenant))
}

// close takes the lines of progress away. It may be called twice.
func (f *backfillFeed) close() {
	if f.shown != nil {
		f.to.Store(console.LogTrace(f.log))
		f.shown.close()
		f.shown = nil
	}
}

// printQuote says what a backfill costs, before its first page is read.
func (e *env) printQuote(feed *backfillFeed, t config.TenantConfig, p *pipeline.BackfillPlan) error {
	q := p.Quote
	if e.json {
		feed.log.Info("quoted", "tenant", t.Name, "entity", p.Entity.Name, "backfill", p.ID, "chunks", len(p.Chunks), "rows", q.Rows,
			"requests", q.Requests, "remaining", q.Remaining, "minutes", q.Minutes)
		return nil
	}
	span := fmt.Sprintf("%s: %s by %s, %s to %s", t.Name, p.Entity.Name, p.By, day(p.From, t.Location), day(p.To, t.Location))
	if p.Finished {
		last := p.Chunks[len(p.Chunks)-1].EndedAt
		for _, c := range p.Chunks {
			if c.EndedAt.After(last) {
				last = c.EndedAt
			}
		}
		return e.printf("%s\n  finished on %s (backfill %d): there is nothing to do\n  → --restart reads it again\n",
			span, last.In(t.Location).Format("2006-01-02 15:04"), p.ID)
	}
	done := ""
	if p.Resumed {
		done = fmt.Sprintf("; goes on with backfill %d", p.ID)
	}
	text := fmt.Sprintf("%s\n  %s of %s rows in chunks by %s: %s requests%s\n", span, plural(len(p.Chunks), "chunk"), console.Count(q.Rows), p.Size,
		console.Count(q.Requests), done)
	text += fmt.Sprintf("    %s counts, %s pages of 500, %s others, %s in reserve for interruptions\n",
		console.Count(q.Counts), console.Count(q.Pages), console.Count(q.Checks+q.Others), console.Count(q.Reserve))
	text += duration(q, t.Location)
	if !p.Synced {
		text += fmt.Sprintf("  %s has not been synced yet: its first sync will read every row all the same\n", p.Entity.Name)
	}
	return e.printf("%s", text)
}

// duration says how long the rest takes.
func duration(q pipeline.BackfillQuote, loc *time.Location) string {
	if q.Allowed == 0 {
		return fmt.Sprintf("  all integrations together use %s of %s requests an hour: it waits until that is less than 40 %%\n",
			console.Count(q.Used), console.Count(q.Threshold))
	}
	return fmt.Sprintf("  %s to be sent, at %s an hour (40 %% of the threshold less what is in use): %.1f minutes,\n  done about %s\n",
		console.Count(q.Remaining), console.Count(q.Allowed), q.Minutes, q.FinishAt.In(loc).Format("2006-01-02 15:04"))
}

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return console.Count(int64(n)) + " " + noun
}

// day prints an instant, without the time if it is midnight.
func day(at time.Time, loc *time.Location) string {
	at = at.In(loc)
	if at.Hour() == 0 && at.Minute() == 0 && at.Second() == 0 && at.Nanosecond() == 0 {
		return at.Format(time.DateOnly)
	}
	return at.Format("2006-01-02 15:04:05")
}

// listBackfills prints the backfills so far.
func (e *env) listBackfills(ctx context.Context, names []string) error {
	_, tenants, err := e.selected(names)
	if err != nil {
		return err
	}
	report := backfillReport{Backfills: []backfillItem{}}
	for _, t := range tenants {
		chunks, err := readChunks(ctx, t)
		if err != nil {
			return err
		}
		report.Backfills = append(report.Backfills, grouped(t.Name, chunks)...)
	}
	if e.json {
		return e.printJSON(report)
	}
	if len(report.Backfills) == 0 {
		return e.printf("no backfills yet\n")
	}
	table := console.NewTable(console.Left("tenant"), console.Right("id"), console.Left("entity"), console.Left("by"), console.Left("from"),
		console.Left("to"), console.Right("chunks"), console.Right("rows"), console.Right("requests"), console.Left("state"))
	for _, i := range report.Backfills {
		done := 0
		for _, c := range i.Chunks {
			if c.Status == pipeline.ChunkDone {
				done++
			}
		}
		table.Row(i.Tenant, i.ID, i.Entity, i.By, day(i.From, time.UTC), day(i.To, time.UTC), fmt.Sprintf("%d/%d", done, len(i.Chunks)),
			i.Rows, i.Requests, i.State)
	}
	return table.Write(e.stdout)
}

// grouped makes one item of each backfill's chunks.
func grouped(tenant string, chunks []pipeline.Chunk) (items []backfillItem) {
	for _, c := range chunks {
		if n := len(items); n == 0 || items[n-1].ID != c.Backfill {
			items = append(items, backfillItem{Tenant: tenant, ID: c.Backfill, Entity: c.Entity, By: c.By, From: c.From, Size: c.Size,
				State: "finished"})
		}
		i := &items[len(items)-1]
		i.To, i.Chunks = c.To, append(i.Chunks, c)
		if c.Status != pipeline.ChunkDone {
			i.State = "unfinished"
		}
	}
	for i := range items {
		items[i].sum()
	}
	return items
}

func readChunks(ctx context.Context, t config.TenantConfig) ([]pipeline.Chunk, error) {
	r, err := openReader(ctx, t)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // never synced
	} else if err != nil {
		return nil, err
	}
	chunks, err := r.chunks(ctx)
	return chunks, errors.Join(err, r.Close())
}
