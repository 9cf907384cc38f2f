// Package vault asks AWS Secrets Manager and Azure Key Vault for secrets, by their own clients.
//
// It signs in as those clients do wherever they run: by variables of the environment, profiles, the role of the machine or
// container, a login of aws or az. It promises that nothing is asked before the first secret is wanted, and that its errors name the
// remedy and hold no secret. It never keeps or logs a secret.
package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

// Services are the two services. It implements secret.Vaults. The zero Services is ready.
type Services struct {
	Credential azcore.TokenCredential   // for Azure; nil: found where the process runs
	Options    *azsecrets.ClientOptions // for Azure; may be nil
}

// AWS returns the text of a secret by name or ARN, in the region of the ARN or else of the environment (AWS_REGION).
func (Services) AWS(ctx context.Context, id string) (string, error) {
	var options []func(*config.LoadOptions) error
	if a, err := arn.Parse(id); err == nil {
		options = append(options, config.WithRegion(a.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return "", fmt.Errorf("AWS is not set up: %w: check AWS_PROFILE and the other AWS_ variables", err)
	}
	if cfg.Region == "" {
		return "", errors.New("no AWS region is known: set AWS_REGION, or write the secret's ARN")
	}
	out, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
	if err != nil {
		return "", awsError(err)
	}
	if out.SecretString == nil {
		return "", errors.New("the secret is binary: store it as text")
	}
	return *out.SecretString, nil
}

// awsError says what to do about a refusal.
func awsError(err error) error {
	remedy := "check the process's AWS credentials and its network"
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		switch api.ErrorCode() {
		case "ResourceNotFoundException":
			remedy = "check the secret's name and the region"
		case "AccessDeniedException":
			remedy = "allow secretsmanager:GetSecretValue on it"
		}
		err = fmt.Errorf("%s: %s", api.ErrorCode(), api.ErrorMessage())
	}
	return fmt.Errorf("AWS Secrets Manager: %w: %s", err, remedy)
}

// Azure returns a secret of the vault at a URL; no version is the newest.
func (s Services) Azure(ctx context.Context, vault, name, version string) (string, error) {
	credential := s.Credential
	if credential == nil {
		found, err := azidentity.NewDefaultAzureCredential(nil)
		if err != nil {
			return "", fmt.Errorf("Azure is not set up: %w: check the AZURE_ variables", firstLine(err))
		}
		credential = found
	}
	client, err := azsecrets.NewClient(vault, credential, s.Options)
	if err != nil {
		return "", fmt.Errorf("Azure Key Vault: %w", firstLine(err))
	}
	out, err := client.GetSecret(ctx, name, version, nil)
	if err != nil {
		return "", azureError(err)
	}
	if out.Value == nil {
		return "", errors.New("the secret has no value")
	}
	return *out.Value, nil
}

// azureError says what to do about a refusal.
func azureError(err error) error {
	remedy := "check the process's Azure credentials and its network"
	if res, ok := errors.AsType[*azcore.ResponseError](err); ok {
		switch res.StatusCode {
		case http.StatusNotFound:
			remedy = "check the names of vault and secret"
		case http.StatusForbidden:
			remedy = "give the identity the role Key Vault Secrets User"
		}
		err = fmt.Errorf("status %d %s", res.StatusCode, res.ErrorCode)
	}
	return fmt.Errorf("Azure Key Vault: %w: %s", firstLine(err), remedy)
}

// firstLine cuts the pages that the client writes about every way to sign in that it has tried.
func firstLine(err error) error {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(strings.TrimSpace(line))
}
