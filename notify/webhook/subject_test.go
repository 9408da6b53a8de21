package webhook

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hacheck/notify"
	"hacheck/notify/notifytest"
)

// change is a transition of an instance, at a number of minutes behind noon.
func change(name string, previous, state notify.State, minute int) notify.Event {
	event := notifytest.Event()
	event.Name, event.Previous, event.State = name, previous, state
	event.Time = noon.Add(time.Duration(minute) * time.Minute)
	began := event.Time.Add(-10 * time.Minute)
	event.PreviousSince = &began
	event.Verdict = nil
	for i := range event.VIPs {
		event.VIPs[i].Presence = notify.Absent
	}
	return event
}

var noon = time.Date(2025, 3, 2, 12, 0, 0, 0, time.UTC)

// failing is the event with a check that fails at that time.
func failing(event notify.Event) notify.Event {
	event.Verdict = &notify.Verdict{Check: "haproxy", Status: "fail", Reason: "down", Time: event.Time}
	return event
}

func planned(event notify.Event) notify.Event {
	event.Maintenance = &notify.Maintenance{Until: event.Time.Add(time.Hour)}
	return event
}

func group(event notify.Event, members ...string) notify.Event {
	event.Kind, event.Members = notify.Group, members
	return event
}

// TestIncidents tells the receivers that keep incidents what can happen to an
// instance, and looks at what they are asked to do. Alerts are named with the
// minutes from noon to their start and end; the attempt is an hour after noon.
func TestIncidents(t *testing.T) {
	since := noon.Add(-3 * time.Hour)
	events := func(story notify.Story, events ...notify.Event) notify.Notification {
		last := len(events) - 1
		return notify.Notification{Story: story, Event: events[last], Earlier: events[:last]}
	}
	const (
		fault, backup, master = notify.Fault, notify.Backup, notify.Master
	)
	for _, test := range []struct {
		name         string
		notification notify.Notification
		pagerduty    string
		alertmanager string
	}{
		{"goes into FAULT", events("", change("VI_1", backup, fault, 0)),
			"trigger VI_1 critical", "VRRPFault critical VI_1 0 to 1500"},
		{"leaves FAULT", events("", change("VI_1", fault, backup, 0)),
			"resolve VI_1", "VRRPFault critical VI_1 -10 to 0"},
		{"leaves FAULT by a stop", events("", change("VI_1", fault, notify.Stop, 0)),
			"resolve VI_1", "VRRPFault critical VI_1 -10 to 0"},
		{"leaves FAULT and takes over", events("", change("VI_1", fault, backup, 0), change("VI_1", backup, master, 1)),
			"resolve VI_1, change VI_1", "VRRPFault critical VI_1 -10 to 0, VRRPTransition info VI_1 1 to 65"},
		{"a short FAULT", events("", change("VI_1", backup, fault, 0), change("VI_1", fault, backup, 1)),
			"resolve VI_1, change VI_1", "VRRPFault critical VI_1 -9 to 1, VRRPTransition info VI_1 1 to 65"},
		{"FAULT again", events(notify.Flapping, change("VI_1", backup, fault, 0), change("VI_1", fault, backup, 1), change("VI_1", backup, fault, 2)),
			"trigger VI_1 critical", "VRRPFault critical VI_1 2 to 1500"},
		{"takes over", events("", change("VI_1", backup, master, 0)),
			"change VI_1", "VRRPTransition info VI_1 0 to 65"},
		{"takes over with a check that fails", events("", failing(change("VI_1", backup, master, 0))),
			"trigger VI_1 critical", "VRRPTransition critical VI_1 0 to 65"},
		{"gives up", events("", change("VI_1", master, backup, 0)),
			"resolve VI_1, change VI_1", "VRRPTransition warning VI_1 0 to 65"},
		{"a pseudo state", events("", change("VI_1", master, notify.MasterPriority, 0)),
			"change VI_1", "VRRPTransition info VI_1 0 to 65"},
		{"FAULT that lasts", func() notify.Notification {
			n := events(notify.Reminder, change("VI_1", fault, fault, 0))
			n.Since = &since
			return n
		}(), "trigger VI_1 critical", "VRRPFault critical VI_1 -180 to 1500"},
		{"FAULT that is planned", events("", planned(change("VI_1", master, fault, 0))),
			"change VI_1", "VRRPTransition LEVEL VI_1 0 to 65"},
		{"FAULT that is planned and lasts", events(notify.Reminder, planned(change("VI_1", fault, fault, 0))),
			"change VI_1", "VRRPTransition LEVEL VI_1 0 to 65"},
		{"planned FAULT that outlasts the plan", events(notify.Summary, planned(change("VI_1", master, fault, 0))),
			"trigger VI_1 critical", "VRRPFault critical VI_1 0 to 1500"},
		{"two instances", events("", change("VI_1", backup, fault, 0), change("VI_2", fault, backup, 1)),
			"trigger VI_1 critical, resolve VI_2", "VRRPFault critical VI_1 0 to 1500, VRRPFault critical VI_2 -9 to 1"},
		{"one takes over and one goes into FAULT", events("", change("VI_1", backup, master, 0), change("VI_2", backup, fault, 1)),
			"trigger VI_2 critical, change VI_1", "VRRPTransition info VI_1 0 to 65, VRRPFault critical VI_2 1 to 1500"},
		{"a group and its members", events("", change("VI_1", backup, fault, 0), change("VI_2", backup, fault, 0), group(change("G", backup, fault, 0), "VI_1", "VI_2")),
			"trigger G critical", "VRRPFault critical VI_1 0 to 1500, VRRPFault critical VI_2 0 to 1500, VRRPFault critical G 0 to 1500"},
		{"a group and its members recover", events("", change("VI_1", fault, backup, 0), group(change("G", fault, backup, 0), "VI_1")),
			"resolve VI_1, resolve G", "VRRPFault critical VI_1 -10 to 0, VRRPFault critical G -10 to 0"},
		{"a test", events(notify.Test, change("VI_1", "", fault, 0)),
			"trigger test info, resolve test", "HacheckTest info VI_1 0 to 65"},
		{"the clock was ahead", events("", change("VI_1", fault, backup, 90)),
			"resolve VI_1", "VRRPFault critical VI_1 60 to 60"},
		{"the clock was far ahead", events("", change("VI_1", backup, fault, 9000)),
			"trigger VI_1 critical", "VRRPFault critical VI_1 1500 to 1500"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := pagerdutyStory(t, test.notification); got != test.pagerduty {
				t.Errorf("pagerduty: %s, want %s", got, test.pagerduty)
			}
			want := strings.ReplaceAll(test.alertmanager, "LEVEL", string(test.notification.Severity()))
			if got := alertmanagerStory(t, test.notification); got != want {
				t.Errorf("alertmanager: %s, want %s", got, want)
			}
		})
	}
}

