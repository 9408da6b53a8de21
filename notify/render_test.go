package notify

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// checkMessage holds for every message, whatever the event.
func checkMessage(t *testing.T, message Message, title string) {
	t.Helper()
	checkLine(t, "subject", message.Subject, subjectLimit)
	checkLine(t, "title", title, titleLimit)
	if len(message.Text) > 64<<10 || len(message.HTML) > 128<<10 {
		t.Errorf("the message has %d bytes of text and %d of HTML", len(message.Text), len(message.HTML))
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(message.Text, "\n"), "\n") {
		checkLine(t, "line of text", line, 0)
		command := strings.HasPrefix(line, "  ") && (strings.Contains(line, "journalctl") || strings.Contains(line, "hacheck check") || strings.HasPrefix(line, "  http"))
		if columns(line) > textWidth && !command {
			t.Fatalf("a line has %d columns: %q", columns(line), line)
		}
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(message.HTML, "\n"), "\n") {
		checkLine(t, "line of HTML", line, 0)
	}
	if err := wellFormed(message.HTML); err != nil {
		t.Fatalf("the HTML is not well-formed: %v\n%s", err, message.HTML)
	}
}

func checkLine(t *testing.T, what, line string, limit int) {
	t.Helper()
	if !utf8.ValidString(line) {
		t.Fatalf("%s is not valid UTF-8: %q", what, line)
	}
	if n := utf8.RuneCountInString(line); limit > 0 && (n > limit || n == 0) {
		t.Fatalf("%s has %d characters: %q", what, n, line)
	}
	for _, r := range line {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Other_Default_Ignorable_Code_Point) {
			t.Fatalf("%s holds %U: %q", what, r, line)
		}
	}
}

// wellFormed holds a page to the rules of XML, which are stricter than HTML's,
// and to the few tags and attributes it is made of: markup that came with an
// event would add to them.
func wellFormed(page string) error {
	allowed := map[string]string{
		"html": "lang", "head": "", "meta": "charset name content", "style": "", "title": "", "body": "style",
		"table": "role cellpadding cellspacing border width style", "tr": "valign", "td": "style bgcolor",
		"p": "style", "a": "class href style", "h2": "style", "span": "class style", "code": "style", "br": "",
	}
	decoder := xml.NewDecoder(strings.NewReader(page))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		attributes, ok := allowed[start.Name.Local]
		if !ok {
			return errors.New("unexpected tag " + start.Name.Local)
		}
		for _, attribute := range start.Attr {
			if !strings.Contains(" "+attributes+" ", " "+attribute.Name.Local+" ") {
				return errors.New("unexpected attribute " + attribute.Name.Local)
			}
		}
	}
}

func TestRenderHostile(t *testing.T) {
	long := strings.Repeat("A", 10<<10)
	for name, text := range map[string]string{
		"header":      "VI_1\r\nBcc: everyone@example.com\r\n\r\n<b>",
		"markup":      `"><script>alert(1)</script><img src="http://192.0.2.1/x"/>&amp;]]>`,
		"quotes":      `a"b'c` + "`d\\",
		"long":        long,
		"long words":  strings.Repeat("word ", 4000),
		"invalid":     "\xff\xfe\x80VI\xc3(",
		"nul":         "a\x00b\x1b[31mred\x07",
		"override":    "VI_\u202e1_IV\u202c\u2066x\u2069",
		"invisible":   "V\u200bI\u00ad\ufeff\u2060\u034f\u3164\u115f\U000e0041\ufe0f\u2800",
		"separators":  "a\u2028b\u2029c\u0085d\u000be",
		"zalgo":       "Z" + strings.Repeat("\u0301", 5000),
		"wide":        strings.Repeat("龍", 3000),
		"template":    "{{.}} %s %d %!x(MISSING) %[1]s",
		"placeholder": "%[9]s%%",
		"blank":       " \t\n ",
		"emoji":       "🔥👨‍👩‍👧",
	} {
		t.Run(name, func(t *testing.T) {
			event := example(Fault)
			event.ID, event.Host, event.RouterID, event.Name, event.Interface = text, text, text, text, text
			event.Members, event.Notes = []string{text, text}, []string{text}
			for i := range event.VIPs {
				event.VIPs[i] = VIP{Address: text, Prefix: 24, Device: text, Instance: text, Presence: Present, PresentOn: text}
			}
			event.Verdict.Check, event.Verdict.Reason = text, text
			event.HAProxy = &HAProxy{Up: []string{text}, Down: []BackendDown{{text, text}}, Unknown: []string{text}}
			for _, as := range []struct {
				kind   Kind
				state  State
				status string
			}{{Instance, Fault, "fail"}, {Group, Master, "fail"}, {Kind(text), State(text), text}, {Group, "", "pass"}} {
				event.Kind, event.State, event.Previous, event.Verdict.Status = as.kind, as.state, State(text), as.status
				for _, language := range languages {
					checkMessage(t, Render(Notification{Event: event}, language), Title(Notification{Event: event}, language))
				}
			}
		})
	}
}

