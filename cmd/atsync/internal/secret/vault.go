package secret

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// vault asks a service.
func (v Resolver) vault(ctx context.Context, r Ref) (String, error) {
	if v.Vaults == nil {
		return String{}, fmt.Errorf("%s: nothing here can ask for it: write cmd: and a command that prints the value", r)
	}
	timeout := cmp.Or(max(v.Timeout, 0), DefaultTimeout)
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var text string
	var err error
	if r.scheme == AWS {
		text, err = v.aws(ctx, r.target)
	} else {
		vault, name, version, _ := splitAzure(r.target) // checked by ParseRef
		text, err = v.Vaults.Azure(ctx, vault, name, version)
	}
	switch {
	case parent.Err() != nil:
		return String{}, parent.Err()
	case ctx.Err() != nil:
		return String{}, fmt.Errorf("%s: no answer within %s: check the network and the region", r, timeout)
	case err != nil:
		return String{}, fmt.Errorf("%s: %w", r, err)
	}
	return value(r, []byte(text))
}

// aws returns a secret, or with NAME#KEY one value of a secret that is a JSON object.
func (v Resolver) aws(ctx context.Context, target string) (string, error) {
	id, key, ok := strings.Cut(target, "#")
	text, err := v.Vaults.AWS(ctx, id)
	if err != nil || !ok {
		return text, err
	}
	var values map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &values) != nil { // its error would quote the secret
		return "", fmt.Errorf("is not a JSON object: write aws-sm:%s without #%s", id, key)
	}
	var one string
	if raw, found := values[key]; !found || json.Unmarshal(raw, &one) != nil {
		return "", fmt.Errorf("has no text under the key %s: check the key's spelling", key)
	}
	return one, nil
}
