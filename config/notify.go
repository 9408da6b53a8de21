package config

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"hacheck/notify"
	"hacheck/notify/email"
	"hacheck/notify/secret"
	"hacheck/notify/spool"
)

// Notify is the notify section.
type Notify struct {
	// Language is that of channels that name none of their own.
	Language notify.Language
	// RunbookURL stands in every message; empty for none.
	RunbookURL string

	// Grouping is how events become messages.
	Grouping spool.Grouping
	// Reminder is after how long a FAULT that lasts is told again; 0 for never.
	Reminder time.Duration

	// Budget is how long the hook stays to deliver, from 1 s to 10 min, counted anew
	// while other hooks leave events to it. By default it sees the end of a flap.
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
		Language: notify.English,
		Grouping: spool.Grouping{
			Wait: 500 * time.Millisecond, Interval: 10 * time.Second,
			FlapThreshold: 4, FlapWindow: time.Minute, FlapSettle: 25 * time.Second, FlapNotice: 10 * time.Minute,
		},
		Reminder: 4 * time.Hour,
		Budget:   30 * time.Second,
		MaxAge:   72 * time.Hour, MaxEntries: 10_000, MaxBytes: 256 << 20,
	}
}

func (n *Notify) settings() []setting {
	const hour, day = time.Hour, 24 * time.Hour
	events := &n.Grouping
	return []setting{
		{"language", "language of messages", language{&n.Language}},
		{"runbook_url", "link in every message to your own instructions", link{text{&n.RunbookURL}}},
		{"group_wait", "how long a message waits for what belongs to it, such as the other instances of a failover", duration{&events.Wait, 0, 10 * time.Second}},
		{"group_interval", "least time between two messages about one instance", duration{&events.Interval, 0, 5 * time.Minute}},
		{"flap_threshold", "transitions within flap_window from which an instance flaps: it is told once and then held back; with fewer, what would be a third message within flap_window waits for flap_settle", number{&events.FlapThreshold, 2, 100}},
		{"flap_window", "time in which they are counted", duration{&events.FlapWindow, time.Second, hour}},
		{"flap_settle", "time without a transition after which the flapping is over, which is told; longer than flap_window / (flap_threshold - 1), the slowest pace of a flap", duration{&events.FlapSettle, time.Second, hour}},
		{"flap_notice", "how often a flapping that goes on is told again", duration{&events.FlapNotice, 10 * time.Second, day}},
		{"reminder", "time after which a FAULT that lasts is told again; 0s: never", orZero{duration{&n.Reminder, time.Minute, 30 * day}}},
		{"budget", "how long the hook stays to deliver, longer while other hooks leave events to it; what is left is for the next run or 'hacheck deliver'", duration{&n.Budget, time.Second, 10 * time.Minute}},
		{"max_age", "age at which an undelivered event is given up", duration{&n.MaxAge, time.Minute, 30 * day}},
		{"max_entries", "events the spool holds at most", number{&n.MaxEntries, 10, 1_000_000}},
		{"max_size", "bytes the spool holds at most", size{&n.MaxBytes, 1 << 20, 1 << 40}},
		{"channels", "where messages go; none: journald, and mail by keepalived.conf's notification_email", channelList{n}},
	}
}

// Policy is how events become messages and how patient their delivery is. An
// attempt has as long as the slowest channel wants.
func (n *Notify) Policy() spool.Policy {
	grouping := n.Grouping
	policy := spool.Policy{
		MaxAge: n.MaxAge, MaxEntries: n.MaxEntries, MaxBytes: n.MaxBytes,
		Grouping: &grouping, Reminder: n.Reminder, Limits: map[string]spool.Limit{},
	}
	attempt := email.DefaultTimeout
	for _, channel := range n.Channels {
		attempt = max(attempt, channel.timeout())
		for _, name := range channel.names {
			if channel.RateLimit.Count > 0 {
				policy.Limits[name] = channel.RateLimit
			}
			if channel.Kind == KindJournal {
				policy.Immediate = append(policy.Immediate, name)
			}
		}
	}
	if len(n.Channels) == 0 {
		policy.Immediate = []string{journalChannel}
	}
	policy.AttemptTimeout = attempt + time.Second
	return policy
}

// Channels are the channels in force.
type Channels struct {
	Notifiers []notify.Notifier
	// Awaited names those that cannot be used now: events wait for them.
	Awaited []string
	// Elsewhere names the Notifiers that only another process can use, because
	// theirs is a systemd credential which this one was not given.
	Elsewhere []string
	// Problem is what keeps some of them from being used, or from being used as
	// they are meant to be; nil if nothing does.
	Problem error
}

// meantChannels stands among those awaited for channels that are not known, in a
// form that no channel's name has.
const meantChannels = "(those meant)"

// UsesMailDefaults reports whether keepalived.conf's mail settings count.
func (c *Config) UsesMailDefaults() bool { return len(c.Notify.Channels) == 0 }

// InForce builds the declared channels. Without any they are the default ones:
// journald, and mail by keepalived.conf's settings where it has a relay and a
// recipient. The error says that the notify section cannot be used at all. A
// template that cannot be used is a Problem only: its channel then uses
// hacheck's own words, because an alert in other words is better than none.
//
// Where it is not sure whether others are meant (see ChannelDoubts), the default
// ones are a Problem: they get the events at once, which wait for those meant all
// the same.
func (c *Config) InForce(defaults MailDefaults, version string) (Channels, error) {
	if err := c.NotifyErrors(); err != nil {
		return Channels{}, err
	}
	if c.UsesMailDefaults() {
		channels := c.Defaults(defaults)
		if doubts := c.ChannelDoubts(); doubts != nil {
			channels.Problem = errors.Join(channels.Problem, fmt.Errorf("which channels are meant is not sure: only the default ones are used, and events wait until the configuration is mended:\n%w", doubts))
			channels.Awaited = append(channels.Awaited, meantChannels)
		}
		return channels, nil
	}
	var channels Channels
	for _, channel := range c.Notify.Channels {
		template, problem := channel.Template.load()
		if problem != nil {
			channels.Problem = errors.Join(channels.Problem, channel.mistake(channel.Template.line, channel.Template.column, problem))
		}
		built, err := channel.notifiers(notify.Style{Language: channel.Language, Template: template}, "hacheck/"+version)
		if err != nil {
			return Channels{}, channel.mistake(channel.line, channel.column, err)
		}
		channels.Notifiers = append(channels.Notifiers, built...)
		if slices.ContainsFunc(channel.secretFiles(), secret.Elsewhere) {
			for _, notifier := range built {
				channels.Elsewhere = append(channels.Elsewhere, notifier.Name())
			}
		}
	}
	return channels, nil
}
