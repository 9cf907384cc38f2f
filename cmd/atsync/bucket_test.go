package main

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/rogpeppe/go-internal/testscript"
)

// bucketKey is where a script's bucket is kept: what it answers in place of what it holds, 0: nothing else.
type bucketKey struct{}

// scriptBucket is the command bucket.
func scriptBucket(ts *testscript.TestScript, args []string) {
	backend := s3mem.New()
	ts.Check(backend.CreateBucket(args[0]))
	service := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	answer := &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code := answer.Load(); code != 0 {
			w.WriteHeader(int(code))
			return
		}
		service.ServeHTTP(w, r)
	}))
	ts.Defer(s.Close)
	buckets(ts).Store(answer)
	for name, value := range map[string]string{"BUCKET_URL": s.URL, "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI", "AWS_REGION": "eu-west-1",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"} {
		ts.Setenv(name, value)
	}
}

// scriptAnswers is the command answers.
func scriptAnswers(ts *testscript.TestScript, args []string) {
	code, err := strconv.Atoi(args[0])
	ts.Check(err)
	buckets(ts).Load().Store(int64(code))
}

func buckets(ts *testscript.TestScript) *atomic.Pointer[atomic.Int64] {
	return ts.Value(bucketKey{}).(*atomic.Pointer[atomic.Int64])
}
