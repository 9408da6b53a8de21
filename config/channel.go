package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"hacheck/notify"
	"hacheck/notify/email"
	"hacheck/notify/exec"
	"hacheck/notify/journal"
	"hacheck/notify/spool"
	"hacheck/notify/webhook"
)

// Channel is one declared channel. Which of its transport's fields count depends
// on Kind.
type Channel struct {
	Name string
	Kind ChannelKind
	// Language is that of its messages, Template its own words, and Only which
	// events it wants.
	Language notify.Language
	Template Template
	Only     Only
	// RateLimit is how many messages it takes in what time; a Count of 0 means
	// any number.
	RateLimit spool.Limit

	SMTP    email.Config
	Webhook webhook.Config
	Journal journal.Config
	Exec    exec.Config

	// names are those of its notifiers: mail has one a recipient.
	names        []string
	file         string
	line, column int
}

// ChannelKind is a type of channel: smtp, journald, exec, webhook, or the name
// of a webhook's preset.
type ChannelKind string

// The types of channels that are no preset.
const (
	KindSMTP    ChannelKind = "smtp"
	KindJournal ChannelKind = "journald"
	KindExec    ChannelKind = "exec"
	KindWebhook ChannelKind = "webhook"
)

// channelKind is what one type of channel has of its own.
type channelKind struct {
	name     ChannelKind
	doc      string
	settings func(*Channel) []setting
	// build makes the notifiers with the channel's name and style in them.
	build func(c *Channel, style notify.Style, agent string) ([]notify.Notifier, error)
}

// channelKinds are the types of channels in the order of the documentation.
func channelKinds() []channelKind {
	all := []channelKind{
		{KindSMTP, "mail through a relay", (*Channel).mailSettings, (*Channel).buildMail},
		{KindJournal, "this node's journal; it gets every event at once and alone", (*Channel).journalSettings, (*Channel).buildJournal},
		{KindExec, "a program that gets the message as JSON on its standard input", (*Channel).execSettings, (*Channel).buildExec},
	}
	for _, receiver := range receivers() {
		all = append(all, channelKind{receiver.kind, receiver.doc, receiver.settings, (*Channel).buildWebhook})
	}
	return all
}

func channelKindNames() []ChannelKind {
	var names []ChannelKind
	for _, kind := range channelKinds() {
		names = append(names, kind.name)
	}
	return names
}

// channelKind finds what the channel's type has.
func (c *Channel) channelKind() channelKind {
	all := channelKinds()
	return all[slices.IndexFunc(all, func(kind channelKind) bool { return kind.name == c.Kind })]
}

// newChannel gives a channel of the type with its defaults. Its language is
// that of the notify section, which may come later in the file.
func newChannel(kind ChannelKind) *Channel {
	channel := &Channel{
		Name: string(kind), Kind: kind,
		Only:    Only{Severity: notify.Info},
		SMTP:    email.Config{TLS: email.StartTLS, Timeout: email.DefaultTimeout},
		Webhook: webhook.Config{Preset: webhook.Preset(kind), Timeout: webhook.DefaultTimeout},
		Journal: journal.Config{Syslog: journal.Syslog, Identifier: journal.Identifier, Timeout: journal.DefaultTimeout},
		Exec:    exec.Config{Timeout: exec.DefaultTimeout},
	}
	if kind == KindWebhook {
		channel.Webhook.Preset = webhook.Generic
	}
	// The types that are no preset have no limit.
	channel.RateLimit.Count, channel.RateLimit.Per = channel.Webhook.Preset.Limit()
	return channel
}

// settings are first what names the channel, then what its type has of its own,
// then what shapes its messages.
func (c *Channel) settings() []setting {
	const naming = 2
	common := c.commonSettings()
	return slices.Concat(common[:naming], c.channelKind().settings(c), common[naming:])
}

func (c *Channel) commonSettings() []setting {
	return []setting{
		{"name", "name of the channel, for the queue and the log; default: its type", label{text{&c.Name}}},
		{"type", "type of channel", choice[ChannelKind]{&c.Kind, channelKindNames()}},
		{"language", "language of its messages; default: that of the notify section", language{&c.Language}},
		{"template", "its own words", templateSection{group{"template", &c.Template}, &c.Template}},
		{"only", "which events it is told", group{"only", &c.Only}},
		{"rate_limit", "most messages in a minute, or in another time as 5/10s; 0: any number; default: what the service takes", rate{&c.RateLimit}},
	}
}

