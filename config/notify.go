package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/mail"
	"net/url"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"hacheck/notify"
	"hacheck/notify/email"
	"hacheck/notify/journal"
	"hacheck/notify/spool"
	"hacheck/notify/webhook"
)

// ChannelKind is a kind of channel.
type ChannelKind string

// The kinds of channels.
const (
	KindSMTP    ChannelKind = "smtp"
	KindWebhook ChannelKind = "webhook"
	KindJournal ChannelKind = "journald"
)

var channelKinds = []ChannelKind{KindSMTP, KindWebhook, KindJournal}

// Names of the channels that are there without configuration.
const (
	journalChannel = "journald"
	mailChannel    = "mail"
)

// Notify is the notify section.
type Notify struct {
	// Language is that of channels that name none of their own.
	Language notify.Language
	// Budget is how long the hook stays to deliver, from 1 s to 10 min.
	Budget time.Duration
	// MaxAge is how old an event may grow before it is given up; MaxEntries
	// and MaxBytes bound the spool.
	MaxAge     time.Duration
	MaxEntries int
	MaxBytes   int64
	// Channels are the declared ones. Without any, events go to journald and
	// to keepalived.conf's notification_email.
	Channels []*Channel
}

func defaultNotify() Notify {
	return Notify{
		Language: notify.English, Budget: 20 * time.Second,
		MaxAge: 72 * time.Hour, MaxEntries: 10_000, MaxBytes: 256 << 20,
	}
}

func (n *Notify) settings() []setting {
	return []setting{
		{"language", "language of messages", language{&n.Language}},
		{"budget", "how long the hook stays to deliver; what is left is for the next run or 'hacheck deliver'", duration{&n.Budget, time.Second, 10 * time.Minute}},
		{"max_age", "age at which an undelivered event is given up", duration{&n.MaxAge, time.Minute, 720 * time.Hour}},
		{"max_entries", "events the spool holds at most", number{&n.MaxEntries, 10, 1_000_000}},
		{"max_size", "bytes the spool holds at most", size{&n.MaxBytes, 1 << 20, 1 << 40}},
		{"channels", "where messages go; none: journald, and mail by keepalived.conf's notification_email", channelList{n}},
	}
}

// Policy is how patient a delivery is. An attempt has as long as the slowest
// channel wants.
func (n *Notify) Policy() spool.Policy {
	attempt := email.DefaultTimeout
	for _, channel := range n.Channels {
		attempt = max(attempt, channel.SMTP.Timeout, channel.Webhook.Timeout)
	}
	return spool.Policy{
		MaxAge: n.MaxAge, MaxEntries: n.MaxEntries, MaxBytes: n.MaxBytes,
		AttemptTimeout: attempt + time.Second,
	}
}

// Channel is one declared channel. Which fields count depends on Kind.
type Channel struct {
	Name     string
	Kind     ChannelKind
	Language notify.Language
	SMTP     email.Config
	Webhook  webhook.Config

	file         string
	line, column int
}

// newChannel gives a channel of the kind with its defaults. Its language is
// that of the notify section, which may come later in the file.
func newChannel(kind ChannelKind) *Channel {
	return &Channel{
		Name: string(kind), Kind: kind,
		SMTP:    email.Config{TLS: email.StartTLS, Timeout: email.DefaultTimeout},
		Webhook: webhook.Config{Timeout: webhook.DefaultTimeout},
	}
}

