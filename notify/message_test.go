package notify

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	languages = []Language{English, SimplifiedChinese, TraditionalChinese}
	states    = []State{Master, Backup, Fault, Stop, Deleted, MasterRxLowerPri, MasterPriority, BackupPriority}
)

// noon is the time of every example: a winter day in Taipei.
var noon = time.Date(2026, 1, 14, 3, 14, 7, 123e6, time.FixedZone("CST", 8*3600))

// example is what the hook makes of a usual transition to a state.
func example(state State) Event {
	since := noon.Add(-41*24*time.Hour - 3*time.Hour - 12*time.Minute)
	priority := 100
	event := Event{
		ID: "01JHGX3B7Q-lb-a-VI-1", Time: noon, Host: "lb-a", RouterID: "lb_a_router",
		Kind: Instance, Name: "VI_1", State: state, PreviousSince: &since, Priority: &priority,
		Known: true, Interface: "eth0", VirtualRouterID: 51,
		VIPs: []VIP{
			{Address: "192.0.2.100", Prefix: 24, Device: "eth0", Instance: "VI_1", Presence: Absent},
			{Address: "2001:db8:0:1::100", Prefix: 64, Device: "eth0", Instance: "VI_1", Excluded: true, Presence: Absent},
		},
		Verdict: &Verdict{
			Check: "haproxy", Status: "pass", Time: noon.Add(-900 * time.Millisecond),
			Reason: "4 of 5 backends up (3.1 ms)",
		},
		HAProxy: &HAProxy{
			Up:      []string{"web", "api", "redis", "amqp"},
			Down:    []BackendDown{{"mysql", "no usable server (m1 DOWN: L4CON Connection refused)"}},
			Unknown: []string{"ldap"},
		},
	}
	if event.holds(yes) {
		for i := range event.VIPs {
			event.VIPs[i].Presence, event.VIPs[i].PresentOn = Present, "eth0"
		}
	}
	switch state {
	case Master:
		event.Previous = Backup
	case Fault:
		event.Previous = Master
		*event.Priority = 100
		event.Verdict.Status = "fail"
		event.Verdict.Reason = "backend mysql has no usable server (m1 DOWN: L4CON Connection refused); 4 of 5 backends up (3.1 ms)"
	case MasterRxLowerPri, MasterPriority:
		event.Previous = Master
	case BackupPriority:
		event.Previous = Backup
		*event.Priority = 70
	default:
		event.Previous = Master
	}
	return event
}

// cases are the events that have golden files in every language.
func cases() map[string]Event {
	events := map[string]Event{}
	for _, state := range states {
		events[string(state)] = example(state)
	}

	event := example(Master)
	for i := range event.VIPs {
		event.VIPs[i].Presence, event.VIPs[i].PresentOn = Absent, ""
	}
	events["master-vip-absent"] = event

	event = example(Master)
	event.Verdict.Status, event.Verdict.Reason = "fail", "haproxy does not answer on /run/haproxy/admin.sock: connection refused"
	event.HAProxy = &HAProxy{Error: "dial unix /run/haproxy/admin.sock: connection refused; is haproxy running?"}
	events["master-check-fails"] = event

	event = example(Backup)
	event.VIPs[0].Presence, event.VIPs[0].PresentOn = Present, "eth0"
	events["backup-vip-present"] = event

	event = example(Fault)
	event.Verdict.Status, event.Verdict.Time = "pass", noon.Add(-3*time.Hour)
	events["fault-stale-verdict"] = event

	event = example(Fault)
	event.Verdict, event.HAProxy = nil, nil
	event.Notes = []string{
		"no verdict is kept in /run/hacheck: open /run/hacheck/haproxy.json: permission denied; the hook runs as keepalived_script",
		"HAProxy was not asked: no stats socket is named in /etc/haproxy/haproxy.cfg",
	}
	events["fault-no-verdict"] = event

	event = example(Backup)
	event.Previous, event.PreviousSince, event.Priority = "", nil, nil
	events["backup-first"] = event

	event = example(Master)
	event.Kind, event.Name, event.Members = Group, "G1", []string{"VI_1", "VI_2"}
	event.Interface, event.VirtualRouterID = "", 0
	event.VIPs[1].Instance, event.VIPs[1].Device, event.VIPs[1].PresentOn = "VI_2", "eth1", "eth1"
	events["group-master"] = event

	event = Event{ID: "01JHGX3B7R", Time: noon.UTC(), Host: "lb-a", Kind: Instance, Name: "VI_9", State: Master,
		Notes: []string{"read /etc/keepalived/keepalived.conf: permission denied"}}
	events["unknown-instance"] = event

	event = example(Backup)
	for i := range 60 {
		event.VIPs = append(event.VIPs, VIP{Address: fmt.Sprintf("198.51.100.%d", i), Prefix: 32, Instance: "VI_1", Presence: Absent})
		event.HAProxy.Up = append(event.HAProxy.Up, fmt.Sprintf("backend-%02d", i))
		event.HAProxy.Down = append(event.HAProxy.Down, BackendDown{fmt.Sprintf("broken-%02d", i), "no server"})
	}
	event.VIPs[50].Presence, event.VIPs[50].PresentOn = Present, "bond0.100"
	events["many-of-everything"] = event

	events["empty"] = Event{}
	return events
}

