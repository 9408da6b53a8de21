package config

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hacheck/notify"
)

// told is what a webhook with a filter was told.
type told struct {
	notify.Notification
	times int
}

// tell sends a notification through a channel whose filter is given.
func tell(t *testing.T, only string, notification notify.Notification) (told, notify.Notifier) {
	t.Helper()
	var got told
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		got.times++
		if err := json.NewDecoder(request.Body).Decode(&got.Notification); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	c := load(t, "notify:\n  channels:\n    - {type: webhook, proxy: none, url: '"+server.URL+"', only: "+only+"}\n")
	channels, err := c.InForce(MailDefaults{}, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := channels.Notifiers[0].Notify(t.Context(), notification); err != nil {
		t.Errorf("only %s: %v", only, err)
	}
	return got, channels.Notifiers[0]
}

// moment makes the event number n of an instance, or of a group with members.
func moment(n int, name string, previous, state notify.State, members ...string) notify.Event {
	event := notify.Event{
		ID: string(rune('a' + n)), Time: time.Date(2025, 3, 2, 14, 0, n, 0, time.UTC), Host: "lb1",
		Kind: notify.Instance, Name: name, Previous: previous, State: state, Known: true, Members: members,
	}
	if members != nil {
		event.Kind = notify.Group
	}
	return event
}

func notification(story notify.Story, events ...notify.Event) notify.Notification {
	last := len(events) - 1
	return notify.Notification{Story: story, Event: events[last], Earlier: events[:last:last]}
}

func TestOnly(t *testing.T) {
	const master, backup, fault, stop = notify.Master, notify.Backup, notify.Fault, notify.Stop
	failover := notification(notify.Transition,
		moment(0, "VI_1", master, backup), moment(1, "VI_2", master, fault), moment(2, "VG_1", master, fault, "VI_1", "VI_2"))
	flap := notification(notify.Flapping,
		moment(0, "VI_1", master, fault), moment(1, "VI_1", fault, backup), moment(2, "VI_1", backup, master))
	for _, test := range []struct {
		name, only string
		tell       notify.Notification
		want       string // the IDs told
		refusal    string
	}{
		{"all", "{}", failover, "abc", ""},
		{"an instance and its group", "{instances: VI_2}", failover, "bc", ""},
		{"a pattern", "{instances: 'VI_*'}", failover, "abc", ""},
		{"a pattern of the group alone", "{instances: 'VG_*'}", failover, "c", ""},
		{"the last event is not wanted", "{states: BACKUP}", failover, "a", ""},
		{"none is wanted", "{instances: [VI_9, DB_*]}", failover, "", `"VG_1" is not among the instances VI_9, DB_*`},
		{"a severity", "{severity: critical}", failover, "bc", ""},
		{"all conditions count", "{instances: VI_1, severity: critical}", failover, "c", ""},

		{"news are below a warning", "{severity: warning}", notification("", moment(0, "VI_1", backup, master)), "", "info is below the severity warning"},
		{"a state that is not wanted", "{states: [FAULT, STOP]}", notification("", moment(0, "VI_1", backup, master)), "", `"MASTER" is not among the states FAULT, STOP`},
		{"the end of a FAULT", "{states: FAULT}", notification("", moment(0, "VI_1", fault, backup)), "a", ""},
		{"the end of a FAULT is as urgent", "{severity: critical}", notification("", moment(0, "VI_1", fault, master)), "a", ""},
		{"a FAULT that ends in STOP", "{states: FAULT}", notification("", moment(0, "VI_1", fault, stop)), "a", ""},
		{"the end of a FAULT without FAULT", "{states: STOP}", notification("", moment(0, "VI_1", fault, backup)), "", `"BACKUP" is not among the states STOP`},
		{"a priority is no end", "{states: FAULT}", notification("", moment(0, "VI_1", fault, notify.BackupPriority)), "", `"BACKUP_PRIORITY" is not among the states FAULT`},
		{"a reminder", "{states: FAULT, severity: critical}", notification(notify.Reminder, moment(0, "VI_1", fault, fault)), "a", ""},

		{"a flap is told whole, so that its last state is right", "{states: FAULT}", flap, "abc", ""},
		{"a flap that is not wanted", "{states: STOP}", flap, "", `"MASTER" is not among the states STOP`},
		{"the end of a flap", "{states: FAULT, severity: critical}", notification(notify.Settled, moment(0, "VI_1", backup, master)), "a", ""},
		{"the end of another's flap", "{instances: VI_2}", notification(notify.Settled, moment(0, "VI_1", backup, master)), "", `"VI_1" is not among the instances VI_2`},
		{"a summary of several", "{states: FAULT}", notification(notify.Summary,
			moment(0, "VI_1", master, fault), moment(1, "VI_2", backup, master), moment(2, "VI_1", fault, master)), "ac", ""},
		{"a test", "{instances: VI_9, severity: critical}", notification(notify.Test, moment(0, "VI_1", "", master)), "a", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, channel := tell(t, test.only, test.tell)
			ids := ""
			if got.times > 0 {
				for _, event := range got.Events() {
					ids += event.ID
				}
			}
			if ids != test.want || got.times > 1 {
				t.Errorf("told %q in %d messages, want %q", ids, got.times, test.want)
			}
			if ids != "" && got.Story != test.tell.Story {
				t.Errorf("story %q, want %q", got.Story, test.tell.Story)
			}
			reason, skips := "", false
			if skipper, ok := channel.(notify.Skipper); ok {
				reason, skips = skipper.Skips(test.tell)
			} else if test.only != "{}" {
				t.Fatal("the channel does not say what it skips")
			}
			if reason != test.refusal || skips != (test.refusal != "") {
				t.Errorf("skips %v: %q, want %q", skips, reason, test.refusal)
			}
			preview, err := channel.(notify.Previewer).Preview(test.tell)
			if err != nil || strings.HasPrefix(preview, "nothing is sent") != skips || !strings.Contains(preview, test.refusal) {
				t.Errorf("preview %q, %v", preview, err)
			}
		})
	}
}

// A filter takes nothing from the notification it is given.
func TestOnlyLeavesTheNotification(t *testing.T) {
	events := notification("", moment(0, "VI_1", notify.Master, notify.Fault), moment(1, "VI_2", notify.Backup, notify.Master), moment(2, "VI_3", notify.Master, notify.Fault))
	kept, refusal := Only{States: []notify.State{notify.Fault}}.keep(events)
	if refusal != "" || len(kept.Earlier) != 1 || kept.ID != "c" {
		t.Fatalf("kept %+v, %q", kept, refusal)
	}
	if len(events.Earlier) != 2 || events.Earlier[1].Name != "VI_2" || events.ID != "c" {
		t.Errorf("the notification was changed: %+v", events)
	}
}
