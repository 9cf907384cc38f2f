package config

import (
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// A publication in a bucket is named by a URL in place of a path.

func isURL(path string) bool { return strings.Contains(path, "://") }

// bucketOptions returns the options that a URL of a kind of bucket may have; nil for another kind of URL. None is a credential.
func bucketOptions(scheme string) []string {
	switch scheme {
	case "s3":
		return []string{"region", "endpoint", "use_path_style", "profile", "role", "disable_https", "ssetype", "kmskeyid", "accelerate",
			"dualstack", "fips", "hostname_immutable", "request_checksum_calculation", "response_checksum_validation"}
	case "azblob":
		return []string{"storage_account", "domain", "protocol", "localemu"}
	case "gs":
		return []string{"universe_domain"}
	}
	return nil
}

// checkBucket checks the URL of a bucket. What it says never repeats a value: somebody may have written a key into it.
func checkBucket(text string) *finding {
	const fix = "write s3://bucket/folder?region=…, azblob://container/folder?storage_account=… or gs://bucket/folder"
	u, err := url.Parse(strings.ReplaceAll(text, "{tenant}", "tenant"))
	if err != nil {
		return wrong(fix, "is not a URL")
	}
	options := bucketOptions(u.Scheme)
	switch {
	case options == nil:
		return wrong(fix, "%s:// is no kind of bucket that atsync knows", u.Scheme)
	case u.User != nil:
		return wrong("leave them out: the process's own are taken (variables, profile, role)", "credentials do not belong in the URL")
	case u.Host == "" || u.Port() != "":
		return wrong(fix, "names no bucket")
	case u.Fragment != "":
		return wrong("leave out # and what follows", "has a fragment")
	}
	if strings.Contains(u.Path, "//") || slices.ContainsFunc(strings.Split(u.Path, "/"), func(part string) bool { return part == "." || part == ".." }) {
		return wrong("write the folder without . and empty parts", "its folder has . or an empty name in it")
	}
	for option, values := range u.Query() {
		if !slices.Contains(options, option) {
			return wrong("it can have "+strings.Join(options, ", ")+"; credentials are the process's own", "has an unknown option %q", option)
		}
		if len(values) > 1 {
			return wrong("write it once", "has the option %q twice", option)
		}
	}
	return nil
}

// publication returns the file that a tenant's local readers open, for Parquet its folder, and the URL of one in a bucket.
func (c *Config) publication(tenant string) (file, folder, remote string) {
	if isURL(c.Sink.Path) {
		where, options, has := strings.Cut(c.Sink.Path, "?")
		remote = strings.ReplaceAll(where, "{tenant}", tenant)
		if remote == where {
			remote = strings.TrimRight(where, "/") + "/" + tenant
		}
		if has {
			remote += "?" + options
		}
		folder = filepath.Join(c.DataDir, "lake", tenant)
		return filepath.Join(folder, "catalog.duckdb"), folder, remote
	}
	path := strings.ReplaceAll(c.Sink.Path, "{tenant}", tenant)
	if c.Sink.Type != SinkParquet {
		return path, "", ""
	}
	if path == c.Sink.Path {
		path = filepath.Join(path, tenant)
	}
	return filepath.Join(path, "catalog.duckdb"), path, ""
}

// Readers is where readers find the publication: a file, or the URL of a folder in a bucket without its options.
func (t TenantConfig) Readers() string {
	if t.PublishURL == "" {
		return t.PublishPath
	}
	where, _, _ := strings.Cut(t.PublishURL, "?")
	return where
}
