package config

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"hacheck/notify"
	"hacheck/notify/spool"
)

func TestPolicy(t *testing.T) {
	c := load(t, `
notify:
  group_wait: 0s
  flap_threshold: 5
  reminder: 0s
  max_age: 1h
  channels:
    - {type: journald}
    - {type: smtp, name: oncall, host: relay, from: a@example.org, to: [b@example.org, c@example.org], rate_limit: 30, timeout: 1m}
    - {type: telegram, token_file: /t, chat_id: 5}
    - {type: slack, name: quiet, url: https://slack.example.org/x, rate_limit: 0}
    - {type: alertmanager, urls: [http://a:9093, http://b:9093], rate_limit: 5/10s}
`)
	if got := mistakes(c); got != "" {
		t.Fatal(got)
	}
	got := c.Notify.Policy()
	want := spool.Policy{
		AttemptTimeout: 61 * time.Second, MaxAge: time.Hour, MaxEntries: 10_000, MaxBytes: 256 << 20,
		Grouping: &spool.Grouping{
			Wait: 0, Interval: 10 * time.Second,
			FlapThreshold: 5, FlapWindow: time.Minute, FlapSettle: 25 * time.Second, FlapNotice: 10 * time.Minute,
		},
		Immediate: []string{"journald"},
		Limits: map[string]spool.Limit{
			"oncall/b@example.org": {Count: 30, Per: time.Minute}, "oncall/c@example.org": {Count: 30, Per: time.Minute},
			"telegram":            {Count: 1, Per: 3 * time.Second},
			"alertmanager/a:9093": {Count: 5, Per: 10 * time.Second}, "alertmanager/b:9093": {Count: 5, Per: 10 * time.Second},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v %+v\nwant %+v %+v", got, *got.Grouping, want, *want.Grouping)
	}

	byDefault := Default().Notify.Policy()
	if !slices.Equal(byDefault.Immediate, []string{"journald"}) || byDefault.Reminder != 4*time.Hour {
		t.Errorf("by default %+v", byDefault)
	}
}

// What is shown is what counts, the defaults of the type included.
func TestShowIsEffective(t *testing.T) {
	c := load(t, `
notify:
  language: zh-TW
  channels:
    - {type: feishu, url: https://open.feishu.cn/open-apis/bot/v2/hook/s3cret}
    - {type: telegram, token_file: /etc/hacheck/t, chat_id: -100, url: 'http://u:s3cret@tg.example.org/x'}
    - {type: exec, command: [/usr/local/bin/page, s3cret], proxied: no}
`)
	if got, want := mistakes(c), `hacheck.yaml:7:60: this exec channel has no key "proxied" (known are name, type, command, timeout, language, template, only, rate_limit)`; got != want {
		t.Errorf("got %s", got)
	}
	shown, err := c.Show()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"reminder: 4h\n", "group_wait: 500ms\n",
		"name: feishu\n", "url: https://open.feishu.cn/********\n", "rate_limit: 5/3s\n", "language: zh-TW\n", "severity: info\n",
		`chat_id: "-100"`, "url: http://********@tg.example.org/x\n", "rate_limit: 1/3s\n", "timeout: 10s\n",
		"- /usr/local/bin/page\n            - '********'\n", "rate_limit: 0\n",
	} {
		if !strings.Contains(string(shown), want) {
			t.Errorf("%q is not shown in\n%s", want, shown)
		}
	}
	if strings.Contains(string(shown), "s3cret") {
		t.Errorf("a secret is shown:\n%s", shown)
	}
}

