package vault_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/atsync/atsync/cmd/atsync/internal/secret"
	"github.com/atsync/atsync/cmd/atsync/internal/vault"
)

// resolve returns what a reference yields, or the error's text.
func resolve(t *testing.T, services vault.Services, text string) string {
	t.Helper()
	ref, err := secret.ParseRef(text)
	if err != nil {
		t.Fatal(err)
	}
	value, err := secret.Resolver{Vaults: services}.Resolve(t.Context(), ref)
	if err != nil {
		return err.Error()
	}
	return value.Reveal()
}

func TestAWS(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		refuse := func(code, message string) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"__type":%q,"message":%q}`, code, message)
		}
		switch {
		case !strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/secretsmanager/"):
			refuse("AccessDeniedException", "signed for "+r.Header.Get("Authorization"))
		case strings.Contains(string(body), `"msp/acme"`) || strings.Contains(string(body), ":secret:acme-AbCdEf"):
			fmt.Fprint(w, `{"SecretString":"{\"secret\":\"s3cret\",\"port\":7}"}`)
		case strings.Contains(string(body), `"plain"`):
			fmt.Fprint(w, `{"SecretString":"s3cret\n"}`)
		case strings.Contains(string(body), `"binary"`):
			fmt.Fprint(w, `{"SecretBinary":"AAAA"}`)
		default:
			refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
		}
	}))
	defer server.Close()
	for name, value := range map[string]string{"AWS_ENDPOINT_URL_SECRETS_MANAGER": server.URL, "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "key",
		"AWS_REGION": "eu-west-1", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_MAX_ATTEMPTS": "1"} {
		t.Setenv(name, value)
	}
	for ref, want := range map[string]string{
		"aws-sm:plain": "s3cret", "aws-sm:msp/acme#secret": "s3cret", "aws-sm:arn:aws:secretsmanager:eu-west-1:123456789012:secret:acme-AbCdEf#secret": "s3cret",
		"aws-sm:msp/acme#port": "has no text under the key port", "aws-sm:plain#secret": "is not a JSON object: write aws-sm:plain without",
		"aws-sm:binary": "store it as text", "aws-sm:other": "ResourceNotFoundException: Secrets Manager can't find the specified secret.: check the secret's name",
		"aws-sm:arn:aws:secretsmanager:us-east-1:123456789012:secret:acme-AbCdEf": "allow secretsmanager:GetSecretValue",
	} {
		if got := resolve(t, vault.Services{}, ref); !strings.Contains(got, want) || strings.Contains(got, "s3cret") && want != "s3cret" {
			t.Errorf("%s: %s", ref, got)
		}
	}
}

// token is an Azure credential that is always good.
type token struct{}

func (token) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "t", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestAzure(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Header.Get("Authorization") == "":
			w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.example/tenant", resource="https://vault.azure.net"`)
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasPrefix(r.URL.Path, "/secrets/acme/v1"):
			fmt.Fprint(w, `{"value":"older"}`)
		case strings.HasPrefix(r.URL.Path, "/secrets/acme"):
			fmt.Fprint(w, `{"value":"s3cret"}`)
		case strings.HasPrefix(r.URL.Path, "/secrets/closed"):
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"error":{"code":"Forbidden","message":"no"}}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":{"code":"SecretNotFound","message":"no"}}`)
		}
	}))
	defer server.Close()
	services := vault.Services{Credential: token{}, Options: &azsecrets.ClientOptions{DisableChallengeResourceVerification: true,
		ClientOptions: policy.ClientOptions{Transport: server.Client(), Retry: policy.RetryOptions{MaxRetries: -1}}}}
	base := "azure-kv:" + server.URL + "/secrets/"
	for ref, want := range map[string]string{
		base + "acme": "s3cret", base + "acme/v1": "older", base + "closed": "status 403 Forbidden: give the identity the role Key Vault Secrets User",
		base + "other": "status 404 SecretNotFound: check the names",
	} {
		if got := resolve(t, services, ref); !strings.Contains(got, want) {
			t.Errorf("%s: %s", ref, got)
		}
	}
}
