package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/mail"
	"os"
	"strings"
	"time"

	"hacheck/notify"
	"hacheck/notify/email"
	"hacheck/notify/journal"
)

// Names of the channels that are there without configuration.
const (
	journalChannel = "journald"
	mailChannel    = "mail"
)

// MailDefaults are keepalived.conf's own mail settings, used when no channel
// is declared.
type MailDefaults struct {
	// Host is the relay, empty for none; Port is 0 for 25.
	Host string
	Port int
	From string
	To   []string
	Helo string
	// Timeout is smtp_connect_timeout.
	Timeout time.Duration
	// Err is why the settings are not known; nil if they are.
	Err error
}

// Defaults are the channels in force without configuration. What does not work
// in the mail settings of keepalived.conf is left out and told. Without
// journald and syslog on this node, mail alone is enough.
func (c *Config) Defaults(defaults MailDefaults) Channels {
	var channels Channels
	toJournal, err := journal.New(journal.Config{Name: journalChannel, Style: notify.Style{Language: c.Notify.Language}})
	if err != nil {
		channels.Problem = err
	}
	mail, err := c.defaultMail(defaults)
	if err != nil {
		channels.Problem = errors.Join(channels.Problem, err)
		if len(mail) == 0 {
			channels.Awaited = []string{mailChannel}
		}
	}
	if toJournal != nil && (len(mail) == 0 || exists(journal.Socket) || exists(journal.Syslog)) {
		// A node that never had a journald would keep every event for it and
		// give it up in the end although its mail arrived.
		channels.Notifiers = append(channels.Notifiers, toJournal)
	}
	channels.Notifiers = append(channels.Notifiers, mail...)
	return channels
}

// exists reports whether there is something at the path, or may be.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// defaultMail builds a channel for each recipient of notification_email. The
// error tells what was left out; the channels work all the same.
func (c *Config) defaultMail(defaults MailDefaults) ([]notify.Notifier, error) {
	const because = "keepalived.conf's mail settings"
	if defaults.Err != nil {
		return nil, fmt.Errorf("%s are not known, mail waits: %w", because, defaults.Err)
	}
	if defaults.Host == "" || len(defaults.To) == 0 {
		return nil, nil
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	settings := email.Config{
		Name: mailChannel, Host: strings.Trim(defaults.Host, "[]"), Port: defaults.Port, Helo: defaults.Helo,
		TLS: email.Opportunistic, From: mailbox(defaults.From, host), Style: notify.Style{Language: c.Notify.Language},
		Timeout: min(max(defaults.Timeout, 0), email.MaxTimeout),
	}
	if defaults.From == "" {
		settings.From = "keepalived@" + host // what keepalived itself falls back to
	}
	var problems []error
	if _, err := mail.ParseAddress(settings.From); err != nil {
		problems = append(problems, fmt.Errorf("%s: the sender %q is not a mail address, %s is used", because, settings.From, "keepalived@"+host))
		settings.From = "keepalived@" + host
	}
	for _, to := range defaults.To {
		if _, err := mail.ParseAddress(mailbox(to, host)); err != nil {
			problems = append(problems, fmt.Errorf("%s: %q is not a mail address, nothing is sent there", because, to))
			continue
		}
		settings.To = append(settings.To, mailbox(to, host))
	}
	if len(settings.To) == 0 {
		return nil, errors.Join(problems...)
	}
	built, err := mailNotifiers(settings)
	return built, errors.Join(append(problems, err)...)
}

// mailbox completes a local account such as root, which keepalived passes to
// its relay as it is, to an address.
func mailbox(text, host string) string {
	if text == "" || strings.ContainsAny(text, "@ <>\",") {
		return text
	}
	return text + "@" + host
}
