package config

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"hacheck/notify"
)

// Only says which events a channel wants. What is empty wants all.
type Only struct {
	// Instances are names or patterns (path.Match) of instances and sync groups.
	// A group is also meant by the name of a member.
	Instances []string
	// States are those an instance must have entered. FAULT means its end too,
	// so that who was told of a FAULT is told that it is over.
	States []notify.State
	// Severity is the least urgency. The end of a FAULT counts as much as the
	// FAULT.
	Severity notify.Level
}

func (o *Only) settings() []setting {
	return []setting{
		{"instances", "names or patterns of the instances and sync groups to tell of, a group also by a member's name; empty: all", patterns{texts{&o.Instances}}},
		{"states", "states to tell of; FAULT means its end too; empty: all", choices[notify.State]{&o.States, states()}},
		{"severity", "least urgency to tell of; the end of a FAULT counts as much as the FAULT", choice[notify.Level]{&o.Severity, levels()}},
	}
}

func states() []notify.State {
	return []notify.State{
		notify.Master, notify.Backup, notify.Fault, notify.Stop, notify.Deleted,
		notify.MasterRxLowerPri, notify.MasterPriority, notify.BackupPriority,
	}
}

// levels are in rising order.
func levels() []notify.Level {
	return []notify.Level{notify.Info, notify.Warning, notify.Critical}
}

// all reports whether nothing is left out.
func (o Only) all() bool {
	return len(o.Instances) == 0 && len(o.States) == 0 && slices.Index(levels(), o.Severity) <= 0
}

// refusal says why an event is not wanted; "" if it is.
func (o Only) refusal(event notify.Event) string {
	if !o.about(event) {
		return fmt.Sprintf("%q is not among the instances %s", clip(event.Name), strings.Join(o.Instances, ", "))
	}
	ended := endsFault(event)
	if len(o.States) > 0 && !slices.Contains(o.States, event.State) && !(ended && slices.Contains(o.States, notify.Fault)) {
		return fmt.Sprintf("%q is not among the states %s", clip(string(event.State)), strings.Join(wordsOf(o.States), ", "))
	}
	severity := notify.Severity(event)
	if ended {
		severity = notify.Critical
	}
	if slices.Index(levels(), severity) < slices.Index(levels(), o.Severity) {
		return fmt.Sprintf("%s is below the severity %s", severity, o.Severity)
	}
	return ""
}

// about reports whether an event is about one of the instances.
func (o Only) about(event notify.Event) bool {
	if len(o.Instances) == 0 {
		return true
	}
	names := []string{event.Name}
	if event.Kind == notify.Group {
		names = append(names, event.Members...)
	}
	for _, pattern := range o.Instances {
		for _, name := range names {
			if matched, err := path.Match(pattern, name); err == nil && matched {
				return true
			}
		}
	}
	return false
}

// endsFault reports whether an event is the end of a FAULT.
func endsFault(event notify.Event) bool {
	switch event.State {
	case notify.Fault, notify.MasterRxLowerPri, notify.MasterPriority, notify.BackupPriority:
		return false
	default:
		return event.Previous == notify.Fault
	}
}

// keep gives what a channel wants of a notification, or why it wants nothing of
// it. All events of an instance are kept if one of them is wanted, so that what
// is said about the instance is how it stands. That a flapping is over is told
// of every instance the channel is for: whether it was told that it began
// cannot be seen from what happened since.
func (o Only) keep(notification notify.Notification) (kept notify.Notification, refusal string) {
	if notification.Story == notify.Test {
		return notification, ""
	}
	type subject struct {
		kind notify.Kind
		name string
	}
	wanted := map[subject]bool{}
	events := notification.Events()
	for _, event := range events {
		why := o.refusal(event)
		if why == "" || notification.Story == notify.Settled && o.about(event) {
			wanted[subject{event.Kind, event.Name}] = true
		} else {
			refusal = why
		}
	}
	events = slices.DeleteFunc(events, func(event notify.Event) bool { return !wanted[subject{event.Kind, event.Name}] })
	if len(events) == 0 {
		return notification, refusal
	}
	last := len(events) - 1
	notification.Event, notification.Earlier = events[last], events[:last:last]
	return notification, ""
}

// filter passes on to a channel only what it wants.
type filter struct {
	notify.Notifier
	only Only
}

var _ notify.Skipper = filter{}

// filtered puts the filter before a channel. The channel's own Preview stays to
// be seen.
func filtered(notifier notify.Notifier, only Only) notify.Notifier {
	if only.all() {
		return notifier
	}
	if previewer, ok := notifier.(notify.Previewer); ok {
		return previewFilter{filter{notifier, only}, previewer}
	}
	return filter{notifier, only}
}

// Notify delivers what the channel wants. Where it wants nothing, nothing is
// attempted and all is well.
func (f filter) Notify(ctx context.Context, notification notify.Notification) error {
	kept, refusal := f.only.keep(notification)
	if refusal != "" {
		return nil
	}
	return f.Notifier.Notify(ctx, kept)
}

// Skips reports whether the channel wants nothing of a notification, and why.
func (f filter) Skips(notification notify.Notification) (reason string, skip bool) {
	_, refusal := f.only.keep(notification)
	return refusal, refusal != ""
}

// Warnings are those of the channel.
func (f filter) Warnings() []string {
	if warner, ok := f.Notifier.(interface{ Warnings() []string }); ok {
		return warner.Warnings()
	}
	return nil
}

// previewFilter is a filter before a channel that can show what it would send.
type previewFilter struct {
	filter
	previewer notify.Previewer
}

// Preview shows what the channel would get, or that it would get nothing.
func (f previewFilter) Preview(notification notify.Notification) (string, error) {
	kept, refusal := f.only.keep(notification)
	if refusal != "" {
		return "nothing is sent: " + refusal + "\n", nil
	}
	return f.previewer.Preview(kept)
}
