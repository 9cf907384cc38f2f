package autotask_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/atsync/atsync/sources/autotask"
)

func TestParseZone(t *testing.T) {
	const three = "https://webservices3.autotask.net/ATServicesRest/V1.0"
	for _, tc := range []struct{ in, want string }{
		{"", ""},
		{"  ", ""},
		{"3", three},
		{"03", three},
		{"webservices3", three},
		{" WebServices3 ", three},
		{"webservices3.autotask.net", three},
		{"WEBSERVICES3.AUTOTASK.NET/", three},
		{"webservices3.autotask.net/ATServicesRest/V1.0/", three},
		{"https://webservices3.autotask.net", three},
		{"https://webservices3.autotask.net/", three},
		{"https://webservices3.autotask.net/ATServicesRest", three},
		{"https://webservices3.autotask.net/ATServicesRest/", three},
		{"https://webservices3.autotask.net/ATServicesRest/V1.0", three},
		{"https://webservices3.autotask.net/atservicesrest/v1.0/", three},
		{"HTTPS://WEBSERVICES3.AUTOTASK.NET/ATSERVICESREST/V1.0/", three},
		{"https://webservices3.autotask.net//ATServicesRest//v1.0/", three},
		{"webservices29", "https://webservices29.autotask.net/ATServicesRest/V1.0"},
		{"webservices", "https://webservices.autotask.net/ATServicesRest/V1.0"},
		{"prde", "https://prde.autotask.net/ATServicesRest/V1.0"},
		{"http://127.0.0.1:8080", "http://127.0.0.1:8080/ATServicesRest/V1.0"},
		{"http://localhost:8080/ATServicesRest/V1.0/", "http://localhost:8080/ATServicesRest/V1.0"},
		{"http://[::1]:8080/", "http://[::1]:8080/ATServicesRest/V1.0"},
	} {
		got, err := autotask.ParseZone(tc.in, "https://webservices.autotask.net")
		if err != nil || got != tc.want {
			t.Errorf("ParseZone(%q) = %q, %v; want %q", tc.in, got, err, tc.want)
		}
	}
}

func TestParseZoneRefuses(t *testing.T) {
	for _, tc := range []struct{ in, part string }{
		{"ww3", "webservices3"},
		{"ww14.autotask.net", "webservices14"},
		{"america", "not known"},
		{"0", "not known"},
		{"http://webservices3.autotask.net", "https://"},
		{"ftp://webservices3.autotask.net", "https://"},
		{"https://user:pw@webservices3.autotask.net", "user or password"},
		{"https://webservices3.autotask.net/?a=b", "query"},
		{"https://webservices3.autotask.net/ATServicesRest/V2.0", "path"},
		{"https://webservices3.autotask.com", "not one of autotask.net"},
		{"https://autotask.net.evil.example/", "not one of autotask.net"},
		{"https://evilautotask.net", "not one of autotask.net"},
		{"https://webservices3.autotask.net:x", "not a URL"},
		{"https://", "host"},
		{"https:// /", ""},
	} {
		got, err := autotask.ParseZone(tc.in, "https://webservices.autotask.net")
		if err == nil || !strings.Contains(err.Error(), tc.part) {
			t.Errorf("ParseZone(%q) = %q, %v; want an error with %q", tc.in, got, err, tc.part)
		}
	}
	if got, err := autotask.ParseZone("https://psa.example:8443", "https://psa.example:8443/"); err != nil {
		t.Errorf("a host that discovery names is refused: %q, %v", got, err)
	}
}

func FuzzParseZone(f *testing.F) {
	for _, s := range []string{"", "3", "webservices3", "https://webservices3.autotask.net/ATServicesRest/V1.0/", "http://[::1]:80", "ww3",
		"https://a@b.autotask.net", "//autotask.net", "https://x.autotask.net\\@evil.example", "http://127.0.0.1.evil.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		base, err := autotask.ParseZone(s, "https://webservices.autotask.net")
		if err != nil || base == "" {
			return
		}
		u, err := url.Parse(base)
		if err != nil {
			t.Fatalf("%q gives %q, which is no URL: %v", s, base, err)
		}
		host := u.Hostname()
		loopback := host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasPrefix(host, "127.") || host == "::1" || strings.HasPrefix(host, "::ffff:127.")
		if !loopback && (u.Scheme != "https" || !strings.HasSuffix("."+host, ".autotask.net")) {
			t.Errorf("%q would send credentials to %q", s, base)
		}
		if u.User != nil || u.Path != "/ATServicesRest/V1.0" || u.RawQuery != "" {
			t.Errorf("%q gives %q", s, base)
		}
		again, err := autotask.ParseZone(base, "https://webservices.autotask.net")
		if err != nil || again != base {
			t.Errorf("%q gives %q, which gives %q, %v", s, base, again, err)
		}
	})
}

func TestWebURL(t *testing.T) {
	const discovery, base = "https://webservices.autotask.net", "https://webservices14.autotask.net/ATServicesRest/V1.0"
	for _, tc := range []struct{ told, base, want string }{
		{"https://ww14.autotask.net/", base, "https://ww14.autotask.net/"},
		{"https://WWDE.autotask.net", base, "https://wwde.autotask.net/"},
		{"https://ww5.autotask.net/Mvc/x?y#z", base, "https://ww5.autotask.net/"},
		{"", base, "https://ww14.autotask.net/"},
		{"https://evil.example/", base, "https://ww14.autotask.net/"},
		{"http://ww14.autotask.net/", base, "https://ww14.autotask.net/"},
		{"https://user@ww5.autotask.net/", base, "https://ww14.autotask.net/"},
		{"javascript:alert(1)", base, "https://ww14.autotask.net/"},
		{"http://127.0.0.1:8080/", base, "https://ww14.autotask.net/"},
		{"", "https://webservices.autotask.net/ATServicesRest/V1.0", ""},
		{"", "https://prde.autotask.net/ATServicesRest/V1.0", ""},
		{"", "http://127.0.0.1:8080/ATServicesRest/V1.0", ""},
	} {
		if got := autotask.WebURL(tc.told, tc.base, discovery); got != tc.want {
			t.Errorf("WebURL(%q, %q) = %q, want %q", tc.told, tc.base, got, tc.want)
		}
	}
	if got := autotask.WebURL("http://127.0.0.1:8080/x", base, "http://127.0.0.1:9090"); got != "http://127.0.0.1:8080/" {
		t.Errorf("on the loopback: %q", got)
	}
}