func (c *Channel) mailSettings() []setting {
	mail := &c.SMTP
	return []setting{
		{"host", "the mail relay; required", text{&mail.Host}},
		{"port", "its port; 0: 587 with starttls, 465 with tls, else 25", number{&mail.Port, 0, 65535}},
		{"tls", "how the connection is protected; opportunistic checks no certificate and does not log in", choice[email.TLSMode]{&mail.TLS, []email.TLSMode{email.StartTLS, email.ImplicitTLS, email.Opportunistic, email.NoTLS}}},
		{"server_name", "name the relay's certificate must carry; empty: the host", text{&mail.ServerName}},
		{"ca_file", "PEM file of the authorities to trust; empty: the system's", text{&mail.CAFile}},
		{"username", "account to log in with; empty: do not log in", text{&mail.Username}},
		{"password_file", "file with its password, or the name of a systemd credential", text{&mail.PasswordFile}},
		{"auth", "plain, login, cram-md5, scram-sha-1 or scram-sha-256; empty: the best the relay offers", text{&mail.Auth}},
		{"allow_clear_auth", "log in without TLS", yesNo{&mail.AllowClearAuth}},
		{"from", "sender; required", text{&mail.From}},
		{"to", "recipients; required", texts{&mail.To}},
		{"helo", "name given to the relay; empty: the host's", text{&mail.Helo}},
		{"timeout", "time one attempt has", duration{&mail.Timeout, time.Second, email.MaxTimeout}},
	}
}

func (c *Channel) journalSettings() []setting {
	return []setting{
		{"syslog", "socket of the syslog daemon that takes what journald does not; none: journald alone", text{&c.Journal.Syslog}},
		{"identifier", "identifier of the entries, and syslog's tag", text{&c.Journal.Identifier}},
		{"timeout", "time one attempt has", duration{&c.Journal.Timeout, 10 * time.Millisecond, time.Minute}},
	}
}

func (c *Channel) execSettings() []setting {
	return []setting{
		{"command", "absolute path of a program, then its arguments; no shell reads them; required", maskedArguments{texts{&c.Exec.Command}}},
		{"timeout", "time one run has", duration{&c.Exec.Timeout, time.Second, exec.MaxTimeout}},
	}
}

// receiver is a kind of webhook: which of a webhook's settings it has, and what
// they mean to it. All have the ones about HTTP.
type receiver struct {
	kind ChannelKind
	doc  string
	// keys name its own settings, in the order they are shown: those of the map in
	// settings, where "root" and "members" are the url and the urls of the file.
	keys []string
	// token says what its token_file holds; empty if it has none.
	token string
}

func receivers() []receiver {
	hook, signed := []string{"url", "url_file"}, []string{"url", "url_file", "secret_file"}
	vendor := []string{"token_file", "root"}
	return []receiver{
		{KindWebhook, "hacheck's own JSON, to any URL", signed, ""},
		{"dingtalk", "a bot in a DingTalk group", signed, ""},
		{"wecom", "a bot in a WeCom group", hook, ""},
		{"feishu", "a bot in a Feishu group", signed, ""},
		{"lark", "a bot in a Lark group", signed, ""},
		{"slack", "an incoming webhook of Slack, or of what imitates it", hook, ""},
		{"teams", "a workflow of Microsoft Teams", hook, ""},
		{"telegram", "a bot in a Telegram chat", []string{"token_file", "chat_id", "root"}, "the bot's token"},
		{"discord", "a webhook of a Discord channel", hook, ""},
		{"pagerduty", "PagerDuty's Events API v2", vendor, "the integration's routing key"},
		{"ntfy", "ntfy.sh or your own ntfy", []string{"topic", "topic_file", "token_file", "root"}, "an access token, where the server wants one"},
		{"bark", "Bark on an iPhone", vendor, "the device key"},
		{"serverchan", "ServerChan", vendor, "the SendKey"},
		{"alertmanager", "the members of a Prometheus Alertmanager", []string{"members", "labels"}, ""},
	}
}