func TestRenderGolden(t *testing.T) {
	for name, event := range cases() {
		for _, language := range languages {
			t.Run(name+"."+string(language), func(t *testing.T) {
				message := Render(Notification{Event: event}, language)
				checkMessage(t, message, Title(Notification{Event: event}, language))
				text := fmt.Sprintf("Subject:  %s\nTitle:    %s\nSeverity: %s\n\n%s",
					message.Subject, Title(Notification{Event: event}, language), Severity(event), message.Text)
				golden(t, name+"."+string(language)+".txt", text)
				golden(t, name+"."+string(language)+".html", message.HTML)
			})
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	wanted, gotten := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range min(len(wanted), len(gotten)) {
		if wanted[i] != gotten[i] {
			t.Fatalf("%s:%d:\n got %q\nwant %q\n(go test -update accepts it)", path, i+1, gotten[i], wanted[i])
		}
	}
	if len(wanted) != len(gotten) {
		t.Fatalf("%s: %d lines instead of %d (go test -update accepts it)", path, len(gotten), len(wanted))
	}
}

func TestSubject(t *testing.T) {
	tests := []struct {
		name     string
		event    Event
		language Language
		want     string
	}{
		{"taking over", example(Master), English, "[MASTER] VI_1 on lb-a: 192.0.2.100, 2001:db8:0:1::100 (was BACKUP)"},
		{"a fault says why", example(Fault), English,
			"[FAULT] VI_1 on lb-a: 192.0.2.100 +1 (was MASTER): backend mysql has no usable server (m1 DOWN: L4CON Connection refuse…"},
		{"a check that fails on a MASTER", cases()["master-check-fails"], English,
			"[MASTER] VI_1 on lb-a: 192.0.2.100 +1 (was BACKUP): haproxy does not answer on /run/haproxy/admin.sock: connection refu…"},
		{"an address that stayed", cases()["backup-vip-present"], English,
			"[BACKUP] VI_1 on lb-a: 192.0.2.100, 2001:db8:0:1::100 (was MASTER), VIP STILL HERE"},
		{"many addresses", cases()["many-of-everything"], English,
			"[BACKUP] VI_1 on lb-a: 192.0.2.100, 2001:db8:0:1::100 +60 (was MASTER), VIP STILL HERE"},
		{"not in the configuration", cases()["unknown-instance"], English, "[MASTER] VI_9 on lb-a: VIPs not known"},
		{"nothing known", Event{}, English, "[?] (no name) on (unknown host): VIPs not known"},
		{"another claims it", example(MasterRxLowerPri), English,
			"[MASTER_RX_LOWER_PRI] VI_1 on lb-a: 192.0.2.100, 2001:db8:0:1::100 (claimed by another node too)"},
		{"priority", example(BackupPriority), English,
			"[BACKUP_PRIORITY] VI_1 on lb-a: 192.0.2.100, 2001:db8:0:1::100 (priority 70)"},
		{"an unheard-of state", example("NEWSTATE"), English,
			"[NEWSTATE] VI_1 on lb-a: 192.0.2.100, 2001:db8:0:1::100 (was MASTER)"},
		{"simplified Chinese", example(Master), SimplifiedChinese,
			"[MASTER] VI_1 在 lb-a 成为主用：192.0.2.100、2001:db8:0:1::100（原为 BACKUP）"},
		{"traditional Chinese", cases()["group-master"], TraditionalChinese,
			"[MASTER] 同步群組 G1 在 lb-a 成為主要節點：192.0.2.100、2001:db8:0:1::100（原為 BACKUP）"},
		{"no such language", example(Stop), "fr", "[STOP] VI_1 on lb-a: 192.0.2.100, 2001:db8:0:1::100 (was MASTER)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Render(Notification{Event: test.event}, test.language).Subject; got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// A long name or host must not push the addresses out of the subject.
func TestSubjectKeepsAddresses(t *testing.T) {
	event := example(Master)
	event.Name, event.Host = strings.Repeat("N", 200), strings.Repeat("h", 200)
	event.VIPs[0].Address = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"
	subject := Render(Notification{Event: event}, English).Subject
	if !strings.Contains(subject, "…") || !strings.Contains(subject, event.VIPs[0].Address[:20]) {
		t.Errorf("the subject lost its address: %s", subject)
	}
}

func TestTitle(t *testing.T) {
	for _, test := range []struct {
		event Event
		want  string
	}{
		{example(Master), "lb-a: VI_1 BACKUP → MASTER after 41 d 3 h; 192.0.2.100, 2001:db8:0:1::100 here; check haproxy pass: 4 of 5 backends up (3.1 ms)"},
		{cases()["backup-vip-present"], "lb-a: VI_1 MASTER → BACKUP after 41 d 3 h; 192.0.2.100 STILL HERE; 2001:db8:0:1::100 not here; check haproxy pass: 4 of 5 backends up (3.1 ms)"},
		{cases()["unknown-instance"], "lb-a: VI_9 MASTER"},
		{Event{}, "(unknown host): (no name) state not given"},
	} {
		if got := Title(Notification{Event: test.event}, English); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestSeverity(t *testing.T) {
	from := func(state, previous State) Event {
		event := example(state)
		event.Previous = previous
		return event
	}
	failing := func(event Event) Event {
		event.Verdict.Status = "fail"
		return event
	}
	stale := func(event Event) Event {
		event.Verdict.Time = event.Time.Add(-time.Hour)
		return event
	}
	lingering := func(event Event) Event {
		event.VIPs[0].Presence = Present
		return event
	}
	for _, test := range []struct {
		name  string
		event Event
		want  Level
	}{
		{"fault", example(Fault), Critical},
		{"taking over", example(Master), Info},
		{"taking over while the check fails", failing(example(Master)), Critical},
		{"a failure long ago says nothing", stale(failing(example(Master))), Info},
		{"giving up", example(Backup), Warning},
		{"recovered", from(Backup, Fault), Info},
		{"started", from(Backup, Stop), Info},
		{"recovered, but the address stayed", lingering(from(Backup, Fault)), Warning},
		{"recovered, but the check fails", failing(from(Backup, Fault)), Warning},
		{"unknown before", from(Backup, ""), Warning},
		{"stopped", example(Stop), Warning},
		{"deleted", example(Deleted), Warning},
		{"claimed by two", example(MasterRxLowerPri), Warning},
		{"priority of a MASTER", example(MasterPriority), Info},
		{"priority of a BACKUP", example(BackupPriority), Info},
		{"priority of a BACKUP that holds the address", lingering(example(BackupPriority)), Warning},
		{"unheard-of", example("NEWSTATE"), Warning},
		{"taking over what is not configured", cases()["unknown-instance"], Warning},
		{"nothing", Event{}, Warning},
	} {
		if got := Severity(test.event); got != test.want {
			t.Errorf("%s: %s instead of %s", test.name, got, test.want)
		}
	}
}

// The text must say each of these, and none of those.
func TestRenderSays(t *testing.T) {
	at := func(event Event, age time.Duration) Event {
		event.Verdict.Time = event.Time.Add(-age)
		return event
	}
	clockSet := example(Stop)
	later := clockSet.Time.Add(time.Hour)
	clockSet.PreviousSince = &later
	noSince := example(Stop)
	noSince.PreviousSince = nil
	strange := example(Fault)
	strange.Verdict.Check, strange.Interface = "x; rm -rf /", "eth0;reboot"
	strange.VIPs[0].Device, strange.VIPs[1].Device = "$(reboot)", "-x"
	for _, test := range []struct {
		name  string
		event Event
		says  []string
		not   []string
	}{
		{"how long the state before lasted", example(Master),
			[]string{"was BACKUP for 41 d 3 h (since 2025-12-04 00:02:07.123 +08:00 (CST))", "2026-01-13 19:14:07.123 UTC"}, nil},
		{"the clock was set", clockSet, []string{"is after this change: the clock was set\n"}, []string{"for -"}},
		{"not since when", noSince, []string{"how long it was MASTER is not recorded"}, nil},
		{"the log from before the event, in UTC", example(Fault),
			[]string{`journalctl -u keepalived --since "2026-01-13 19:12:07 UTC"`}, nil},
		{"a verdict just now", at(example(Fault), 0), []string{"within 1 s of the change"}, []string{"STALE"}},
		{"a verdict 59 s old", at(example(Fault), 59*time.Second), []string{"59 s before the change", "check haproxy fails. Reason"}, []string{"STALE"}},
		{"a verdict 60 s old", at(example(Fault), time.Minute), []string{"STALE: 1 min before the change", "keepalived does not say why"}, []string{"check haproxy fails"}},
		{"a verdict from later", at(example(Fault), -2*time.Second), []string{"2 s after the change"}, nil},
		{"no verdict", cases()["fault-no-verdict"], []string{"No verdict of a check is kept", "permission denied"}, nil},
		{"sources that were not read", Event{State: Backup, Name: "VI_1", Unread: []Source{SourceConfiguration, SourceVerdict}},
			[]string{"Last check of this node\n  - Not known."}, []string{"was found in keepalived.conf", "No verdict of a check is kept", "grep -rnE"}},
		{"a group has no priority", cases()["group-master"], []string{"Members     VI_1, VI_2", "of VI_2"}, []string{"priority 100"}},
		{"an address that stayed", cases()["backup-vip-present"], []string{"!! 192.0.2.100 still on this node", "! STILL HERE, on eth0"}, nil},
		{"the one of many that stayed is first", cases()["many-of-everything"],
			[]string{"interfaces\n  198.51.100.48/32 dev eth0      ! STILL HERE, on bond0.100\n", "and 42 more", "and 52 more"}, nil},
		{"an address not here yet", cases()["master-vip-absent"], []string{"keepalived may still have been adding it"}, []string{"!! "}},
		{"names do not get into commands", strange, []string{"ip -br addr\n", "x; rm -rf /: FAIL"},
			[]string{"dev $(reboot)\n  ", "hacheck check x", "ip -br addr show dev"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := Render(Notification{Event: test.event}, English).Text
			for _, wanted := range test.says {
				if !strings.Contains(text, wanted) {
					t.Errorf("does not say %q:\n%s", wanted, text)
				}
			}
			for _, unwanted := range test.not {
				if strings.Contains(text, unwanted) {
					t.Errorf("says %q:\n%s", unwanted, text)
				}
			}
		})
	}
}

// Rendering cleans a copy: the event goes on to the webhook as it was.
func TestRenderLeavesTheEvent(t *testing.T) {
	event := example(Master)
	event.Name, event.VIPs[0].Device, event.Verdict.Reason = "a\nb", "c\nd", "e\nf"
	event.HAProxy.Down[0].Name, event.Notes = "g\nh", []string{"i\nj"}
	Render(Notification{Event: event}, English)
	for _, text := range []string{event.Name, event.VIPs[0].Device, event.Verdict.Reason, event.HAProxy.Down[0].Name, event.Notes[0]} {
		if !strings.Contains(text, "\n") {
			t.Errorf("the event was changed: %q", text)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	event := example(Fault)
	b.ReportAllocs()
	for b.Loop() {
		Render(Notification{Event: event}, TraditionalChinese)
	}
}

func TestCommandOfVerdict(t *testing.T) {
	for command, want := range map[string]bool{
		"/usr/bin/hacheck tcp 127.0.0.1:3306 --require 50%": true,
		"/usr/bin/hacheck http http://127.0.0.1:80/health":  true,
		"/usr/bin/hacheck tcp $(reboot)":                    false,
		"/usr/bin/hacheck tcp a;reboot":                     false,
		"/usr/bin/hacheck tcp a\nreboot":                    false,
		"/usr/bin/hacheck tcp  two-blanks":                  false,
		"/usr/bin/hacheck http http://127.0.0.1/?a=b&c=d":   false,
		"": false,
		"/usr/bin/hacheck " + strings.Repeat("x", 120): false,
	} {
		event := Event{State: Fault, Verdict: &Verdict{Check: "tcp-0a1b2c3d", Command: command, Status: "fail"}}
		text := Render(Notification{Event: event}, English).Text
		if got := strings.Contains(text, "\n  "+command+"\n"); got != want {
			t.Errorf("%q is suggested: %v, want %v\n%s", command, got, want, text)
		}
		// There is no check of this name that could be run.
		if strings.Contains(text, "hacheck check tcp-") {
			t.Errorf("%q: a check is suggested that does not exist:\n%s", command, text)
		}
		if got := strings.Contains(text, "\n  hacheck status\n"); got == want {
			t.Errorf("%q: hacheck status is suggested: %v\n%s", command, got, text)
		}
	}
	for check, want := range map[string]string{
		"redis":             "hacheck check redis",
		"redis-0a1b2c3":     "hacheck check redis-0a1b2c3",
		"redis-0A1B2C3D":    "hacheck check redis-0A1B2C3D",
		"haproxy-0a1b2c3d":  "hacheck status",
		"my-redis-0a1b2c3d": "hacheck status",
		"-0a1b2c3d":         "",
		"a b":               "",
	} {
		text := Render(Notification{Event: Event{State: Fault, Verdict: &Verdict{Check: check, Status: "fail"}}}, English).Text
		if got := strings.Contains(text, "\n  "+want+"\n"); want != "" && !got || want == "" && strings.Contains(text, "\n  hacheck ") {
			t.Errorf("the verdict of %q suggests\n%s\nwant %q", check, text, want)
		}
	}
}
