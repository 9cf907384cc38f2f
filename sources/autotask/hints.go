package autotask

import (
	"regexp"
	"strings"
)

// The configuration keys of the three values.
const (
	keyUsername = "username"
	keyCode     = "integration_code"
	keySecret   = "secret"
)

// usualSecret is the length below which a secret looks cut off: Autotask generates about 25 characters (api.md §1).
const usualSecret = 15

// Hint is something about the three credentials that looks like a mix-up. It never holds a value.
type Hint struct {
	Key  string `json:"key"`  // username, integration_code or secret
	Text string `json:"text"` // what looks odd, and which value of Autotask's form belongs there
}

// String prints "key: text".
func (h Hint) String() string { return h.Key + ": " + h.Text }

// trackingIdentifier is what every known tracking identifier looks like (api.md §1).
var trackingIdentifier = regexp.MustCompile(`^[A-Z0-9]{27}$`)

// Diagnose says which of the values look as if they were mixed up, mistyped or mangled on the way.
// A hint is a guess: no value is ever refused for its looks.
func Diagnose(username, integrationCode, secret string) []Hint {
	var hints []Hint
	add := func(key, text string) { hints = append(hints, Hint{Key: key, Text: text}) }
	clean := map[string]string{}
	for _, v := range []struct{ key, value string }{
		{keyUsername, username}, {keyCode, integrationCode}, {keySecret, secret},
	} {
		value := strings.TrimSpace(v.value)
		switch {
		case value == "":
			add(v.key, "is empty; it takes the form's "+formName(v.key))
		case value != v.value:
			add(v.key, "has blanks or a line break around it; remove them")
		}
		if unquoted, ok := unquote(value); ok {
			add(v.key, "is in quotes that are part of the value; remove them")
			value = unquoted
		}
		if strings.HasPrefix(value, "${") || strings.HasPrefix(value, "$(") {
			add(v.key, "looks like a variable that was not expanded; write env:NAME to read one")
		}
		clean[v.key] = value
	}
	diagnoseNames(clean[keyUsername], clean[keyCode], add)
	diagnoseSecret(clean[keyUsername], clean[keyCode], clean[keySecret], add)
	return hints
}

func diagnoseNames(username, code string, add func(key, text string)) {
	userIsCode, codeIsUser := trackingIdentifier.MatchString(username), strings.Contains(code, "@")
	switch {
	case username == "" || code == "":
	case userIsCode && codeIsUser:
		add(keyUsername, "and integration_code look swapped; username takes the form's Username (Key), which looks "+
			"like an e-mail address, integration_code the Tracking Identifier of 27 capital letters and digits")
		return
	case codeIsUser:
		add(keyCode, "holds an @, as the form's Username (Key) does; that value belongs in username (your own login does "+
			"not work there), and integration_code takes the Tracking Identifier of 27 capital letters and digits")
	case !trackingIdentifier.MatchString(code):
		add(keyCode, "is not 27 capital letters and digits as usual; it takes the form's Tracking Identifier "+
			"(also called integration code), which the API user's page shows under API Tracking Identifier")
	}
	switch {
	case username == "" || strings.Contains(username, "@"):
	case userIsCode:
		add(keyUsername, "looks like a Tracking Identifier, which belongs in integration_code; username takes the form's "+
			"Username (Key), which looks like an e-mail address")
	default:
		add(keyUsername, "has no @; it takes the form's whole Username (Key), which looks like an e-mail address")
	}
}

func diagnoseSecret(username, code, secret string, add func(key, text string)) {
	switch {
	case secret == "":
	case secret == username:
		add(keySecret, "is the same as username; it takes the form's Password (Secret)")
	case secret == code || trackingIdentifier.MatchString(secret):
		add(keySecret, "looks like a Tracking Identifier, which belongs in integration_code; secret takes the form's Password (Secret)")
	case len(secret) < usualSecret:
		add(keySecret, "is much shorter than the about 25 characters that Autotask generates; where it is set in a shell or an "+
			"env file, an unquoted $ or # cuts it off: put it in single quotes or in a file, as file:/path")
	}
}

func formName(key string) string {
	switch key {
	case keyUsername:
		return "Username (Key)"
	case keyCode:
		return "Tracking Identifier"
	default:
		return "Password (Secret)"
	}
}

func unquote(s string) (string, bool) {
	for _, q := range [][2]string{{`"`, `"`}, {`'`, `'`}, {"`", "`"}, {"“", "”"}, {"‘", "’"}, {"„", "“"}} {
		if len(s) >= len(q[0])+len(q[1]) && strings.HasPrefix(s, q[0]) && strings.HasSuffix(s, q[1]) {
			return strings.TrimSpace(s[len(q[0]) : len(s)-len(q[1])]), true
		}
	}
	return s, false
}

// withHints appends the hints on the credentials to a remedy.
func (c Credentials) withHints(remedy string) string {
	for _, h := range c.Diagnose() {
		remedy += "; " + h.Key + " " + h.Text
	}
	return remedy
}
