package autotask

import (
	"net/http"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// ParseZone is parseZone after the discovery URL has been read.
func ParseZone(s, discovery string) (string, error) {
	if discovery != "" {
		root, err := parseRoot(discovery)
		if err != nil {
			return "", err
		}
		discovery = root
	}
	return parseZone(s, discovery)
}

// PageBody and CountBody are the bodies that ask for a slice.
func PageBody(s pipeline.Slice, size int) ([]byte, error) {
	q, err := newSliceQuery(s, size)
	if err != nil {
		return nil, err
	}
	return q.page(s.After)
}

func CountBody(s pipeline.Slice) ([]byte, error) {
	q, err := newSliceQuery(s, 500)
	if err != nil {
		return nil, err
	}
	return q.count(s.After)
}

// Classify returns class and text of a judged answer, and whether it may be asked again.
func Classify(status int, body string) (class pipeline.Class, text string, again bool) {
	f := classify(answer{status: status, header: http.Header{}}, []byte(body))
	if f == nil {
		return "", "", false
	}
	switch f.kind {
	case kindTransient, kindUnusable, kindOdd, kindDisorder, kindThreads, kindHour:
		again = true
	}
	return f.class, f.err.Error(), again
}

// RetryAfter is retryAfter.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) { return retryAfter(h, now) }

// Backoff is backoff.
func Backoff(base time.Duration, attempts int) time.Duration { return backoff(base, attempts) }

// WebURL is webURL.
func WebURL(told, base, discovery string) string { return webURL(told, base, discovery) }