func (k receiver) settings(c *Channel) []setting {
	hook := &c.Webhook
	all := map[string]setting{
		"url":         {"url", "where to post; shown without its path, which may be a secret", maskedURL{text{&hook.URL}}},
		"url_file":    {"url_file", "file with the URL, or the name of a systemd credential", text{&hook.URLFile}},
		"root":        {"url", "root of the server; empty: the vendor's own", maskedRoot{text{&hook.URL}}},
		"members":     {"urls", "root of every member, each of which is told; required", maskedURLs{texts{&hook.URLs}}},
		"secret_file": {"secret_file", "file with the key that signs requests, or the name of a systemd credential", text{&hook.SecretFile}},
		"token_file":  {"token_file", "file with " + k.token + ", or the name of a systemd credential", text{&hook.TokenFile}},
		"chat_id":     {"chat_id", "number of the chat, or @name of a public channel; required", text{&hook.ChatID}},
		"topic":       {"topic", "the topic", text{&hook.Topic}},
		"topic_file":  {"topic_file", "file with the topic, which is a secret on a public server, or the name of a systemd credential", text{&hook.TopicFile}},
		"labels":      {"labels", "labels to add to each alert", textByName{&hook.Labels}},
	}
	var own []setting
	for _, key := range k.keys {
		own = append(own, all[key])
	}
	return append(own,
		setting{"headers", "headers to send, by name", maskedByName{textByName{&hook.Headers}}},
		setting{"headers_file", "file with more of them, one 'Name: value' a line, or the name of a systemd credential", text{&hook.HeadersFile}},
		setting{"proxy", "http, https or socks5 URL of a proxy; none: go directly; empty: HTTPS_PROXY, HTTP_PROXY and NO_PROXY", maskedRoot{text{&hook.Proxy}}},
		setting{"ca_file", "PEM file of the authorities to trust; empty: the system's", text{&hook.CAFile}},
		setting{"insecure", "do not verify the certificate", yesNo{&hook.InsecureSkipVerify}},
		setting{"timeout", "time one attempt has", duration{&hook.Timeout, time.Second, webhook.MaxTimeout}})
}

// fillIn gives what is left out, and depends on other settings, the value in
// force.
func (c *Channel) fillIn() {
	if c.SMTP.Port == 0 {
		c.SMTP.Port = c.SMTP.TLS.Port()
	}
	if hook := &c.Webhook; hook.URL == "" {
		hook.URL = hook.Preset.Home()
	}
}

// notifiers builds the channel in a style.
func (c *Channel) notifiers(style notify.Style, agent string) ([]notify.Notifier, error) {
	built, err := c.channelKind().build(c, style, agent)
	if err != nil {
		return nil, err
	}
	for i := range built {
		built[i] = filtered(built[i], c.Only)
	}
	return built, nil
}

// buildMail makes one notifier a recipient, so that each recipient has an
// outcome of its own.
func (c *Channel) buildMail(style notify.Style, _ string) ([]notify.Notifier, error) {
	mail := c.SMTP
	mail.Name, mail.Style = c.Name, style
	return mailNotifiers(mail)
}

func mailNotifiers(mail email.Config) ([]notify.Notifier, error) {
	// The list as a whole is looked at first, for errors that name its items.
	if _, err := email.New(mail); err != nil {
		return nil, err
	}
	return each(mail.Split(), email.New)
}

func (c *Channel) buildJournal(style notify.Style, _ string) ([]notify.Notifier, error) {
	log := c.Journal
	log.Name, log.Style = c.Name, style
	return each([]journal.Config{log}, journal.New)
}

func (c *Channel) buildExec(style notify.Style, _ string) ([]notify.Notifier, error) {
	program := c.Exec
	program.Name, program.Style = c.Name, style
	return each([]exec.Config{program}, exec.New)
}

// buildWebhook makes one notifier a member of an Alertmanager cluster.
func (c *Channel) buildWebhook(style notify.Style, agent string) ([]notify.Notifier, error) {
	hook := c.Webhook
	hook.Name, hook.Style, hook.UserAgent = c.Name, style, agent
	if hook.Preset == webhook.Alertmanager && len(hook.URLs) == 0 {
		return nil, errors.New("urls: is missing; name every member, as they do not tell each other")
	}
	return each(hook.Split(), webhook.New)
}

