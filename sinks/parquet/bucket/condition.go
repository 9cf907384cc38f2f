package bucket

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"cloud.google.com/go/storage"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	azureobject "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// version returns the version of what a reader reads, "" if the service does not tell.
func version(r *blob.Reader) Version {
	var amazon s3.GetObjectOutput
	var azure azureobject.DownloadStreamResponse
	var google *storage.Reader
	switch {
	case r.As(&amazon) && amazon.ETag != nil:
		return Version(*amazon.ETag)
	case r.As(&azure) && azure.ETag != nil:
		return Version(*azure.ETag)
	case r.As(&google) && google.Attrs.Generation != 0:
		return Version(strconv.FormatInt(google.Attrs.Generation, 10))
	}
	return ""
}

// onlyIf is the hook of a write that is to happen only over one version: If-Match, or Google's x-goog-if-generation-match.
func onlyIf(old Version) func(as func(any) bool) error {
	return func(as func(any) bool) error {
		var amazon *transfermanager.UploadObjectInput
		if as(&amazon) {
			etag := string(old)
			amazon.IfMatch = &etag
			return nil
		}
		var azure *azblob.UploadStreamOptions
		if as(&azure) {
			etag := azcore.ETag(old)
			azure.AccessConditions = &azblob.AccessConditions{ModifiedAccessConditions: &azureobject.ModifiedAccessConditions{IfMatch: &etag}}
			return nil
		}
		var google **storage.ObjectHandle
		if as(&google) {
			generation, err := strconv.ParseInt(string(old), 10, 64)
			if err != nil {
				return fmt.Errorf("generation %q: %w", old, err)
			}
			*google = (*google).If(storage.Conditions{GenerationMatch: generation})
			return nil
		}
		return errors.New("no conditional writes here")
	}
}

// changed reports whether a service refused a write because of its condition: 412, or 409 where two writers meet.
func changed(err error) bool {
	if err == nil {
		return false
	}
	code, _ := status(err)
	return gcerrors.Code(err) == gcerrors.FailedPrecondition || code == http.StatusPreconditionFailed || code == http.StatusConflict
}

// Never is a version that no object has, to find out whether a service heeds conditions.
func (b *Bucket) Never() Version {
	if b.scheme == "gs" {
		return "1"
	}
	return `"00000000000000000000000000000000"`
}
