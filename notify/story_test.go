package notify

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// at is the example of a state, so long after noon and after the state before,
// which had lasted as long.
func at(after time.Duration, name string, state, previous State) Event {
	event := example(state)
	began := noon
	event.ID, event.Name, event.Time = fmt.Sprintf("01JHGX3B7Q-%s-%d", name, after.Milliseconds()), name, noon.Add(after)
	event.Previous, event.PreviousSince = previous, &began
	if event.Verdict != nil {
		event.Verdict.Time = event.Time.Add(-300 * time.Millisecond)
	}
	return event
}

// second is a transition of VI_2, which has an address and an interface of its
// own.
func second(after time.Duration, state, previous State) Event {
	event := at(after, "VI_2", state, previous)
	event.Interface, event.VirtualRouterID = "eth1", 52
	event.VIPs = []VIP{{Address: "192.0.2.101", Prefix: 24, Device: "eth1", Instance: "VI_2", Presence: Absent}}
	if event.holds(yes) {
		event.VIPs[0].Presence, event.VIPs[0].PresentOn = Present, "eth1"
	}
	return event
}

// flaps are so many transitions of VI_1 between MASTER and BACKUP, 3 s apart.
// The last is to MASTER.
func flaps(count int) []Event {
	events := make([]Event, count)
	for i := range events {
		state, previous := Master, Backup
		if (count-i)%2 == 0 {
			state, previous = Backup, Master
		}
		events[i] = at(time.Duration(3*i)*time.Second, "VI_1", state, previous)
		began := events[i].Time.Add(-3 * time.Second)
		events[i].PreviousSince = &began
	}
	return events
}

// told makes one notification of events.
func told(story Story, events ...Event) Notification {
	last := len(events) - 1
	return Notification{Event: events[last], Story: story, Earlier: events[:last]}
}

// stories are the notifications that have golden files in every language.
func stories() map[string]Notification {
	all := map[string]Notification{}
	since := noon.Add(-41*24*time.Hour - 3*time.Hour)
	ofOld := func(event Event) Event {
		event.PreviousSince = &since
		return event
	}
	all["failover-two-instances"] = told(Transition,
		ofOld(at(0, "VI_1", Master, Backup)), ofOld(second(40*time.Millisecond, Master, Backup)))
	all["fault-two-instances"] = told("",
		ofOld(at(0, "VI_1", Fault, Master)), ofOld(second(time.Millisecond, Fault, Backup)))
	all["states-differ"] = told(Transition,
		ofOld(second(0, Master, Backup)), ofOld(at(40*time.Millisecond, "VI_1", Fault, Master)))

	group := ofOld(at(0, "G1", Master, Backup))
	group.Kind, group.Members = Group, []string{"VI_1", "VI_2"}
	group.Interface, group.VirtualRouterID = "", 0
	group.VIPs = append(slices.Clone(group.VIPs), second(0, Backup, Master).VIPs...)
	all["group-and-members"] = told(Transition,
		ofOld(at(0, "VI_1", Master, Backup)), group, ofOld(second(20*time.Millisecond, Master, Backup)))
	all["group-and-other-member"] = told(Transition, group, ofOld(at(time.Millisecond, "VI_1", Master, Backup)),
		ofOld(second(20*time.Millisecond, MasterRxLowerPri, Master)))

	flapping := told(Flapping, flaps(5)...)
	flapping.Count, flapping.Since = 5, &flapping.Earlier[0].Time
	all["flapping"] = flapping
	settled := told(Settled, flaps(46)[5:]...)
	settled.Count, settled.Since = 46, &noon
	all["settled"] = settled
	faulty := append(flaps(6), at(18*time.Second, "VI_1", Fault, Master))
	settled = told(Settled, faulty...)
	settled.Count, settled.Since = 7, &noon
	all["settled-in-fault"] = settled

	began := noon.Add(-2*time.Hour - 5*time.Minute)
	reminder := Notification{Event: at(0, "VI_1", Fault, Fault), Story: Reminder, Since: &began}
	reminder.PreviousSince = &began
	reminder.RunbookURL = "https://wiki.example.com/runbooks/vip?instance=VI_1&lang=en#fault"
	all["reminder"] = reminder

	over := at(0, "VI_1", Backup, Fault)
	over.PreviousSince = &began
	all["resolved"] = Notification{Event: over}
	master := at(200*time.Millisecond, "VI_1", Master, Backup)
	master.PreviousSince = &over.Time
	all["resolved-to-master"] = told(Transition, over, master)
	stopped := at(0, "VI_1", Stop, Fault)
	stopped.PreviousSince = &began
	all["stopped-while-in-fault"] = Notification{Event: stopped}

	plan := &Maintenance{Until: noon.Add(30 * time.Minute), Reason: "new kernel"}
	planned := ofOld(at(0, "VI_1", Fault, Master))
	planned.Maintenance, planned.RunbookURL = plan, "https://wiki.example.com/vip"
	planned.Verdict.Reason = "drained for maintenance until 03:44 (new kernel)"
	all["maintenance"] = Notification{Event: planned}
	up := at(25*time.Minute+4*time.Second, "VI_1", Master, Backup)
	upSince := up.Time.Add(-4 * time.Second)
	up.PreviousSince = &upSince
	summary := told(Summary, planned, second(0, Fault, Master), at(25*time.Minute, "VI_1", Backup, Fault),
		second(25*time.Minute, Backup, Fault), up)
	summary.Since = &noon
	all["summary"] = summary
	all["summary-still-fault"] = Notification{Event: planned, Story: Summary}

	all["test"] = Notification{Event: Event{ID: "01JHGX3B7T", Time: noon, Host: "lb-a", Known: true}, Story: Test}
	all["test-with-state"] = Notification{Event: ofOld(at(0, "VI_1", Master, Backup)), Story: Test}
	return all
}

