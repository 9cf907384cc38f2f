package bucket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"cloud.google.com/go/storage"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/aws/smithy-go"
	"google.golang.org/api/googleapi"

	"github.com/atsync/atsync/pipeline"
)

// status returns the HTTP status and the code that a service answered with; 0 if it did not answer.
func status(err error) (int, string) {
	var amazon interface{ HTTPStatusCode() int }
	if errors.As(err, &amazon) {
		code := ""
		if api, ok := errors.AsType[smithy.APIError](err); ok {
			code = api.ErrorCode()
		}
		return amazon.HTTPStatusCode(), code
	}
	if azure, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return azure.StatusCode, azure.ErrorCode
	}
	if google, ok := errors.AsType[*googleapi.Error](err); ok {
		return google.Code, http.StatusText(google.Code)
	}
	return 0, ""
}

// unsigned reports whether S3 was not even asked, since there are no credentials: a status then is of the service that was to give some.
func unsigned(err error) bool { return strings.Contains(err.Error(), "get credentials:") }

// noBucket reports whether it is the bucket that is not there.
func noBucket(err error) bool {
	_, code := status(err)
	return code == "NoSuchBucket" || code == "ContainerNotFound" || errors.Is(err, storage.ErrBucketNotExist)
}

// rights says what a service calls the rights that are needed.
func rights(scheme string) string {
	switch scheme {
	case "azblob":
		return "the role Storage Blob Data Contributor on the container"
	case "gs":
		return "the role Storage Object User on the bucket"
	}
	return "s3:ListBucket on the bucket and s3:GetObject, s3:PutObject and s3:DeleteObject on its objects"
}

// fail says what happened where, and what to do.
func fail(op, where, scheme string, err error) error {
	e := &pipeline.Error{Class: pipeline.ClassSink, Op: op + " " + strings.TrimRight(where, "/")}
	code, name := status(err)
	if unsigned(err) {
		code = 0
	}
	switch {
	case errors.Is(err, context.Canceled):
		e.Class, e.Err = pipeline.ClassCanceled, context.Canceled
		return e
	case errors.Is(err, context.DeadlineExceeded):
		e.Remedy = "the service does not answer: the next run publishes; readers have the old version until then"
	case noBucket(err):
		e.Remedy = "create the bucket or container, or correct sink.path"
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		e.Remedy = "give the identity that atsync runs as " + rights(scheme) + "; atsync check tries it"
	case code == http.StatusMovedPermanently, code == http.StatusBadRequest:
		e.Remedy = "check the region and the other options in sink.path"
	case code == http.StatusTooManyRequests, code >= 500:
		e.Remedy = "the service is busy or down: the next run publishes; readers have the old version until then"
	case code == http.StatusNotFound:
		e.Remedy = "check that the bucket of sink.path exists; an object that is gone is written again by the next publication that changes something"
	case code != 0:
		e.Remedy = "check the bucket's policies and the options in sink.path"
	default:
		e.Remedy = "check the credentials of the process (its AWS_, AZURE_ or GOOGLE_ variables, profile or role), its network, and the region in sink.path"
	}
	text := clean(err)
	if code != 0 {
		text = strings.TrimSpace(fmt.Sprintf("status %d %s", code, name))
	}
	e.Err = &cause{text, err}
	return e
}

// cause prints an error without what may be secret in it.
type cause struct {
	text string
	err  error
}

func (c *cause) Error() string { return c.text }
func (c *cause) Unwrap() error { return c.err }

// clean keeps an error's first line, without what follows a question mark in a URL: that may be a signature.
func clean(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimSpace(regexp.MustCompile(`\?[^\s"]*`).ReplaceAllString(line, ""))
}
