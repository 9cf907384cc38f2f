package autotask

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// redacted is what any formatting of a credential yields.
const redacted = "[redacted]"

// minRedacted is the length from which a value is cut out of foreign texts. Shorter ones are no secrets,
// and cutting them out would make every message unreadable.
const minRedacted = 4

// Credentials are the three values of an Autotask API user. Whatever formats them prints a placeholder:
// the values are held in a closure, so that not even reflection over an enclosing struct shows them.
type Credentials struct {
	reveal func() (username, code, secret string)
}

// NewCredentials takes the form's Username (Key), Tracking Identifier and Password (Secret), in this order.
func NewCredentials(username, integrationCode, secret string) Credentials {
	return Credentials{reveal: func() (string, string, string) { return username, integrationCode, secret }}
}

func (c Credentials) values() (username, code, secret string) {
	if c.reveal == nil {
		return "", "", ""
	}
	return c.reveal()
}

// Username returns the user name, which is no secret.
func (c Credentials) Username() string {
	username, _, _ := c.values()
	return username
}

// Fingerprint tells one set of credentials from another without telling what they are: 16 hex digits
// of a SHA-256 over the three values and a constant.
func (c Credentials) Fingerprint() string {
	username, code, secret := c.values()
	h := sha256.New()
	_, _ = io.WriteString(h, "atsync auth hold fingerprint v1")
	for _, v := range []string{strings.ToLower(username), code, secret} {
		_ = binary.Write(h, binary.BigEndian, uint64(len(v)))
		_, _ = io.WriteString(h, v)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// codeFingerprint tells one integration code from another without telling what it is.
func (c Credentials) codeFingerprint() string {
	_, code, _ := c.values()
	sum := sha256.Sum256([]byte("atsync thread fingerprint v1" + code))
	return hex.EncodeToString(sum[:8])
}

// Diagnose names what looks mixed up in the values; see the function Diagnose.
func (c Credentials) Diagnose() []Hint { return Diagnose(c.values()) }

// String prints a placeholder.
func (c Credentials) String() string { return redacted }

// GoString prints a placeholder.
func (c Credentials) GoString() string { return redacted }

// Format prints a placeholder whatever the verb.
func (c Credentials) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue logs a placeholder.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText encodes a placeholder.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// redact cuts secret and integration code out of a text that came from elsewhere.
func (c Credentials) redact(s string) string {
	_, code, secret := c.values()
	for _, v := range []string{secret, code} {
		if len(v) >= minRedacted {
			s = strings.ReplaceAll(s, v, redacted)
		}
	}
	return s
}

// echoed reports whether a body repeats a part of secret or integration code, as the page of a proxy does that
// shows the request. Nothing of such a body may be quoted.
func (c Credentials) echoed(body []byte) bool {
	_, code, secret := c.values()
	const part = 6
	for _, v := range []string{secret, code} {
		for i := 0; i+part <= len(v); i++ {
			if bytes.Contains(body, []byte(v[i:i+part])) {
				return true
			}
		}
	}
	return false
}

// sendable reports the value that can't stand in an HTTP header. It is the one look for which a value is refused.
func (c Credentials) sendable() error {
	username, code, secret := c.values()
	for _, v := range []struct{ key, value string }{
		{keyUsername, username}, {keyCode, code}, {keySecret, secret},
	} {
		if v.value == "" {
			return fmt.Errorf("%s is empty", v.key)
		}
		if strings.ContainsFunc(v.value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return fmt.Errorf("%s holds a line break or another control character, which can't be sent", v.key)
		}
	}
	return nil
}
