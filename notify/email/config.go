package email

import (
	"errors"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hacheck/notify"
	"hacheck/notify/secret"
)

// TLSMode says how the connection to the relay is protected. Its values are
// the words of the configuration.
type TLSMode string

// The four modes.
const (
	// StartTLS demands STARTTLS and a valid certificate; the default.
	StartTLS TLSMode = "starttls"
	// ImplicitTLS speaks TLS from the first byte (RFC 8314), certificate
	// checked.
	ImplicitTLS TLSMode = "tls"
	// Opportunistic encrypts if the relay offers STARTTLS, whatever its
	// certificate, and goes on in clear otherwise (RFC 7435). It is for the
	// relay named in keepalived.conf, to which keepalived itself speaks in
	// clear: usually one on loopback with a self-made certificate. It never
	// logs in.
	Opportunistic TLSMode = "opportunistic"
	// NoTLS speaks in clear.
	NoTLS TLSMode = "none"
)

// Port is where relays listen for connections protected in this way.
func (m TLSMode) Port() int {
	switch m {
	case StartTLS:
		return 587
	case ImplicitTLS:
		return 465
	default:
		return 25
	}
}

// DefaultTimeout bounds one attempt, from the name lookup to the relay's last
// answer.
const DefaultTimeout = 20 * time.Second

// MaxTimeout is what RFC 5321, section 4.5.3.2, allows the longest single
// step of a dialogue.
const MaxTimeout = 10 * time.Minute

// Config describes one mail channel.
type Config struct {
	// Name is the channel's name; required.
	Name string
	// Host is the relay's name or address, without a port; required.
	Host string
	// Port is 1 to 65535; 0 means 587 for StartTLS, 465 for ImplicitTLS and
	// 25 for Opportunistic and NoTLS; see TLSMode.Port.
	Port int
	// TLS is empty for StartTLS.
	TLS TLSMode
	// ServerName is the name the certificate must carry, if not Host.
	ServerName string
	// CAFile names a PEM file whose certificates are trusted instead of the
	// system's. It is read at each attempt.
	CAFile string

	// Username switches AUTH on.
	Username string
	// PasswordFile is an absolute path, or the bare name of a systemd
	// credential (a file in $CREDENTIALS_DIRECTORY). It is read at each
	// attempt, so that a changed password needs no restart; the newline at
	// its end does not count.
	PasswordFile string
	// Auth is the mechanism: plain, login, cram-md5, scram-sha-1 or
	// scram-sha-256. Empty takes the best one the relay offers; name one for
	// a relay that offers mechanisms it has no passwords for.
	Auth string
	// AllowClearAuth permits AUTH without TLS. Without it such a
	// configuration is refused.
	AllowClearAuth bool

	// From is the sender, "a@example.com" or "Name <a@example.com>"; required.
	From string
	// To are the recipients in the same form; at least one. See Split for why
	// one channel for each recipient is better than one for all.
	To []string
	// Helo is the name given to EHLO; empty means this machine's host name.
	Helo string
	// Timeout bounds one attempt; 0 means DefaultTimeout, at most 10 minutes.
	Timeout time.Duration
	// Style is the message's.
	Style notify.Style

	// shown are the recipients in the To header, if not To; set by Split.
	shown []string
}