func TestClean(t *testing.T) {
	for _, test := range []struct {
		text  string
		limit int
		want  string
	}{
		{"VI_1", 64, "VI_1"},
		{" VI_1\r\nBcc: x\t ", 64, "VI_1 Bcc: x"},
		{"a\u202eb", 64, "a\ufffdb"},
		{"a\x00\x1bb", 64, "a\ufffd\ufffdb"},
		{"\xff", 64, "\ufffd"},
		{"a\u3000\u00a0b", 64, "a b"},
		{"e\u0301\u0301\u0301\u0301", 64, "e\u0301\u0301"},
		{"12345", 5, "12345"},
		{"123456", 5, "1234…"},
		{"123 56", 5, "123…"},
		{"虚拟地址一二三", 5, "虚拟地址…"},
		{"", 5, ""},
	} {
		if got := OneLine(test.text, test.limit); got != test.want {
			t.Errorf("OneLine(%q, %d) = %q instead of %q", test.text, test.limit, got, test.want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{
		{"", 10, ""},
		{"one two three", 7, "one two|three"},
		{"onetwothree four", 5, "onetw|othre|e|four"},
		{"本节点接管虚拟", 6, "本节点|接管虚|拟"},
		{"本节点，接管", 6, "本节|点，接|管"},
		{"本节点（VI_1）接管", 8, "本节点|（VI_1）|接管"},
		{"节点 lb-a 上", 7, "节点|lb-a 上"},
	} {
		if got := strings.Join(wrap(test.text, test.width), "|"); got != test.want {
			t.Errorf("wrap(%q, %d) = %q instead of %q", test.text, test.width, got, test.want)
		}
	}
}

// FuzzRender gives any event in its JSON form, as the spool holds it.
func FuzzRender(f *testing.F) {
	for _, event := range cases() {
		data, err := json.Marshal(event)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "zh-CN")
	}
	f.Add([]byte(`{"time":"0000-01-01T00:00:00Z","previous_since":"9999-12-31T23:59:59-23:59","verdict":{"time":"0000-01-01T00:00:00Z"}}`), "")
	f.Add([]byte(`{"priority":-1,"virtual_router_id":-9223372036854775808,"vips":[{"prefix":9223372036854775807}]}`), "en")
	f.Fuzz(func(t *testing.T, data []byte, language string) {
		var event Event
		if json.Unmarshal(data, &event) != nil {
			return
		}
		message := Render(Notification{Event: event}, Language(language))
		checkMessage(t, message, Title(Notification{Event: event}, Language(language)))
	})
}

// FuzzRenderTexts gives texts, times and numbers straight to the fields, where
// FuzzRender loses most of its inputs to the JSON syntax.
func FuzzRenderTexts(f *testing.F) {
	f.Add("VI_1", "lb-a", "MASTER", "BACKUP", "192.0.2.100", "eth0", "haproxy", "fail", "no usable server", int64(1768331647), int64(-60), int64(-1), uint8(3), uint8(0))
	f.Add("V\u202e\r\nBcc: x", "\xff", "x\x00", "<b>", "\"'&", "-x", "a;b", "", strings.Repeat("龍，", 300), int64(0), int64(1)<<62, int64(-1)<<62, uint8(200), uint8(7))
	f.Fuzz(func(t *testing.T, name, host, state, previous, address, device, check, status, reason string, at, since, checked int64, count, bits uint8) {
		began, priority := time.Unix(at, 0).Add(time.Duration(since)), int(since)
		event := Event{
			ID: check, Time: time.Unix(at, 0), Host: host, RouterID: name, Kind: Instance, Name: name,
			State: State(state), Previous: State(previous), PreviousSince: &began, Priority: &priority,
			Known: bits&1 == 0, Interface: device, VirtualRouterID: int(checked), Notes: []string{reason},
			Verdict: &Verdict{Check: check, Status: status, Reason: reason, Time: time.Unix(at, 0).Add(time.Duration(checked))},
			HAProxy: &HAProxy{},
		}
		if bits&2 != 0 {
			event.Kind = Group
		}
		presence := [...]Presence{Present, Absent, PresenceUnknown, Presence(status)}[bits>>2&3]
		for range count {
			event.Members = append(event.Members, name)
			event.VIPs = append(event.VIPs, VIP{Address: address, Prefix: int(bits), Device: device, Instance: name, Excluded: bits&16 != 0, Presence: presence, PresentOn: device})
			event.HAProxy.Up = append(event.HAProxy.Up, address)
			event.HAProxy.Down = append(event.HAProxy.Down, BackendDown{name, reason})
		}
		language := languages[int(bits>>5)%len(languages)]
		checkMessage(t, Render(Notification{Event: event}, language), Title(Notification{Event: event}, language))
		Severity(event)
	})
}