// What is left out has the value in force, and what is not set is not shown.
func TestShowFillsIn(t *testing.T) {
	for channel, want := range map[string]string{
		"{type: smtp, host: relay, from: a@example.org, to: b@example.org}": `
        - name: smtp
          type: smtp
          host: relay
          port: 587
          tls: starttls
          allow_clear_auth: false
          from: a@example.org
          to:
            - b@example.org
          timeout: 20s
          language: en
          only:
            severity: info
          rate_limit: 0
`,
		"{type: slack, url_file: /s, template: {subject: x}, only: {states: MASTER}}": `
        - name: slack
          type: slack
          url_file: /s
          insecure: false
          timeout: 10s
          language: en
          template:
            subject: x
          only:
            states:
                - MASTER
            severity: info
          rate_limit: 1/1s
`,
		"{type: bark, token_file: /t}":                                               "\n          url: https://api.day.app\n",
		"{type: bark, token_file: /t, url: https://bark.example.org/x}":              "\n          url: https://bark.example.org/x\n",
		"{type: smtp, host: r, from: a@b.c, to: a@b.c, tls: tls}":                    "\n          port: 465\n",
		"{type: smtp, host: r, from: a@b.c, to: a@b.c, port: 0, tls: none}":          "\n          port: 25\n",
		"{type: smtp, host: r, from: a@b.c, to: a@b.c, port: 2525, tls: starttls}":   "\n          port: 2525\n",
		"{tls: opportunistic, type: smtp, host: r, from: a@b.c, to: a@b.c, port: 0}": "\n          port: 25\n",
	} {
		c := load(t, "notify:\n  channels:\n    - "+channel+"\n")
		if got := mistakes(c); got != "" {
			t.Fatal(got)
		}
		shown, err := c.Show()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(shown), want) {
			t.Errorf("%s is shown as\n%s\nwant%s", channel, shown, want)
		}
	}
}

// A channel's own words are read from where its file says; words that cannot be
// used are told with their place, and the channel works without them.
func TestTemplate(t *testing.T) {
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		data, err := io.ReadAll(request.Body)
		if err != nil {
			t.Error(err)
		}
		body = string(data)
	}))
	defer server.Close()
	for _, test := range []struct{ name, template, file, said, problem string }{
		{"a subject", "{subject: 'it is {{.State}}'}", "", `"subject":"it is FAULT"`, ""},
		{"a file beside the configuration", "{text_file: own/text}", "own words on {{.Host}}", `own words on lb1`, ""},
		{"an empty one", "{}", "", `VI_1`, ""},
		{"not a template", "{subject: '{{'}", "", `VI_1`, "hacheck.yaml:6:17: channel webhook: template: subject:"},
		{"a field that is not there", "{text_file: own/text}", "{{.Colour}}", `VI_1`, "hacheck.yaml:6:17: channel webhook: template: text:"},
		{"no such file", "{text_file: none}", "", `VI_1`, "hacheck.yaml:6:17: channel webhook: template: text_file: open "},
		{"a folder", "{html_file: own}", "", `VI_1`, "own is not a regular file"},
		{"too large", "{html_file: own/text}", strings.Repeat("x", maxTemplateSize+1), `VI_1`, "own/text is larger than 65536 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "hacheck.yaml")
			if err := os.Mkdir(filepath.Join(folder, "own"), 0o700); err != nil {
				t.Fatal(err)
			}
			for path, content := range map[string]string{
				path:                                 fmt.Sprintf("notify:\n  channels:\n    - type: webhook\n      proxy: none\n      url: %s\n      template: %s\n", server.URL, test.template),
				filepath.Join(folder, "own", "text"): test.file,
			} {
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c, err := Load(path, true)
			if err != nil {
				t.Fatal(err)
			}
			if got := mistakes(c); got != "" {
				t.Fatal(got)
			}
			channels, err := c.InForce(MailDefaults{}, "test")
			if err != nil {
				t.Fatal(err)
			}
			if (channels.Problem == nil) != (test.problem == "") || channels.Problem != nil && !strings.Contains(channels.Problem.Error(), test.problem) {
				t.Errorf("problem %v, want %q", channels.Problem, test.problem)
			}
			body = ""
			if err := channels.Notifiers[0].Notify(t.Context(), notification("", moment(0, "VI_1", notify.Master, notify.Fault))); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(body, test.said) {
				t.Errorf("said %s, want %s", body, test.said)
			}
		})
	}
}

// A secret that everybody can read is told, also of a channel with a filter.
func TestWarnings(t *testing.T) {
	open := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(open, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, only := range []string{"{}", "{severity: critical}"} {
		c := load(t, "notify:\n  channels:\n    - {type: bark, token_file: "+open+", only: "+only+"}\n")
		channels, err := c.InForce(MailDefaults{}, "test")
		if err != nil {
			t.Fatal(err)
		}
		warnings := channels.Notifiers[0].(interface{ Warnings() []string }).Warnings()
		if want := fmt.Sprintf("token_file: %s is open to every account (mode 0644); chmod 0640 it", open); !slices.Equal(warnings, []string{want}) {
			t.Errorf("only %s: warnings %q", only, warnings)
		}
	}
}
