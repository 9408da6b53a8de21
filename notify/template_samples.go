package notify

import "time"

// sample is a notification that templates are tried on.
type sample struct {
	name string
	data TemplateData
}

// templateSamples are notifications of every story: with everything an event
// can have, and with nothing that may be missing. The built-in wording is not
// made for them, as a template does not look into it.
func templateSamples() []sample {
	now := time.Date(2026, 1, 14, 3, 14, 7, 0, time.UTC)
	since, priority := now.Add(-time.Hour), 100
	full := Event{
		ID: "0", Time: now, Host: "lb-a", RouterID: "lb_a", Kind: Group, Name: "G1", State: Fault,
		Previous: Master, PreviousSince: &since, Priority: &priority, Known: true, Members: []string{"VI_1", "VI_2"},
		VIPs: []VIP{
			{Address: "192.0.2.100", Prefix: 24, Device: "eth0", Instance: "VI_1", Presence: Present, PresentOn: "eth0"},
			{Address: "2001:db8::100", Prefix: 64, Device: "eth0", Instance: "VI_2", Excluded: true, Presence: Absent},
		},
		Verdict:     &Verdict{Check: "haproxy", Command: "hacheck haproxy", Status: "fail", Reason: "no usable server", Time: now},
		HAProxy:     &HAProxy{Up: []string{"web"}, Down: []BackendDown{{"mysql", "no usable server"}}, Unknown: []string{"ldap"}},
		Maintenance: &Maintenance{Until: now.Add(time.Hour), Reason: "kernel"}, RunbookURL: "https://wiki.example.com/vip",
		Unread: []Source{SourceVerdict}, Notes: []string{"not everything could be read"},
	}
	bare := Event{ID: "1", Time: now, Host: "lb-a", Kind: Instance, Name: "VI_1", State: Backup}
	recovered := bare
	recovered.Previous = Fault

	samples := []sample{}
	add := func(name string, n Notification) {
		built := Message{Subject: "[FAULT] VI_1 on lb-a", Text: "VI_1 is in FAULT on lb-a.\n"}
		samples = append(samples, sample{name, templateData(n, English, built, "lb-a: VI_1 FAULT", "<p>VI_1 is in FAULT on lb-a.</p>")})
	}
	add("a transition", Notification{Event: full})
	add("a transition of which little is known", Notification{Event: bare})
	add("a FAULT that is over", Notification{Event: recovered})
	for _, story := range [...]Story{Transition, Flapping, Settled, Reminder, Summary, Test} {
		add("a notification of the story "+string(story), Notification{
			Event: full, Story: story, Earlier: []Event{bare, recovered}, Count: 5, Since: &since})
		add("a notification of the story "+string(story)+" of which little is known", Notification{Event: bare, Story: story})
	}
	return samples
}
