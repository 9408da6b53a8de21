package notifytest

import (
	"strings"
	"time"

	"hacheck/notify"
)

// Event is an event with every field set.
func Event() notify.Event {
	zone := time.FixedZone("CST", 8*60*60)
	priority := 105
	since := time.Date(2025, 3, 1, 9, 0, 0, 0, zone)
	return notify.Event{
		ID:              "01JQ0Z6K9W-lb1-VI-1",
		Time:            time.Date(2025, 3, 2, 14, 5, 6, 789000000, zone),
		Host:            "lb1.example.com",
		RouterID:        "LVS_LB1",
		Kind:            notify.Instance,
		Name:            "VI_1",
		State:           notify.Fault,
		Previous:        notify.Master,
		PreviousSince:   &since,
		Priority:        &priority,
		Known:           true,
		Interface:       "eth0",
		VirtualRouterID: 51,
		VIPs: []notify.VIP{
			{Address: "192.0.2.10", Prefix: 24, Device: "eth0", Instance: "VI_1", Presence: notify.Present, PresentOn: "eth0"},
			{Address: "2001:db8::10", Prefix: 64, Device: "eth0", Instance: "VI_1", Excluded: true, Presence: notify.Absent},
		},
		Verdict: &notify.Verdict{
			Check: "haproxy", Status: "fail",
			Reason: "backend mysql has no usable server (m1 DOWN: L4CON Connection refused)",
			Time:   time.Date(2025, 3, 2, 14, 5, 5, 0, zone),
		},
		HAProxy: &notify.HAProxy{
			Up:   []string{"web", "api"},
			Down: []notify.BackendDown{{Name: "mysql", Reason: "m1 DOWN"}},
		},
		Notes: []string{"the configuration of the peer is not known"},
	}
}

// Hostile is an event whose names try to break out of whatever they are
// written into. Marker is in every one of them.
func Hostile() notify.Event {
	evil := "VI\"1'\r\nBcc: " + Marker + "@example.net\r\n\r\n.\r\nQUIT\r\nPRIORITY=0\n\x00\x1b[2J</title><script>\xff\xfe\u2028\u202e{{.}}%s" +
		strings.Repeat("é长", 5000)
	event := Event()
	event.Name = evil
	event.RouterID = evil
	event.Host = "lb1\r\nX-Injected: " + Marker
	event.State = notify.State("MASTER\r\nX-Injected: " + Marker)
	event.Members = []string{evil}
	event.VIPs[0].Device = evil
	event.VIPs[0].Instance = evil
	event.Verdict.Reason = evil
	event.HAProxy.Down[0].Name = evil
	event.HAProxy.Up[0] = evil
	event.Notes[0] = evil
	event.Known = false
	return event
}

// Marker is a word in every text of Hostile.
const Marker = "injected-marker"

// Notification tells Event alone.
func Notification() notify.Notification { return notify.Notification{Event: Event()} }