func TestStoriesGolden(t *testing.T) {
	for name, notification := range stories() {
		for _, language := range languages {
			t.Run(name+"."+string(language), func(t *testing.T) {
				message, title := Render(notification, language), Title(notification, language)
				checkMessage(t, message, title)
				text := fmt.Sprintf("Subject:  %s\nTitle:    %s\nSeverity: %s\n\n%s", message.Subject, title, notification.Severity(), message.Text)
				golden(t, "story-"+name+"."+string(language)+".txt", text)
				golden(t, "story-"+name+"."+string(language)+".html", message.HTML)
			})
		}
	}
}

func TestStorySubjects(t *testing.T) {
	for _, test := range []struct {
		name     string
		language Language
		want     string
	}{
		{"failover-two-instances", English, "[MASTER] VI_1, VI_2 on lb-a: 192.0.2.100, 192.0.2.101 +1 (was BACKUP)"},
		{"group-and-members", English, "[MASTER] group G1 on lb-a: 192.0.2.100, 192.0.2.101 +1 (was BACKUP)"},
		{"group-and-other-member", English, "[MASTER_RX_LOWER_PRI] VI_2; [MASTER] group G1 on lb-a: 192.0.2.101, 192.0.2.100 +1"},
		{"states-differ", SimplifiedChinese,
			"[FAULT] VI_1；[MASTER] VI_2 在 lb-a 状态变化：192.0.2.100 +2：backend mysql has no usable server (m1 DOWN: L4CON Connection ref…"},
		{"flapping", English, "[FLAPPING] VI_1 on lb-a: 5 transitions in 12 s, now MASTER: 192.0.2.100, 2001:db8:0:1::100"},
		{"settled", English, "[SETTLED: MASTER] VI_1 on lb-a: 192.0.2.100, 2001:db8:0:1::100 (after 46 transitions in 2 min 15 s)"},
		{"settled-in-fault", TraditionalChinese,
			"[已穩定: FAULT] VI_1 在 lb-a 已穩定：192.0.2.100 +1（先前 18 秒內 7 次狀態變更）：backend mysql has no usable server (m1 DOWN: L4CON Connec…"},
		{"reminder", SimplifiedChinese,
			"[FAULT] VI_1 在 lb-a 故障未恢复，已持续 2 小时 5 分钟：192.0.2.100 +1：backend mysql has no usable server (m1 DOWN: L4CON Connection re…"},
		{"resolved", English, "[RESOLVED] VI_1 on lb-a, now BACKUP: 192.0.2.100, 2001:db8:0:1::100 (FAULT lasted 2 h 5 min)"},
		{"resolved-to-master", English, "[RESOLVED] VI_1 on lb-a, now MASTER: 192.0.2.100, 2001:db8:0:1::100 (FAULT lasted 2 h 5 min)"},
		{"stopped-while-in-fault", English, "[STOP] VI_1 on lb-a: 192.0.2.100, 2001:db8:0:1::100 (was FAULT)"},
		{"maintenance", English, "[PLANNED] [FAULT] VI_1 on lb-a: 192.0.2.100, 2001:db8:0:1::100 (was MASTER); maintenance until 03:44: new kernel"},
		{"summary", English, "[MAINTENANCE OVER] lb-a: 5 transitions held back; now VI_1 MASTER; VI_2 BACKUP"},
		{"summary-still-fault", English, "[FAULT] [MAINTENANCE OVER] lb-a: 1 transition held back; now VI_1 FAULT"},
		{"test", English, "[TEST] hacheck on lb-a: this is a test, nothing happened"},
	} {
		if got := Render(stories()[test.name], test.language).Subject; got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.name, got, test.want)
		}
	}
}

