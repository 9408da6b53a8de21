package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hacheck/notify"
	"hacheck/notify/secret"
)

// DefaultTimeout bounds one attempt, from the name lookup to the end of the
// answer.
const DefaultTimeout = 10 * time.Second

// MaxTimeout is the longest Config.Timeout: it keeps one dead receiver from
// holding up the others for long.
const MaxTimeout = 5 * time.Minute

// NoProxy is the value of Config.Proxy that goes to the receiver directly.
const NoProxy = "none"

// Config describes one webhook channel. Every file is read at each attempt,
// so that a changed secret needs no restart; its name is an absolute path, or
// the bare name of a systemd credential (a file in $CREDENTIALS_DIRECTORY).
//
// Which fields a preset takes, see New; the others must be empty.
type Config struct {
	// Name is the channel's name; required.
	Name string
	// Preset is the kind of receiver; empty means Generic.
	Preset Preset
	// URL receives the requests, http or https. Its path, query and user are
	// taken for secrets and never shown. For DingTalk, WeCom, Feishu, Lark,
	// Slack, Teams and Discord it is the webhook's URL as the service hands it
	// out. For Telegram, PagerDuty, Ntfy, Bark and ServerChan it is the root of
	// the server and empty means the vendor's own; for Alertmanager it is the
	// root of one member.
	URL string
	// URLFile holds the URL in its only line. At most one of URL, URLFile and
	// URLs is set.
	URLFile string
	// URLs are the roots of an Alertmanager cluster's members, each of which
	// must be told. Split makes one channel of each.
	URLs []string
	// SecretFile holds the key that signs each request; empty means no
	// signature. For Generic, DingTalk, Feishu and Lark.
	SecretFile string
	// TokenFile holds, in its only line, Telegram's bot token, PagerDuty's
	// routing key (32 characters, of an Events API v2 integration), Ntfy's
	// access token (optional), Bark's device key or ServerChan's SendKey.
	TokenFile string
	// ChatID is Telegram's chat: a number, or @name of a public channel.
	ChatID string
	// Topic is Ntfy's. Who knows a topic of a public server can read it:
	// TopicFile holds it instead. Exactly one of them is set.
	Topic     string
	TopicFile string
	// Labels are added to those of each alert, for Alertmanager's routes.
	Labels map[string]string
	// Headers are added to each request; their values are never shown.
	Headers map[string]string
	// HeadersFile holds more of them, one "Name: value" a line; of a name that
	// is in both, Headers' value counts.
	HeadersFile string
	// Timeout bounds one attempt; 0 means DefaultTimeout, at most 5 minutes.
	Timeout time.Duration
	// Proxy is the URL of the proxy to go through, http, https or socks5; its
	// user and password are never shown. Empty means what HTTP_PROXY,
	// HTTPS_PROXY and NO_PROXY of the environment say, NoProxy means none.
	Proxy string
	// CAFile names a PEM file whose certificates are trusted instead of the
	// system's.
	CAFile string
	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool
	// UserAgent is "hacheck/VERSION"; empty means "hacheck".
	UserAgent string
	// Style is the message's.
	Style notify.Style

	// member is the position, from 1, of URLs' only item in the list that
	// Split took it from.
	member int
}

// Split returns one configuration for each member of URLs, named NAME/HOST, so
// that each has an outcome of its own: one that is down is tried again without
// telling the others twice, and one more member does not rename the others. A
// member named twice counts once. Without URLs it returns the configuration as
// it is.
func (c Config) Split() []Config {
	if len(c.URLs) == 0 {
		return []Config{c}
	}
	var parts []Config
	seen := make(map[string]bool)
	for i, member := range c.URLs {
		part := c
		part.URLs, part.member = []string{member}, i+1
		part.Name = c.Name + "/" + strconv.Itoa(i+1) // for New to refuse
		if target, err := parseURL(member); err == nil {
			// The root of a member is no secret, other than the rest of a URL.
			part.Name = c.Name + "/" + target.Host + strings.TrimRight(target.Path, "/")
		}
		if !seen[part.Name] {
			seen[part.Name] = true
			parts = append(parts, part)
		}
	}
	return parts
}

// New checks the configuration and fills in its defaults. It opens no file
// and no connection. Its errors begin with the name of the field as the
// configuration file spells it.
//
// Every preset takes Headers, HeadersFile, Timeout, Proxy, CAFile,
// InsecureSkipVerify and Style. Beside these, with [optional ones]:
//
//	generic                       URL or URLFile, [SecretFile]
//	dingtalk, feishu, lark        URL or URLFile, [SecretFile]
//	wecom, slack, teams, discord  URL or URLFile
//	telegram                      TokenFile, ChatID, [URL or URLFile]
//	pagerduty, bark, serverchan   TokenFile, [URL or URLFile]
//	ntfy                          Topic or TopicFile, [TokenFile], [URL or URLFile]
//	alertmanager                  URLs (see Split), URL or URLFile, [Labels]
func New(cfg Config) (*Notifier, error) {
	if cfg.Preset == "" {
		cfg.Preset = Generic
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "hacheck"
	}
	kind, known := cfg.Preset.preset()
	switch {
	case cfg.Name == "":
		return nil, errors.New("name: is missing")
	case !known:
		return nil, fmt.Errorf("preset: %q is none of %s", shorten(string(cfg.Preset)), presetNames())
	case cfg.Timeout < 0 || cfg.Timeout > MaxTimeout:
		return nil, fmt.Errorf("timeout: %s is not within 0s to %s", cfg.Timeout, MaxTimeout)
	case cfg.CAFile != "" && cfg.InsecureSkipVerify:
		return nil, errors.New("ca_file: has no effect together with insecure; remove one of them")
	case !validValue(cfg.UserAgent):
		return nil, errors.New("user_agent: holds a control character")
	}
	for _, check := range []func(preset) error{cfg.checkURL, cfg.checkProxy, cfg.checkCredentials, cfg.checkAddressee} {
		if err := check(kind); err != nil {
			return nil, err
		}
	}
	names := make(map[string]bool)
	for name, value := range cfg.Headers {
		if err := checkHeader(name, value); err != nil {
			return nil, fmt.Errorf("headers: %w", err)
		}
		canonical := http.CanonicalHeaderKey(name)
		if names[canonical] {
			return nil, fmt.Errorf("headers: %s stands there twice, as capitals do not count", canonical)
		}
		names[canonical] = true
	}
	for _, file := range cfg.secretFiles() {
		if err := secret.CheckPath(file.field, file.path); err != nil {
			return nil, err
		}
	}
	if cfg.CAFile != "" && !filepath.IsAbs(cfg.CAFile) {
		return nil, fmt.Errorf("ca_file: %q is not an absolute path", cfg.CAFile)
	}
	if len(cfg.URLs) == 1 {
		cfg.URL = cfg.URLs[0]
	}
	if cfg.URL == "" && cfg.URLFile == "" {
		cfg.URL = kind.home
	}
	return &Notifier{cfg: cfg, preset: kind}, nil
}

