package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"hacheck/config"
	"hacheck/keepalived"
	"hacheck/notify"
	"hacheck/notify/spool"
)

// previewBudget bounds building all payloads, which reads files and sends
// nothing.
const previewBudget = 10 * time.Second

// attemptGrace is what a channel gets to notice that its time is over.
const attemptGrace = 250 * time.Millisecond

// skipped gives the reason for which a channel does not send a notification; ""
// if it does.
func skipped(channel notify.Notifier, notification notify.Notification) string {
	if choosy, ok := channel.(notify.Skipper); ok {
		if reason, skip := choosy.Skips(notification); skip {
			return orText(reason, "the channel does not want it")
		}
	}
	return ""
}

// preview is what 'notify --dry-run' says about one channel: one of its fields
// is set.
type preview struct {
	Channel string `json:"channel"`
	Payload string `json:"payload,omitempty"`
	// Skipped says why the channel would not send it, Hidden that it cannot
	// show what it would send.
	Skipped string `json:"skipped,omitempty"`
	Hidden  bool   `json:"hidden,omitempty"`
	Error   string `json:"error,omitempty"`
}

type previews struct {
	Event    notify.Event `json:"event"`
	Channels []preview    `json:"channels"`
}

func (p previews) String() string {
	var text strings.Builder
	for i, shown := range p.Channels {
		if i > 0 {
			text.WriteString("\n")
		}
		fmt.Fprintf(&text, "== %s", printable(shown.Channel))
		switch {
		case shown.Error != "":
			fmt.Fprintf(&text, ": cannot send it: %s", shown.Error)
		case shown.Skipped != "":
			fmt.Fprintf(&text, ": does not send it: %s", shown.Skipped)
		case shown.Hidden:
			text.WriteString(": sends it, and cannot show how")
		default:
			text.WriteString("\n" + strings.TrimRight(shown.Payload, "\n"))
		}
	}
	return text.String()
}

// dryRun prints what every channel would send for a call of keepalived. Nothing
// is written, sent or told to the journal.
func (a *app) dryRun(call keepalived.Event) error {
	event := a.gather(call, a.started)
	a.addChannelDoubts(&event)
	queue, err := spool.OpenReadOnly(a.config.StateDir)
	if err == nil {
		a.addPrevious(queue, &event)
		queue.Close()
	} else if !errors.Is(err, fs.ErrNotExist) {
		event.Notes = append(event.Notes, fmt.Sprintf("The state before is not known: %v.", err))
	}
	ctx, cancel := context.WithTimeout(context.Background(), previewBudget)
	defer cancel()
	channels, err := a.channels(ctx)
	if err != nil {
		return configError(err)
	}
	notification := notify.Notification{Event: event}
	answer := previews{Event: event, Channels: []preview{}}
	failed := 0
	for _, channel := range channels.Notifiers {
		shown := show(ctx, channel, notification)
		if shown.Error != "" {
			failed++
		}
		answer.Channels = append(answer.Channels, shown)
	}
	a.say(answer)
	return failures(failed, counted(failed, "channel")+" cannot send it", channels.Problem)
}

func show(ctx context.Context, channel notify.Notifier, notification notify.Notification) preview {
	shown := preview{Channel: channel.Name()}
	if shown.Skipped = skipped(channel, notification); shown.Skipped != "" {
		return shown
	}
	previewer, ok := channel.(notify.Previewer)
	if !ok {
		shown.Hidden = true
		return shown
	}
	payload, err := lookUp(func() (string, error) { return previewer.Preview(notification) }).wait(ctx)
	if err != nil {
		shown.Error = quoted(err.Error(), 1000)
		return shown
	}
	shown.Payload = payload
	return shown
}

// channels are those in force. The error is about the configuration.
func (a *app) channels(ctx context.Context) (config.Channels, error) {
	var defaults config.MailDefaults
	if a.config.UsesMailDefaults() {
		defaults = a.mailDefaults(ctx)
	}
	return a.config.InForce(defaults, version)
}

// failures ends a command: what says what went wrong on a number of channels,
// problem what went wrong in building them.
func failures(count int, what string, problem error) error {
	if count > 0 {
		problem = errors.Join(problem, errors.New(what))
	}
	if problem == nil {
		return nil
	}
	return &exitError{exitUnhealthy, problem}
}