func TestStoryTitles(t *testing.T) {
	for name, want := range map[string]string{
		"failover-two-instances": "lb-a: VI_1, VI_2 BACKUP → MASTER after 41 d 3 h; 192.0.2.100, 192.0.2.101 and 1 more here; check haproxy pass: 4 of 5 backends up (3.1 ms)",
		"fault-two-instances":    "lb-a: VI_1, VI_2 FAULT; 192.0.2.100, 192.0.2.101 and 1 more not here; check haproxy fail: backend mysql has no usable server (m1 DOWN: L4CON Connection refused); 4 of 5 backends up (3.1 ms)",
		"flapping":               "lb-a: VI_1 flapping: 5 transitions in 12 s, now MASTER; 192.0.2.100, 2001:db8:0:1::100 here; check haproxy pass: 4 of 5 backends up (3.1 ms)",
		"resolved-to-master":     "lb-a: resolved: VI_1 FAULT → BACKUP → MASTER after 2 h 5 min; 192.0.2.100, 2001:db8:0:1::100 here; check haproxy pass: 4 of 5 backends up (3.1 ms)",
		"maintenance":            "lb-a: planned: VI_1 MASTER → FAULT after 41 d 3 h; 192.0.2.100, 2001:db8:0:1::100 not here; check haproxy fail: drained for maintenance until 03:44 (new kernel)",
		"summary":                "lb-a: maintenance over, 5 transitions held back; now VI_1 MASTER; VI_2 BACKUP",
		"test":                   "lb-a: this is a test of hacheck, nothing happened",
	} {
		if got := Title(stories()[name], English); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
		}
	}
}

func TestNotificationSeverity(t *testing.T) {
	for name, want := range map[string]Level{
		"failover-two-instances": Info, "fault-two-instances": Critical, "states-differ": Critical,
		"group-and-members": Info, "group-and-other-member": Warning,
		"flapping": Warning, "settled": Info, "settled-in-fault": Critical,
		"reminder": Critical, "resolved": Info, "resolved-to-master": Info, "stopped-while-in-fault": Warning,
		"maintenance": Warning, "summary": Info, "summary-still-fault": Critical,
		"test": Info, "test-with-state": Info,
	} {
		if got := stories()[name].Severity(); got != want {
			t.Errorf("%s: %s instead of %s", name, got, want)
		}
	}
	master, backup := second(0, Master, Backup), at(40*time.Millisecond, "VI_1", Backup, Fault)
	backup.Verdict.Status = "fail"
	if got := told(Transition, master, backup).Severity(); got != Critical {
		t.Errorf("a MASTER beside an instance whose later look shows that the check fails: %s", got)
	}
	during := func(event Event) Event {
		event.Maintenance = &Maintenance{Until: noon.Add(time.Hour)}
		return event
	}
	failing := example(Master)
	failing.Verdict.Status = "fail"
	lingering := example(Fault)
	lingering.VIPs[0].Presence = Present
	for _, test := range []struct {
		name  string
		event Event
		want  Level
	}{
		{"a planned fault", during(example(Fault)), Warning},
		{"giving up as planned", during(example(Backup)), Info},
		{"stopped as planned", during(example(Stop)), Info},
		{"taking over during a maintenance", during(example(Master)), Info},
		{"a MASTER that fails is never planned", during(failing), Critical},
		{"nor is an address that stayed", during(lingering), Warning},
		{"nor are two that claim it", during(example(MasterRxLowerPri)), Warning},
	} {
		if got := Severity(test.event); got != test.want {
			t.Errorf("%s: %s instead of %s", test.name, got, test.want)
		}
		if got := (Notification{Event: test.event, Story: Test}).Severity(); got != Info {
			t.Errorf("a test with %s: %s", test.name, got)
		}
		if got := (Notification{Event: test.event, Story: Flapping}).Severity(); got == Info {
			t.Errorf("flapping with %s: %s", test.name, got)
		}
	}
}

// A FAULT is over only where nothing else is wrong.
func TestResolved(t *testing.T) {
	over := stories()["resolved"].Event
	failing, lingering, priority := over, over, over
	failing.Verdict = &Verdict{Check: "haproxy", Status: "fail", Time: over.Time}
	lingering.VIPs = []VIP{{Address: "192.0.2.100", Instance: "VI_1", Presence: Present}}
	priority.State = BackupPriority
	noSince := over
	noSince.PreviousSince = nil
	other := second(0, Backup, Fault)
	for _, test := range []struct {
		name   string
		of     Notification
		lasted time.Duration
		want   bool
	}{
		{"over", Notification{Event: over}, 2*time.Hour + 5*time.Minute, true},
		{"two of them, the longer one counts", told(Transition, over, other), 2*time.Hour + 5*time.Minute, true},
		{"not recorded since when", Notification{Event: noSince}, 0, true},
		{"the check fails", Notification{Event: failing}, 0, false},
		{"an address stayed", Notification{Event: lingering}, 0, false},
		{"only the priority", Notification{Event: priority}, 0, false},
		{"one of two", told(Transition, over, second(0, Master, Backup)), 0, false},
		{"a fault again", told(Transition, over, at(time.Second, "VI_1", Fault, Backup)), 0, false},
		{"stopped", stories()["stopped-while-in-fault"], 0, false},
		{"a reminder", stories()["reminder"], 0, false},
	} {
		if lasted, got := test.of.resolved(); got != test.want || lasted != test.lasted {
			t.Errorf("%s: %v, %v instead of %v, %v", test.name, lasted, got, test.lasted, test.want)
		}
	}
}