// each builds a notifier of each configuration.
func each[C any, N notify.Notifier](configs []C, build func(C) (N, error)) ([]notify.Notifier, error) {
	var notifiers []notify.Notifier
	for _, config := range configs {
		notifier, err := build(config)
		if err != nil {
			return nil, err
		}
		notifiers = append(notifiers, notifier)
	}
	return notifiers, nil
}

// secretFiles are the files with what must not stand in the configuration; an
// empty one is none.
func (c *Channel) secretFiles() []string {
	return append(c.Webhook.SecretFiles(), c.SMTP.PasswordFile)
}

// timeout is what one attempt has.
func (c *Channel) timeout() time.Duration {
	switch c.Kind {
	case KindSMTP:
		return c.SMTP.Timeout
	case KindJournal:
		return c.Journal.Timeout
	case KindExec:
		return c.Exec.Timeout
	default:
		return c.Webhook.Timeout
	}
}

// mistake is one at a place in the channel.
func (c *Channel) mistake(line, column int, err error) *Error {
	return &Error{File: c.file, Line: line, Column: column, Message: fmt.Sprintf("channel %s: %v", clip(c.Name), err)}
}

// maxChannels is far above what anybody needs. A check reads the file once a
// second, and a line of aliases can name one channel a hundred thousand times.
const maxChannels = 100

// channelList is the list of channels.
type channelList struct{ notify *Notify }

func (v channelList) read(r *reader, node *yaml.Node) {
	if node.Kind != yaml.SequenceNode {
		r.fail(node, "begin each channel with '- type: …'", "channels must be a list, not %s", describe(node))
		return
	}
	if len(node.Content) > maxChannels {
		r.fail(node, "", "%d channels are more than the %d that a node can have", len(node.Content), maxChannels)
		return
	}
	lines := map[string]int{} // by the names of the notifiers built
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
		channel.fillIn()
		v.notify.Channels = append(v.notify.Channels, channel)
		if len(r.errors) > mistakes {
			continue
		}
		built, err := channel.notifiers(notify.Style{}, "")
		if err != nil {
			r.fail(placeOf(err, item), "", "channel %s: %v", clip(channel.Name), err)
			continue
		}
		for _, notifier := range built {
			name := notifier.Name()
			if first, taken := lines[name]; taken {
				r.fail(item, fmt.Sprintf("the first is on line %d; give each its own name", first), "two channels are named %q", clip(name))
			}
			lines[name] = item.Line
			channel.names = append(channel.names, name)
		}
	}
}

// placeOf finds where in a channel an error is that begins with the name of a
// setting; the channel as a whole if that setting is not written.
func placeOf(err error, channel *yaml.Node) *yaml.Node {
	field := err.Error()
	if end := strings.IndexAny(field, ":[ "); end >= 0 {
		field = field[:end]
	}
	for i := 0; i+1 < len(channel.Content); i += 2 {
		if channel.Content[i].Value == field {
			return channel.Content[i+1]
		}
	}
	return channel
}

func channelKindOf(r *reader, node *yaml.Node) ChannelKind {
	if node.Kind != yaml.MappingNode {
		r.fail(node, "begin each channel with '- type: …'", "a channel must be a mapping, not %s", describe(node))
		return ""
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == "type" {
			var kind ChannelKind
			choice[ChannelKind]{&kind, channelKindNames()}.read(r, resolve(node.Content[i+1]))
			return kind
		}
	}
	r.fail(node, "one of "+strings.Join(wordsOf(channelKindNames()), ", "), "the channel has no type")
	return ""
}

func (v channelList) show() any {
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, channel := range v.notify.Channels {
		list.Content = append(list.Content, withoutEmpty(showSection(channel.settings())))
	}
	return list
}

// withoutEmpty leaves out of a mapping and those within it what is empty, which
// in a channel is the same as not to write it.
func withoutEmpty(mapping *yaml.Node) *yaml.Node {
	all := mapping.Content
	mapping.Content = nil
	for i := 0; i+1 < len(all); i += 2 {
		val := all[i+1]
		if val.Kind == yaml.MappingNode {
			val = withoutEmpty(val)
		}
		if val.Value != "" || len(val.Content) > 0 {
			mapping.Content = append(mapping.Content, all[i], val)
		}
	}
	return mapping
}

func (v channelList) form() Form { return Form{Type: "list of channels"} }
