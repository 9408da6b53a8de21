package webhook

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"hacheck/notify"
	"hacheck/notify/secret"
)

// DefaultTimeout bounds one attempt, from the name lookup to the end of the
// answer.
const DefaultTimeout = 10 * time.Second

// maxTimeout keeps one dead receiver from holding up the others for long.
const maxTimeout = 5 * time.Minute

// Config describes one webhook channel. Every file is read at each attempt,
// so that a changed secret needs no restart; its name is an absolute path, or
// the bare name of a systemd credential (a file in $CREDENTIALS_DIRECTORY).
type Config struct {
	// Name is the channel's name; required.
	Name string
	// URL receives the requests, http or https. Its path, query and user are
	// taken for secrets and never shown.
	URL string
	// URLFile holds the URL in its only line. Exactly one of URL and URLFile
	// is set.
	URLFile string
	// SecretFile holds the key that signs each request; empty means no
	// signature.
	SecretFile string
	// Headers are added to each request; their values are never shown.
	Headers map[string]string
	// HeadersFile holds more of them, one "Name: value" a line.
	HeadersFile string
	// Timeout bounds one attempt; 0 means DefaultTimeout, at most 5 minutes.
	Timeout time.Duration
	// CAFile names a PEM file whose certificates are trusted instead of the
	// system's.
	CAFile string
	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool
	// UserAgent is "hacheck/VERSION"; empty means "hacheck".
	UserAgent string
	// Style is the message's.
	Style notify.Style
}

// New checks the configuration and fills in its defaults. It opens no file
// and no connection. Its errors begin with the name of the field as the
// configuration file spells it.
func New(cfg Config) (*Notifier, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "hacheck"
	}
	switch {
	case cfg.Name == "":
		return nil, errors.New("name: is missing")
	case cfg.URL == "" && cfg.URLFile == "":
		return nil, errors.New("url: is missing; set url, or url_file to keep it secret")
	case cfg.URL != "" && cfg.URLFile != "":
		return nil, errors.New("url_file: is set together with url; keep one of them")
	case cfg.Timeout < 0 || cfg.Timeout > maxTimeout:
		return nil, fmt.Errorf("timeout: %s is not within 0s to %s", cfg.Timeout, maxTimeout)
	case cfg.CAFile != "" && cfg.InsecureSkipVerify:
		return nil, errors.New("ca_file: has no effect together with insecure_skip_verify; remove one of them")
	case !validValue(cfg.UserAgent):
		return nil, errors.New("user_agent: holds a control character")
	}
	if cfg.URL != "" {
		if _, err := parseURL(cfg.URL); err != nil {
			return nil, fmt.Errorf("url: %w", err)
		}
	}
	for name, value := range cfg.Headers {
		if err := checkHeader(name, value); err != nil {
			return nil, fmt.Errorf("headers: %w", err)
		}
	}
	for _, file := range cfg.secretFiles() {
		if err := secret.CheckPath(file.field, file.path); err != nil {
			return nil, err
		}
	}
	if cfg.CAFile != "" && !filepath.IsAbs(cfg.CAFile) {
		return nil, fmt.Errorf("ca_file: %q is not an absolute path", cfg.CAFile)
	}
	return &Notifier{cfg: cfg, preset: generic()}, nil
}

// parseURL parses a receiver's URL. Its errors do not repeat the URL.
func parseURL(text string) (*url.URL, error) {
	target, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("is not a valid URL (its text is not shown, as it may hold a secret)")
	case target.Scheme != "http" && target.Scheme != "https":
		return nil, errors.New("must begin with http:// or https://")
	case target.Hostname() == "":
		return nil, errors.New("names no host")
	}
	return target, nil
}

// checkHeader checks one header. Its errors do not repeat the value.
func checkHeader(name, value string) error {
	if !validName(name) {
		return fmt.Errorf("%q is not a header name", name)
	}
	if !validValue(value) {
		return fmt.Errorf("the value of %s holds a control character", name)
	}
	switch strings.ToLower(name) {
	case "host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "trailer",
		"idempotency-key", "x-hacheck-signature":
		return fmt.Errorf("%s is set by hacheck itself", name)
	}
	return nil
}

// validName reports whether name is a token (RFC 9110, section 5.6.2).
func validName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}

// validValue reports whether value can stand in one header line.
func validValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