// checkURL checks where the requests go.
func (c Config) checkURL(kind preset) error {
	switch {
	case len(c.URLs) > 0 && c.Preset != Alertmanager:
		return fmt.Errorf("urls: is for the members of an Alertmanager cluster, not for %s; use url or url_file", c.Preset)
	case len(c.URLs) > 0 && (c.URL != "" || c.URLFile != ""):
		return errors.New("urls: is set together with url or url_file; keep one of them")
	case c.URL != "" && c.URLFile != "":
		return errors.New("url_file: is set together with url; keep one of them")
	case c.URL == "" && c.URLFile == "" && len(c.URLs) == 0 && kind.home == "":
		return errors.New("url: is missing; set url, or url_file to keep it secret")
	case len(c.URLs) > 1:
		return errors.New("urls: is for one channel each; see Split")
	}
	if c.URL != "" {
		if _, err := parseURL(c.URL); err != nil {
			return fmt.Errorf("url: %w", err)
		}
	}
	for i, member := range c.URLs {
		if _, err := parseURL(member); err != nil {
			return fmt.Errorf("urls: item %d %w", max(c.member, i+1), err)
		}
	}
	return nil
}

// checkProxy checks the way there. Its errors do not repeat the proxy's URL.
func (c Config) checkProxy(preset) error {
	if c.Proxy == "" || c.Proxy == NoProxy {
		return nil
	}
	proxy, err := url.Parse(c.Proxy)
	switch {
	case err != nil:
		return errors.New("proxy: is not a valid URL (its text is not shown, as it may hold a secret)")
	case proxy.Scheme != "http" && proxy.Scheme != "https" && proxy.Scheme != "socks5":
		return fmt.Errorf("proxy: must begin with http://, https:// or socks5://, or be %q", NoProxy)
	case proxy.Hostname() == "":
		return errors.New("proxy: names no host")
	}
	return nil
}

// checkCredentials checks that the keys are given that the preset uses, and
// no others: one that is given and not used is a mistake to be told.
func (c Config) checkCredentials(kind preset) error {
	switch {
	case c.SecretFile != "" && !kind.signs:
		return fmt.Errorf("secret_file: %s takes no signed requests; remove it", c.Preset)
	case c.TokenFile != "" && kind.token == "":
		return fmt.Errorf("token_file: is not for %s, whose credential is a part of the URL; use url_file", c.Preset)
	case c.TokenFile == "" && kind.token != "" && !kind.tokenOptional:
		return fmt.Errorf("token_file: is missing; name a file that holds %s", kind.token)
	}
	return nil
}

// checkAddressee checks what tells whom the server is to pass it on to.
func (c Config) checkAddressee(preset) error {
	switch {
	case c.Preset == Telegram && c.ChatID == "":
		return errors.New("chat_id: is missing; give the number of the chat, or the @name of a public channel")
	case c.Preset != Telegram && c.ChatID != "":
		return fmt.Errorf("chat_id: is for telegram, not for %s", c.Preset)
	case c.Preset == Ntfy && c.Topic == "" && c.TopicFile == "":
		return errors.New("topic: is missing; set topic, or topic_file to keep it secret")
	case c.Topic != "" && c.TopicFile != "":
		return errors.New("topic_file: is set together with topic; keep one of them")
	case c.Preset != Ntfy && (c.Topic != "" || c.TopicFile != ""):
		return fmt.Errorf("topic: is for ntfy, not for %s", c.Preset)
	case c.Preset != Alertmanager && len(c.Labels) > 0:
		return fmt.Errorf("labels: is for alertmanager, not for %s", c.Preset)
	}
	if c.Topic != "" && !validTopic(c.Topic) {
		return errors.New("topic: must be 1 to 64 letters, digits, '_' and '-'")
	}
	for name := range c.Labels {
		if err := checkLabel(name); err != nil {
			return fmt.Errorf("labels: %w", err)
		}
	}
	return nil
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
	if port := target.Port(); port != "" {
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return nil, fmt.Errorf("has the port %s, which is not within 1 to 65535", shorten(port))
		}
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

// validTopic reports whether ntfy takes topic for one.
func validTopic(topic string) bool {
	return topic != "" && len(topic) <= 64 && !strings.ContainsFunc(topic, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	})
}

// validToken reports whether token can stand in a path, a header and a
// document as it is.
func validToken(token string) bool {
	return token != "" && !strings.ContainsFunc(token, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"/\?#%`, r)
	})
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