func (c *Channel) settings() []setting {
	common := []setting{
		{"name", "name of the channel, for the queue and the log; default: its type", text{&c.Name}},
		{"type", "kind of channel", choice[ChannelKind]{&c.Kind, channelKinds}},
	}
	const hour = time.Hour
	switch c.Kind {
	case KindSMTP:
		mail := &c.SMTP
		return append(common,
			setting{"language", "language of this channel's messages", language{&c.Language}},
			setting{"host", "the mail relay", text{&mail.Host}},
			setting{"port", "its port; 0: 587 with starttls, 465 with tls, else 25", number{&mail.Port, 0, 65535}},
			setting{"tls", "starttls, tls, opportunistic (no login) or none", choice[email.TLSMode]{&mail.TLS, []email.TLSMode{email.StartTLS, email.ImplicitTLS, email.Opportunistic, email.NoTLS}}},
			setting{"server_name", "name the relay's certificate must carry; empty: the host", text{&mail.ServerName}},
			setting{"ca_file", "PEM file of the authorities to trust; empty: the system's", text{&mail.CAFile}},
			setting{"username", "account to log in with; empty: do not log in", text{&mail.Username}},
			setting{"password_file", "file with its password, or the name of a systemd credential", text{&mail.PasswordFile}},
			setting{"auth", "plain, login, cram-md5, scram-sha-1 or scram-sha-256; empty: the best the relay offers", text{&mail.Auth}},
			setting{"allow_clear_auth", "log in without TLS", yesNo{&mail.AllowClearAuth}},
			setting{"from", "sender", text{&mail.From}},
			setting{"to", "recipients", texts{&mail.To}},
			setting{"helo", "name given to the relay; empty: the host's", text{&mail.Helo}},
			setting{"timeout", "time one attempt has", duration{&mail.Timeout, time.Second, hour / 6}})
	case KindWebhook:
		hook := &c.Webhook
		return append(common,
			setting{"language", "language of this channel's messages", language{&c.Language}},
			setting{"url", "where to post", maskedURL{text{&hook.URL}}},
			setting{"url_file", "file with the URL, if it is a secret, or the name of a systemd credential", text{&hook.URLFile}},
			setting{"secret_file", "file with the key that signs requests, or the name of a systemd credential", text{&hook.SecretFile}},
			setting{"headers", "headers to send, by name", maskedByName{textByName{&hook.Headers}}},
			setting{"headers_file", "file with more of them, one 'Name: value' a line", text{&hook.HeadersFile}},
			setting{"ca_file", "PEM file of the authorities to trust; empty: the system's", text{&hook.CAFile}},
			setting{"insecure", "do not verify the certificate", yesNo{&hook.InsecureSkipVerify}},
			setting{"timeout", "time one attempt has", duration{&hook.Timeout, time.Second, hour / 12}})
	default:
		return append(common, setting{"language", "language of this channel's messages", language{&c.Language}})
	}
}

// notifiers builds the channel; a mail channel is one notifier a recipient, so
// that each recipient has an outcome of its own.
func (c *Channel) notifiers(agent string) ([]notify.Notifier, error) {
	switch c.Kind {
	case KindSMTP:
		mail := c.SMTP
		mail.Name, mail.Style.Language = c.Name, c.Language
		return mailNotifiers(mail)
	case KindWebhook:
		hook := c.Webhook
		hook.Name, hook.Style.Language, hook.UserAgent = c.Name, c.Language, agent
		notifier, err := webhook.New(hook)
		if err != nil {
			return nil, err
		}
		return []notify.Notifier{notifier}, nil
	default:
		notifier, err := journal.New(journal.Config{Name: c.Name, Style: notify.Style{Language: c.Language}})
		if err != nil {
			return nil, err
		}
		return []notify.Notifier{notifier}, nil
	}
}

func mailNotifiers(mail email.Config) ([]notify.Notifier, error) {
	// The list as a whole is looked at first, for errors that name its items.
	if _, err := email.New(mail); err != nil {
		return nil, err
	}
	var notifiers []notify.Notifier
	for _, part := range mail.Split() {
		notifier, err := email.New(part)
		if err != nil {
			return nil, err
		}
		notifiers = append(notifiers, notifier)
	}
	return notifiers, nil
}

// channelList is the list of channels.
type channelList struct{ notify *Notify }