func pagerdutyStory(t *testing.T, notification notify.Notification) string {
	posts, err := pagerdutyPosts(tell(notification))
	if err != nil {
		t.Fatal(err)
	}
	var story []string
	for _, post := range posts {
		doc := shape[docPagerDuty](t, post.body)
		_, name, _ := strings.Cut(doc.DedupKey, "lb1.example.com/")
		name = name[strings.LastIndexByte(name, '/')+1:]
		action := doc.Action
		switch {
		case post.path == "/v2/change/enqueue" && doc.Action == "" && doc.Payload.Severity == "":
			action, name = "change", doc.Payload.Component
		case post.path != "/v2/enqueue":
			t.Errorf("%s gets %s", post.path, post.body)
		}
		story = append(story, strings.TrimSpace(action+" "+name+" "+doc.Payload.Severity))
	}
	return strings.Join(story, ", ")
}

func alertmanagerStory(t *testing.T, notification notify.Notification) string {
	n := tell(notification)
	n.now = noon.Add(time.Hour)
	posts, err := alertmanagerPosts(n)
	if err != nil || len(posts) != 1 {
		t.Fatalf("%d posts, error %v", len(posts), err)
	}
	var story []string
	for _, alert := range shape[[]docAlert](t, posts[0].body) {
		story = append(story, fmt.Sprintf("%s %s %s%s %g to %g", alert.Labels["alertname"], alert.Labels["severity"],
			alert.Labels["vrrp_instance"], alert.Labels["vrrp_sync_group"],
			alert.StartsAt.Sub(noon).Minutes(), alert.EndsAt.Sub(noon).Minutes()))
	}
	return strings.Join(story, ", ")
}

// TestDedupKey holds keys to PagerDuty's limit and apart from each other.
func TestDedupKey(t *testing.T) {
	long := strings.Repeat("长", 200)
	var keys []string
	for _, event := range []notify.Event{
		{Host: "a", Kind: notify.Instance, Name: "V"}, {Host: "a", Kind: notify.Group, Name: "V"}, {Host: "b", Kind: notify.Instance, Name: "V"},
		{Host: "a", Kind: notify.Instance, Name: long + "1"}, {Host: "a", Kind: notify.Instance, Name: long + "2"},
	} {
		key := dedupKey(notify.Notification{Event: event}, event)
		if len(key) > 255 || slices.Contains(keys, key) {
			t.Errorf("%q has %d bytes, others are %q", key, len(key), keys)
		}
		keys = append(keys, key)
		event.State, event.ID, event.Time = notify.Fault, "other", noon
		if again := dedupKey(notify.Notification{Event: event}, event); again != key {
			t.Errorf("key is %q first and %q then", key, again)
		}
	}
}

// TestOneIsRefused lets PagerDuty refuse the first of two events: the second
// is posted all the same, under a key of its own, and the refusal is told.
func TestOneIsRefused(t *testing.T) {
	for _, test := range []struct {
		status    int
		requests  int
		permanent bool
	}{{400, 2, true}, {500, 1, false}, {202, 2, false}} {
		r := receive(t, test.status, `{"status":"success"}`)
		err := find(t, PagerDuty).channel(t, r.URL).Notify(t.Context(), failover())
		if (err == nil) != (test.status == 202) || notify.IsPermanent(err) != test.permanent || len(r.requests) != test.requests {
			t.Errorf("%d: %v after %d requests", test.status, err, len(r.requests))
		}
		if len(r.requests) == 2 {
			first, second := r.requests[0].Header.Get("Idempotency-Key"), r.requests[1].Header.Get("Idempotency-Key")
			if first != failover().ID || second != failover().ID+"-2" {
				t.Errorf("Idempotency-Keys are %q and %q", first, second)
			}
		}
	}
}
