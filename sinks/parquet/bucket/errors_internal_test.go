package bucket

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

// TestSignedURLs: what clients say of a URL that could not be reached holds its signature.
func TestSignedURLs(t *testing.T) {
	for _, text := range []string{
		"https://account.blob.core.windows.net/lake/x?sv=2024-01-01&sig=s3cret",
		"https://lake.s3.amazonaws.com/x?X-Amz-Credential=AKID&X-Amz-Signature=s3cret&x-id=GetObject",
		"https://storage.googleapis.com/lake/x?GoogleAccessId=a&Signature=s3cret",
	} {
		err := fail("read", "s3://lake/x", "s3", &url.Error{Op: "Get", URL: text, Err: errors.New("connection refused")})
		if got := err.Error(); strings.Contains(got, "s3cret") || !strings.Contains(got, "connection refused") {
			t.Error(got)
		}
	}
}