func (v channelList) read(r *reader, node *yaml.Node) {
	if node.Kind != yaml.SequenceNode {
		r.fail(node, "begin each channel with '- type: …'", "channels must be a list, not %s", describe(node))
		return
	}
	names := map[string]int{} // of the notifiers built, which are recipients for mail
	for _, item := range node.Content {
		item = resolve(item)
		kind := channelKindOf(r, item)
		if kind == "" {
			continue
		}
		channel := newChannel(kind)
		channel.file, channel.line, channel.column = r.file, item.Line, item.Column
		mistakes := len(r.errors)
		r.section(item, "this "+channel.Name+" channel", channel.settings())
		v.notify.Channels = append(v.notify.Channels, channel)
		if len(r.errors) > mistakes {
			continue
		}
		built, err := channel.notifiers("")
		if err != nil {
			r.fail(item, "", "channel %s: %v", channel.Name, err)
			continue
		}
		for _, notifier := range built {
			if first, taken := names[notifier.Name()]; taken {
				r.fail(item, fmt.Sprintf("the first is on line %d; give each its own name", first), "two channels are named %q", clip(notifier.Name()))
			}
			names[notifier.Name()] = item.Line
		}
	}
}

func channelKindOf(r *reader, node *yaml.Node) ChannelKind {
	if node.Kind != yaml.MappingNode {
		r.fail(node, "begin each channel with '- type: …'", "a channel must be a mapping, not %s", describe(node))
		return ""
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == "type" {
			var kind ChannelKind
			choice[ChannelKind]{&kind, channelKinds}.read(r, resolve(node.Content[i+1]))
			return kind
		}
	}
	r.fail(node, "one of smtp, webhook, journald", "the channel has no type")
	return ""
}

func (v channelList) show() any {
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, channel := range v.notify.Channels {
		list.Content = append(list.Content, showSection(channel.settings()))
	}
	return list
}

// language is a language tag.
type language struct{ to *notify.Language }

func (v language) read(r *reader, node *yaml.Node) {
	value, ok := r.scalar(node)
	if !ok {
		return
	}
	parsed, err := notify.ParseLanguage(value)
	if err != nil {
		r.fail(node, "", "%v", err)
		return
	}
	*v.to = parsed
}
func (v language) show() any { return string(*v.to) }

// maskedURL is a text whose value is a URL with a secret in it, as those of
// chat services are: only scheme and host are shown.
type maskedURL struct{ text }

func (v maskedURL) show() any {
	if *v.to == "" {
		return ""
	}
	parsed, err := url.Parse(*v.to)
	if err != nil || parsed.Host == "" {
		return mask
	}
	return parsed.Scheme + "://" + parsed.Host + "/" + mask
}

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

// Channels are the channels in force.
type Channels struct {
	Notifiers []notify.Notifier
	// Awaited names those that cannot be used now: events wait for them.
	Awaited []string
	// Problem is what keeps some of them from being used; nil if nothing does.
	Problem error
}

// UsesMailDefaults reports whether keepalived.conf's mail settings count.
func (c *Config) UsesMailDefaults() bool { return len(c.Notify.Channels) == 0 }

// InForce builds the declared channels. Without any they are the default ones:
// journald, and mail by keepalived.conf's settings where it has a relay and a
// recipient. The error says that the notify section cannot be used at all.
func (c *Config) InForce(defaults MailDefaults, version string) (Channels, error) {
	if err := c.NotifyErrors(); err != nil {
		return Channels{}, err
	}
	if c.UsesMailDefaults() {
		return c.Defaults(defaults), nil
	}
	var channels Channels
	for _, channel := range c.Notify.Channels {
		built, err := channel.notifiers("hacheck/" + version)
		if err != nil {
			return Channels{}, &Error{File: channel.file, Line: channel.line, Column: channel.column, Message: fmt.Sprintf("channel %s: %v", channel.Name, err)}
		}
		channels.Notifiers = append(channels.Notifiers, built...)
	}
	return channels, nil
}

// Defaults are the channels in force without configuration. What does not work
// in the mail settings of keepalived.conf is left out and told. Without a
// journald on this node, mail alone is enough.
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
	_, err = os.Stat(journal.Socket)
	if toJournal != nil && (len(mail) == 0 || !errors.Is(err, fs.ErrNotExist)) {
		// A node that never had a journald would keep every event for it and
		// give it up in the end although its mail arrived.
		channels.Notifiers = append(channels.Notifiers, toJournal)
	}
	channels.Notifiers = append(channels.Notifiers, mail...)
	return channels
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