func TestRunbook(t *testing.T) {
	for link, want := range map[string]string{
		"https://wiki.example.com/vip?a=b&c=d#e":                "https://wiki.example.com/vip?a=b&c=d#e",
		"http://[2001:db8::1]:8080/":                            "http://[2001:db8::1]:8080/",
		"https://wiki.example.com/处理":                           "https://wiki.example.com/%E5%A4%84%E7%90%86",
		"javascript:alert(1)":                                   "",
		"ftp://wiki.example.com/":                               "",
		"https://user:secret@wiki.example.com/":                 "",
		"https:///vip":                                          "",
		"https://wiki.example.com/a\nb":                         "",
		"wiki.example.com":                                      "",
		"https://wiki.example.com/" + strings.Repeat("x", 1000): "",
		"": "",
	} {
		event := example(Fault)
		event.RunbookURL = link
		message := Render(Notification{Event: event}, English)
		checkMessage(t, message, Title(Notification{Event: event}, English))
		if got := event.runbook(); got != want {
			t.Errorf("%q gives %q instead of %q", link, got, want)
		}
		if want == "" && (strings.Contains(message.HTML, "<a ") || strings.Contains(message.Text, "instructions")) {
			t.Errorf("%q is a link: %s", link, message.Text)
		}
		if want != "" && (!strings.Contains(message.HTML, `href="`+strings.ReplaceAll(want, "&", "&amp;")+`"`) || !strings.Contains(message.Text, "\n  "+want+"\n")) {
			t.Errorf("%q is no link: %s", link, message.HTML)
		}
	}
}

// Whatever the number of instances and states, a message stays bounded.
func TestManySubjects(t *testing.T) {
	var events []Event
	for i := range 300 {
		event := at(time.Duration(i)*time.Second, fmt.Sprintf("VI_%d", i), states[i%len(states)], "")
		if i%7 == 0 {
			event.State = State(fmt.Sprintf("STATE_%d", i))
		}
		events = append(events, event)
	}
	for _, story := range []Story{Transition, Flapping, Settled, Reminder, Summary, Test, "unheard-of"} {
		for _, language := range languages {
			notification := told(story, events...)
			message := Render(notification, language)
			checkMessage(t, message, Title(notification, language))
			if lines := strings.Count(message.Text, "\n"); lines > 400 {
				t.Errorf("%s in %s has %d lines", story, language, lines)
			}
		}
	}
}

// FuzzRenderStories gives any notification in its JSON form, as the spool holds
// it.
func FuzzRenderStories(f *testing.F) {
	for _, notification := range stories() {
		data, err := json.Marshal(notification)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "zh-TW")
	}
	f.Add([]byte(`{"story":"settled","since":"9999-12-31T23:59:59-23:59","count":-1,"earlier":[{},{"kind":"GROUP","members":["",""]}]}`), "en")
	f.Add([]byte(`{"story":"summary","time":"0000-01-01T00:00:00+23:59","since":"0000-01-01T00:00:00Z","maintenance":{"until":"0000-01-01T00:00:00Z"},"earlier":[{}]}`), "en")
	wrapping, err := ParseTemplate("{{.Subject}} {{.Name}}", "{{.Text}}{{range .Events}}{{local .Time}} {{.Name}}\n{{end}}", "<p title=\"{{.Name}}\">{{.Lasted | duration}}</p>{{.HTML}}")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte, language string) {
		var notification Notification
		if json.Unmarshal(data, &notification) != nil {
			return
		}
		checkMessage(t, Render(notification, Language(language)), Title(notification, Language(language)))
		notification.Severity()
		style := Style{Language: Language(language), Template: wrapping}
		message := style.Render(notification)
		checkLine(t, "subject", message.Subject, subjectLimit)
		checkLine(t, "title", style.Title(notification), titleLimit)
		if !strings.HasPrefix(message.HTML, "<!DOCTYPE html>") {
			t.Errorf("no document: %s", message.HTML)
		}
	})
}
