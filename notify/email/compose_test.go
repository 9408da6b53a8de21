package email

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"unicode/utf8"

	"hacheck/notify"
	"hacheck/notify/notifytest"
)

// TestThreads lets mails of one and of several instances meet in threads.
func TestThreads(t *testing.T) {
	n := must(t, config(25))
	first, second, group := notifytest.Event(), notifytest.Event(), notifytest.Event()
	second.Name, second.VIPs, second.State = "VI_2", second.VIPs[:1], notify.Backup
	group.Kind, group.Name, group.Members = notify.Group, "G1", []string{"VI_1", "VI_2"}
	one, two, all := thread(first), thread(second), thread(group)
	before := first
	before.State = notify.Master
	for _, test := range []struct {
		name         string
		notification notify.Notification
		references   string
		names        string
		states       string
		story        string
	}{
		{"one instance", notify.Notification{Event: first}, one, "VI_1", "FAULT", "transition"},
		{"two instances", notify.Notification{Event: second, Earlier: []notify.Event{first}}, one + " " + two, "VI_1, VI_2", "FAULT, BACKUP", "transition"},
		{"in another order", notify.Notification{Event: first, Earlier: []notify.Event{second}}, one + " " + two, "VI_1, VI_2", "FAULT, BACKUP", "transition"},
		{"a group and its members", notify.Notification{Event: group, Earlier: []notify.Event{second, first}}, one + " " + two + " " + all, "VI_1, VI_2, G1", "FAULT, BACKUP", "transition"},
		{"flapping", notify.Notification{Event: first, Earlier: []notify.Event{before, first, before}, Story: notify.Flapping, Count: 4}, one, "VI_1", "FAULT", "flapping"},
		{"settled", notify.Notification{Event: before, Earlier: []notify.Event{first}, Story: notify.Settled, Count: 6}, one, "VI_1", "MASTER", "settled"},
		{"reminder", notify.Notification{Event: first, Story: notify.Reminder}, one, "VI_1", "FAULT", "reminder"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.notification.Event.ID = "the-last-one"
			data, err := n.compose(test.notification)
			if err != nil {
				t.Fatal(err)
			}
			letter, _, _ := parse(t, data)
			answered, _, _ := strings.Cut(test.references, " ")
			for name, want := range map[string]string{
				"Message-Id": "<the-last-one@lb1.example.com>", "References": test.references, "In-Reply-To": answered,
				"X-Hacheck-Event": "the-last-one", "X-Hacheck-Name": test.names, "X-Hacheck-State": test.states,
				"X-Hacheck-Story": test.story, "Auto-Submitted": "auto-generated",
			} {
				if got := letter.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
	t.Run("very many", func(t *testing.T) {
		notification := notify.Notification{Event: first}
		for i := range 500 {
			other := first
			other.Name = fmt.Sprintf("VI_%d", i)
			notification.Earlier = append(notification.Earlier, other)
		}
		data, err := n.compose(notification)
		if err != nil {
			t.Fatal(err)
		}
		checkLines(t, data)
		letter, _, _ := parse(t, data)
		if got := len(strings.Fields(letter.Header.Get("References"))); got != maxThreads {
			t.Errorf("%d references, want %d", got, maxThreads)
		}
	})
}

// checkLines fails for a header line that is empty or too long.
func checkLines(t *testing.T, data []byte) {
	t.Helper()
	header, _, _ := bytes.Cut(data, []byte("\r\n\r\n"))
	for line := range bytes.SplitSeq(header, []byte("\r\n")) {
		if len(line) > 998 || len(bytes.TrimSpace(line)) == 0 {
			t.Errorf("header line %.100q (%d bytes)", line, len(line))
		}
	}
}

func TestSubjectLines(t *testing.T) {
	for _, language := range []notify.Language{notify.English, notify.SimplifiedChinese, notify.TraditionalChinese} {
		cfg := config(25)
		cfg.Style.Language = language
		data, err := must(t, cfg).compose(notifytest.Notification())
		if err != nil {
			t.Fatal(err)
		}
		checkLines(t, data)
		for line := range bytes.SplitSeq(data, []byte("\r\n")) {
			if bytes.HasPrefix(line, []byte("Subject:")) && len(line) < 40 {
				t.Errorf("%s: the subject begins with %q", language, line)
			}
		}
	}
	for _, test := range []struct{ text, want string }{
		{"short", "short"},
		{strings.Repeat("word ", 20), strings.TrimSpace(strings.Repeat("word ", 13)) + "\r\n " + strings.TrimSpace(strings.Repeat("word ", 7))},
		{"[MASTER] lb1 → x?_=", "=?UTF-8?Q?[MASTER]_lb1_=E2=86=92_x=3F=5F=3D?="},
		{"not =?UTF-8?Q?encoded?=", "=?UTF-8?Q?not_=3D=3FUTF-8=3FQ=3Fencoded=3F=3D?="},
		{"故障", "=?UTF-8?B?5pWF6Zqc?="},
		{"", ""},
	} {
		if got := unstructured("Subject", test.text); got != test.want {
			t.Errorf("%q becomes\n%q, want\n%q", test.text, got, test.want)
		}
	}
}

func FuzzUnstructured(f *testing.F) {
	f.Add("short")
	f.Add(strings.Repeat("故障 ", 60))
	f.Add("[FAULT] VI_1 → " + strings.Repeat("x", 200))
	f.Add("=?UTF-8?Q?=3D?= ?= =_")
	f.Fuzz(func(t *testing.T, text string) {
		text = headerText(text)
		got := unstructured("Subject", text)
		decoded, err := new(mime.WordDecoder).DecodeHeader(strings.ReplaceAll(got, "\r\n ", " "))
		if err != nil || decoded != text {
			t.Errorf("%q becomes %q and again %q (%v)", text, got, decoded, err)
		}
		for i, line := range strings.Split("Subject: "+got, "\r\n") {
			// An ASCII word has no place to be folded at.
			if len(line) > maxLine && (!ascii(text) || i > 0 && strings.Contains(line[1:], " ")) || i > 0 && len(line) < 2 || !utf8.ValidString(line) {
				t.Errorf("%q has the line %q", text, line)
			}
		}
	})
}

func TestPreview(t *testing.T) {
	cfg := config(2525)
	cfg.To = []string{"Ops <ops@example.com>", "on-call@example.com"}
	got, err := must(t, cfg.Split()[1]).Preview(notifytest.Notification())
	if err != nil {
		t.Fatal(err)
	}
	message := notify.Render(notifytest.Notification(), notify.English)
	root := thread(notifytest.Event())
	want := `smtp 127.0.0.1:2525 (tls: none, no login), from <hacheck@example.com> to <on-call@example.com>

From: "HA" <hacheck@example.com>
To: "Ops" <ops@example.com>, <on-call@example.com>
Subject: ` + message.Subject + `
Date: Sun, 02 Mar 2025 14:05:06 +0800
Message-ID: <01JQ0Z6K9W-lb1-VI-1@lb1.example.com>
In-Reply-To: ` + root + `
References: ` + root + `
Auto-Submitted: auto-generated
Importance: high
X-Hacheck-Event: 01JQ0Z6K9W-lb1-VI-1
X-Hacheck-Host: lb1.example.com
X-Hacheck-Name: VI_1
X-Hacheck-State: FAULT
X-Hacheck-Story: transition
X-Hacheck-Severity: critical

` + message.Text + fmt.Sprintf("\n(and the same as HTML, %d bytes)\n", len(message.HTML))
	if got != want {
		t.Errorf("preview is\n%s, want\n%s", got, want)
	}

	cfg = withLogin(t, config(587))
	cfg.TLS, cfg.Auth = StartTLS, "SCRAM-SHA-256"
	cfg.Style.Language = notify.SimplifiedChinese
	got, err = must(t, cfg).Preview(notifytest.Notification())
	if err != nil {
		t.Fatal(err)
	}
	notifytest.CheckPreview(t, got, append(secrets(), testUser))
	message = notify.Render(notifytest.Notification(), notify.SimplifiedChinese)
	for _, want := range []string{
		"smtp 127.0.0.1:587 (tls: starttls, login by scram-sha-256), from <hacheck@example.com> to <ops@example.com>\n",
		"\nSubject: " + message.Subject + "\n", message.Text,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("preview has no %q:\n%s", want, got)
		}
	}

	cfg.PasswordFile = "/no/password"
	_, err = must(t, cfg).Preview(notifytest.Notification())
	if want := "smtp 127.0.0.1:587: read password_file: open /no/password: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

// TestTemplate sends what an operator worded, in which nothing is a header.
func TestTemplate(t *testing.T) {
	template, err := notify.ParseTemplate("故障 {{.State}} \n\nBcc: x@example.net", "{{.Name}}\n.\nQUIT\n"+strings.Repeat("long ", 400), "")
	if err != nil {
		t.Fatal(err)
	}
	r := new(relay).start(t)
	cfg := config(r.port)
	cfg.Style.Template = template
	n := must(t, cfg)
	if err := n.Notify(t.Context(), notifytest.Notification()); err != nil {
		t.Fatal(err)
	}
	got := r.only(t)
	checkLines(t, got.data)
	message := cfg.Style.Render(notifytest.Notification())
	letter, err := mail.ReadMessage(bytes.NewReader(got.data))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(letter.Header.Get("Subject"))
	if err != nil || !strings.HasPrefix(subject, "故障 FAULT Bcc: ") || letter.Header.Get("Bcc") != "" {
		t.Errorf("subject is %q (%v), headers are %v", subject, err, letter.Header)
	}
	text := message.Text
	if message.HTML != "" {
		t.Fatalf("the template says in HTML: %s", message.HTML)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(letter.Body))
	if err != nil || strings.ReplaceAll(string(body), "\r\n", "\n") != text {
		t.Errorf("text is %q (%v), want %q", body, err, text)
	}
	preview, err := n.Preview(notifytest.Notification())
	if err != nil || !strings.Contains(preview, "\nSubject: "+subject+"\n") || !strings.Contains(preview, text) {
		t.Errorf("preview is\n%s (%v)", preview, err)
	}
}