// trial is what became of a test message on one channel.
type trial struct {
	Channel string        `json:"channel"`
	OK      bool          `json:"ok"`
	Took    time.Duration `json:"took_ns"`
	// Skipped says why nothing was sent; Permanent that no later attempt can
	// mend the error.
	Skipped   string `json:"skipped,omitempty"`
	Error     string `json:"error,omitempty"`
	Permanent bool   `json:"permanent,omitempty"`
}

type trials struct {
	ID       string  `json:"id"`
	Channels []trial `json:"channels"`
}

func (t trials) String() string {
	lines := []string{}
	for _, tried := range t.Channels {
		line := printable(tried.Channel) + ": "
		took := tried.Took.Round(time.Millisecond)
		switch {
		case tried.OK:
			line += fmt.Sprintf("OK (%s)", took)
		case tried.Skipped != "":
			line += "not sent: " + tried.Skipped
		case tried.Permanent:
			line += fmt.Sprintf("failed for good after %s: %s", took, tried.Error)
		default:
			line += fmt.Sprintf("failed after %s, another attempt may succeed: %s", took, tried.Error)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// test sends a test message to every channel, or to the one of this name, side
// by side. It is tried once and not recorded.
func (a *app) test(name string) error {
	ctx, stop := a.untilSignal()
	defer stop()
	channels, err := a.channels(ctx)
	if err != nil {
		return configError(err)
	}
	chosen := channels.Notifiers
	if name != "" {
		if chosen = named(chosen, name); len(chosen) == 0 {
			return usageError("there is no channel %q (there are %s)", name, namesOf(channels.Notifiers))
		}
		// What is wrong with others is not asked for.
		channels.Problem = nil
	}
	if len(chosen) == 0 {
		return failures(0, "", errors.Join(channels.Problem, errors.New("there is no channel to test")))
	}
	notification := a.testNotification(ctx)
	limit := a.config.Notify.Policy().AttemptTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()

	// A channel that is told to end has more to say than that it did not answer.
	waiting, giveUp := context.WithCancel(context.Background())
	defer giveUp()
	stopWaiting := context.AfterFunc(ctx, func() { time.AfterFunc(attemptGrace, giveUp) })
	defer stopWaiting()

	tries := make([]*lookup[time.Duration], len(chosen))
	answer := trials{ID: notification.ID, Channels: make([]trial, len(chosen))}
	for i, channel := range chosen {
		answer.Channels[i].Channel = channel.Name()
		if answer.Channels[i].Skipped = skipped(channel, notification); answer.Channels[i].Skipped != "" {
			continue
		}
		tries[i] = lookUp(func() (time.Duration, error) {
			begun := time.Now()
			err := channel.Notify(ctx, notification)
			return time.Since(begun), err
		})
	}
	failed := 0
	for i, attempt := range tries {
		if attempt == nil {
			continue
		}
		tried := &answer.Channels[i]
		var err error
		if tried.Took, err = attempt.wait(waiting); err != nil {
			tried.Error, tried.Permanent = quoted(err.Error(), 1000), notify.IsPermanent(err)
			failed++
		}
		tried.OK = err == nil
	}
	a.say(answer)
	return failures(failed, fmt.Sprintf("%d of %s failed", failed, counted(len(chosen), "channel")), channels.Problem)
}

// testNotification is news of nothing.
func (a *app) testNotification(ctx context.Context) notify.Notification {
	event := notify.Event{
		ID: spool.NewID(a.started), Time: a.started, Kind: notify.Instance, Name: "test", VIPs: []notify.VIP{},
	}
	event.Host, _ = os.Hostname() // a message without it says so
	ctx, cancel := context.WithTimeout(ctx, mailBudget)
	defer cancel()
	if configuration, err := lookUp(a.keepalivedConfig).wait(ctx); err == nil {
		event.RouterID = configuration.Global.RouterID
	}
	return notify.Notification{Event: event, Story: notify.Test}
}

// named are the channels of a name: a mail channel has one for each recipient,
// NAME/ADDRESS, and NAME means them all.
func named(channels []notify.Notifier, name string) []notify.Notifier {
	var chosen []notify.Notifier
	for _, channel := range channels {
		if channel.Name() == name || strings.HasPrefix(channel.Name(), name+"/") {
			chosen = append(chosen, channel)
		}
	}
	return chosen
}

func namesOf(channels []notify.Notifier) string {
	var names []string
	for _, channel := range channels {
		names = append(names, printable(channel.Name()))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// orText is text, or other in place of an empty one.
func orText(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