// Split returns one configuration for each recipient, named NAME/ADDRESS,
// whose mails still show every recipient; a recipient named twice counts once.
// The outcome is then kept for each recipient: one that the relay cannot take
// at the moment is tried again without repeating the mail to those who have it
// already, and one more recipient does not rename the others.
func (c Config) Split() []Config {
	if len(c.To) == 0 {
		return []Config{c} // for New to refuse
	}
	var parts []Config
	seen := make(map[string]bool)
	for _, to := range c.To {
		part := c
		part.To, part.shown = []string{to}, c.To
		part.Name = c.Name + "/" + to
		if parsed, err := mail.ParseAddress(to); err == nil {
			part.Name = c.Name + "/" + parsed.Address
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
func New(cfg Config) (*Notifier, error) {
	if cfg.TLS == "" {
		cfg.TLS = StartTLS
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	switch {
	case cfg.Name == "":
		return nil, errors.New("name: is missing")
	case cfg.Host == "":
		return nil, errors.New("host: is missing; give the mail relay's name or address")
	case strings.ContainsFunc(cfg.Host, unprintable) || strings.ContainsAny(cfg.Host, " /[]@"):
		return nil, fmt.Errorf("host: %q is not a host name or an address", cfg.Host)
	case strings.Count(cfg.Host, ":") == 1:
		return nil, fmt.Errorf("host: %q has a port in it; put that into port", cfg.Host)
	case cfg.Port < 0 || cfg.Port > 65535:
		return nil, fmt.Errorf("port: %d is not within 1 to 65535", cfg.Port)
	case cfg.Timeout < 0 || cfg.Timeout > MaxTimeout:
		return nil, fmt.Errorf("timeout: %s is not within 0s to %s", cfg.Timeout, MaxTimeout)
	}
	if cfg.Port == 0 {
		cfg.Port = cfg.TLS.Port()
	}
	if err := checkProtection(cfg); err != nil {
		return nil, err
	}
	if cfg.ServerName == "" {
		cfg.ServerName = cfg.Host
	}
	n := &Notifier{cfg: cfg}
	var err error
	if n.from, err = address("from", cfg.From); err != nil {
		return nil, err
	}
	if len(cfg.To) == 0 {
		return nil, errors.New("to: is missing; name at least one recipient")
	}
	if n.to, err = addresses("to", cfg.To); err != nil {
		return nil, err
	}
	n.shown = n.to
	if cfg.shown != nil {
		if n.shown, err = addresses("to", cfg.shown); err != nil {
			return nil, err
		}
	}
	if n.cfg.Helo == "" {
		n.cfg.Helo = "localhost"
		if host, err := os.Hostname(); err == nil && plainWord(host) {
			n.cfg.Helo = host
		}
	}
	if !plainWord(n.cfg.Helo) {
		return nil, fmt.Errorf("helo: %q is not a host name", n.cfg.Helo)
	}
	return n, nil
}

// checkProtection checks how TLS and AUTH go together.
func checkProtection(cfg Config) error {
	switch cfg.TLS {
	case StartTLS, ImplicitTLS, Opportunistic, NoTLS:
	default:
		return fmt.Errorf("tls: %q is none of starttls, tls, opportunistic, none", cfg.TLS)
	}
	switch {
	case cfg.CAFile != "" && !filepath.IsAbs(cfg.CAFile):
		return fmt.Errorf("ca_file: %q is not an absolute path", cfg.CAFile)
	// Who names them believes that a certificate is checked.
	case cfg.CAFile != "" && (cfg.TLS == Opportunistic || cfg.TLS == NoTLS):
		return fmt.Errorf("ca_file: has no effect with tls: %s, which checks no certificate; use starttls or tls, or remove it", cfg.TLS)
	case cfg.ServerName != "" && cfg.TLS == NoTLS:
		return errors.New("server_name: has no effect with tls: none; use starttls or tls, or remove it")
	}
	if cfg.Username == "" {
		switch {
		case cfg.PasswordFile != "":
			return errors.New("username: is missing though password_file is set")
		case cfg.Auth != "":
			return errors.New("username: is missing though auth is set")
		}
		return nil
	}
	switch {
	case cfg.PasswordFile == "":
		return errors.New("password_file: is missing though username is set")
	case cfg.TLS == Opportunistic:
		return errors.New("tls: opportunistic never logs in, as the relay's certificate is not checked; use starttls or tls, or remove username")
	case cfg.TLS == NoTLS && !cfg.AllowClearAuth:
		return errors.New("tls: none would send the password in clear; use starttls or tls, or set allow_clear_auth")
	}
	if cfg.Auth != "" && !known(mechanism(strings.ToUpper(cfg.Auth))) {
		return fmt.Errorf("auth: %q is none of plain, login, cram-md5, scram-sha-1, scram-sha-256", cfg.Auth)
	}
	return secret.CheckPath("password_file", cfg.PasswordFile)
}

// addresses parses each of a list.
func addresses(field string, list []string) ([]*mail.Address, error) {
	parsed := make([]*mail.Address, len(list))
	for i, text := range list {
		var err error
		if parsed[i], err = address(fmt.Sprintf("%s[%d]", field, i), text); err != nil {
			return nil, err
		}
	}
	return parsed, nil
}

// address parses one mail address.
func address(field, text string) (*mail.Address, error) {
	if text == "" {
		return nil, fmt.Errorf("%s: is missing; give a mail address", field)
	}
	parsed, err := mail.ParseAddress(text)
	if err != nil || strings.ContainsFunc(parsed.Address, unprintable) {
		return nil, fmt.Errorf("%s: %q is not a mail address such as ops@example.com or \"Ops <ops@example.com>\"", field, text)
	}
	return parsed, nil
}

// plainWord reports whether text can stand as one argument of a command.
func plainWord(text string) bool {
	return text != "" && len(text) <= 255 &&
		!strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// unprintable is true for the control characters.
func unprintable(r rune) bool { return r < ' ' || r == 0x7f }
