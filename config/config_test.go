package config

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hacheck/checks"
	"hacheck/notify"
	"hacheck/notify/email"
)

func load(t *testing.T, content string) *Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hacheck.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, true)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// mistakes gives all errors without the directory of the file.
func mistakes(c *Config) string {
	var all []string
	for _, err := range []error{c.CheckErrors(), c.NotifyErrors()} {
		if err != nil {
			all = append(all, err.Error())
		}
	}
	return strings.ReplaceAll(strings.Join(all, "\n"), filepath.Dir(c.Path)+"/", "")
}

func TestMistakes(t *testing.T) {
	for _, test := range []struct{ name, content, want string }{
		{"unknown key", "timeuot: 1s\n", `hacheck.yaml:1:1: the configuration has no key "timeuot" (did you mean "timeout"?)`},
		{"key far from all", "haproxy:\n  colour: red\n", `hacheck.yaml:2:3: haproxy has no key "colour" (known are cfg, socket)`},
		{"duration without unit", "timeout: 900\n", `hacheck.yaml:1:10: "900" is not a duration (the unit is missing: 900ms or 900s?)`},
		{"duration out of range", "timeout: 1h\n", `hacheck.yaml:1:10: 1h is out of range: from 10ms to 1m`},
		{"twice", "timeout: 1s\ntimeout: 2s\n", `hacheck.yaml:2:1: the configuration has the key "timeout" twice (first on line 1)`},
		{"not YAML", "timeout: 1s\n\tstate_dir: x\n", `hacheck.yaml:2:1: this is not YAML: found a tab character that violates indentation (indent with spaces, quote texts that hold ': ' or start with a special character)`},
		{"no mapping", "- a\n", `hacheck.yaml:1:1: the configuration must be a mapping, not a list (write 'key: value' lines below it)`},
		{"no value", "timeout:\n", `hacheck.yaml:1:9: timeout has no value (leave the line out for the default, or write "" for an empty text)`},
		{"check without type", "checks:\n  redis:\n    addresses: [a:1]\n", `hacheck.yaml:2:3: check redis has no type (one of haproxy, systemd, tcp, http)`},
		{"unknown type", "checks:\n  redis:\n    type: tpc\n", `hacheck.yaml:3:11: "tpc" is not known here (did you mean "tcp"?)`},
		{"key of another type", "checks:\n  redis:\n    type: tcp\n    urls: [x]\n", `hacheck.yaml:4:5: check redis has no key "urls" (known are type, timeout, addresses, require, send, expect, tls, server_name, ca_file, insecure)`},
		{"requirement", "checks:\n  haproxy:\n    backends:\n      require: most\n", `hacheck.yaml:4:16: "most" is not a requirement: use any, all, a number from 1, or a percentage such as 50%`},
		{"bad name", "checks:\n  ../x:\n    type: tcp\n", `hacheck.yaml:2:3: "../x" cannot be a check's name (use letters, digits, '-', '_' and '.')`},
		{"escape", "checks:\n  redis:\n    type: tcp\n    addresses: [127.0.0.1:1]\n    send: 'a\\q'\n", `hacheck.yaml:2:3: check redis: send: "\\q" begins no known escape (use \r, \n, \t, \\, \xHH)`},
		{"a header twice", "checks:\n  web:\n    type: http\n    urls: [http://127.0.0.1/]\n    headers: {X-Key: a, x-key: b}\n", `hacheck.yaml:2:3: check web: headers: X-Key stands there twice, as capitals do not count`},
		{"secret in the file", "notify:\n  channels:\n    - type: smtp\n      password: x\n", `hacheck.yaml:4:7: this smtp channel has no key "password" (secrets live in files: write it to a file of mode 0600 and name that in password_file)`},
		{"two channels of one name", "notify:\n  channels:\n    - type: journald\n    - type: journald\n", `hacheck.yaml:4:7: two channels are named "journald" (the first is on line 3; give each its own name)`},
		{"channel without relay", "notify:\n  channels:\n    - type: smtp\n      to: [a@example.org]\n", `hacheck.yaml:3:7: channel smtp: host: is missing; give the mail relay's name or address`},
		{"webhook without URL", "notify:\n  channels:\n    - type: webhook\n", `hacheck.yaml:3:7: channel webhook: url: is missing; set url, or url_file to keep it secret`},
		{"language", "notify:\n  language: zh-CM\n", `hacheck.yaml:2:13: `},
		{"two documents", "timeout: 1s\n---\ntimeout: 2s\n", `hacheck.yaml:2:1: a second document begins here (one is all that is read; remove the line ---)`},
		{"relative directory", "state_dir: state\n", `hacheck.yaml:1:12: "state" is not an absolute path (it must mean the same wherever keepalived starts hacheck)`},
		{"no time at all", "checks:\n  haproxy:\n    timeout: 1ms\n", `hacheck.yaml:3:14: 1ms is out of range: from 10ms to 1m`},
		{"channels that meet in a recipient", "notify:\n  channels:\n    - {type: smtp, name: a, host: r, from: x@y.z, to: x@y.z}\n    - {type: journald, name: a/x@y.z}\n", `hacheck.yaml:4:7: two channels are named "a/x@y.z" (the first is on line 3; give each its own name)`},
		{"size", "notify:\n  max_size: 5 apples\n", `hacheck.yaml:2:13: "5 apples" is not a size (write a number with a unit, such as 512KiB or 64MiB)`},
		{"out of range", "notify:\n  group_wait: 11s\n", `hacheck.yaml:2:15: 11s is out of range: from 0s to 10s`},
		{"less than two transitions are no flap", "notify:\n  flap_threshold: 1\n", `hacheck.yaml:2:19: "1" is not a whole number from 2 to 100`},
		{"a flap that is over at once", "notify:\n  flap_threshold: 4\n  flap_settle: 20s\n", `hacheck.yaml:3:16: flap_settle (20s) must be longer than 20s: by flap_threshold (4) and flap_window (1m) an instance that changes so often flaps, and would be told to have settled after each transition (set flap_settle longer, or flap_window shorter)`},
		{"a flap that is over by default", "notify:\n  flap_window: 2m\n", `hacheck.yaml:2:16: flap_settle (25s) must be longer than 40s: by flap_threshold (4) and flap_window (2m) an instance that changes so often flaps, and would be told to have settled after each transition (set flap_settle longer, or flap_window shorter)`},
		{"a flap that cannot be judged", "notify:\n  flap_threshold: 2\n  flap_window: 2\n", `hacheck.yaml:3:16: "2" is not a duration (the unit is missing: 2ms or 2s?)`},
		{"a mistyped rule", "notify:\n  flap_treshold: 3\n", `hacheck.yaml:2:3: notify has no key "flap_treshold" (did you mean "flap_threshold"?)`},
		{"no link", "notify:\n  runbook_url: javascript:alert(1)\n", `hacheck.yaml:2:16: this is not a web address that begins with http:// or https:// and names a host (write it as https://wiki.example.org/vip)`},
		{"a password in a link", "notify:\n  runbook_url: https://me:s3cret@wiki.example.org/\n", `hacheck.yaml:2:16: the address holds a user or a password (it stands in every message)`},
		{"no type of channel", "notify:\n  channels:\n    - type: dingtalck\n", `hacheck.yaml:3:13: "dingtalck" is not known here (did you mean "dingtalk"?)`},
		{"a setting of another preset", "notify:\n  channels:\n    - type: slack\n      chat_id: 5\n", `hacheck.yaml:4:7: this slack channel has no key "chat_id" (known are name, type, url, url_file, headers, headers_file, proxy, ca_file, insecure, timeout, language, template, only, rate_limit)`},
		{"a mistyped setting of a preset", "notify:\n  channels:\n    - type: telegram\n      chatid: 5\n", `hacheck.yaml:4:7: this telegram channel has no key "chatid" (did you mean "chat_id"?)`},
		{"a token in the file", "notify:\n  channels:\n    - type: ntfy\n      token: s3cret\n", `hacheck.yaml:4:7: this ntfy channel has no key "token" (secrets live in files: write it to a file of mode 0600 and name that in token_file)`},
		{"a token of another name", "notify:\n  channels:\n    - type: pagerduty\n      routing_key: s3cret\n", `hacheck.yaml:4:7: this pagerduty channel has no key "routing_key" (secrets live in files of mode 0600, which are named in token_file or headers_file)`},
		{"the place of a channel's mistake", "notify:\n  channels:\n    - type: slack\n      url: ftp://x/\n", `hacheck.yaml:4:12: channel slack: url: must begin with http:// or https://`},
		{"two settings that do not go together", "notify:\n  channels:\n    - type: slack\n      url: https://x.example/\n      insecure: true\n      ca_file: /etc/ssl/ca.pem\n", `hacheck.yaml:6:16: channel slack: ca_file: has no effect together with insecure; remove one of them`},
		{"no members", "notify:\n  channels:\n    - type: alertmanager\n", `hacheck.yaml:3:7: channel alertmanager: urls: is missing; name every member, as they do not tell each other`},
		{"no rate", "notify:\n  channels:\n    - type: journald\n      rate_limit: 5/s\n", `hacheck.yaml:4:19: "5/s" is not a rate (write 20 for 20 in a minute, 5/10s for 5 in ten seconds, 0 for any number)`},
		{"no state", "notify:\n  channels:\n    - type: journald\n      only: {states: [MASTER, FAULTY]}\n", `hacheck.yaml:4:31: "FAULTY" is not known here (did you mean "FAULT"?)`},
		{"no severity", "notify:\n  channels:\n    - type: journald\n      only: {severity: high}\n", `hacheck.yaml:4:24: "high" is not known here (one of info, warning, critical)`},
		{"no pattern", "notify:\n  channels:\n    - type: journald\n      only: {instances: ['VI_[']}\n", `hacheck.yaml:4:26: "VI_[" is not a pattern: syntax error in pattern (* stands for any letters, ? for one, [ab] for one of these)`},
		{"a text twice", "notify:\n  channels:\n    - type: journald\n      template: {text: a, text_file: b}\n", `hacheck.yaml:4:17: text and text_file are both set (keep one of them)`},
		{"an alias that was a password", "notify:\n  channels:\n    - {type: smtp, password: *s3cret}\n", `hacheck.yaml:3:30: this is not YAML: an alias names no anchor (quote texts that begin with '*')`},
		{"a text that is a tag", "notify:\n  channels:\n    - {type: smtp, username: !s3cret, password_file: !s3cret x}\n", "hacheck.yaml:3:30: a tag of YAML stands before this value, which would be lost (quote texts that begin with '!')\nhacheck.yaml:3:54: a tag of YAML stands before this value, which would be lost (quote texts that begin with '!')"},
		{"a value that would have to be decoded", "timeout: !!binary MXM=\n", "hacheck.yaml:1:10: a tag of YAML stands before this value, which would be lost (quote texts that begin with '!')"},
		{"a header without a value", "notify:\n  channels:\n    - {type: slack, url: https://x.example/, headers: {X-A: , X-B: ~}}\n", "hacheck.yaml:3:61: X-A has no value (write \"\" for an empty text)\nhacheck.yaml:3:68: X-B has no value (write \"\" for an empty text)"},
		{"a name of two lines", "notify:\n  channels:\n    - {type: journald, name: \"a\\nb\"}\n", `hacheck.yaml:3:30: "a\nb" begins or ends with a blank, or holds what cannot be printed (it stands in lists and logs)`},
		{"a name with a blank behind it", "notify:\n  channels:\n    - {type: journald, name: 'a '}\n", `hacheck.yaml:3:30: "a " begins or ends with a blank, or holds what cannot be printed (it stands in lists and logs)`},
		{"no name", "notify:\n  channels:\n    - {type: journald, name: ''}\n", `hacheck.yaml:3:30: a name has 1 to 100 characters`},
		{"channels without end", "notify:\n  channels: [&a {type: journald}" + strings.Repeat(",*a", 100_000) + "]\n", `hacheck.yaml:2:13: 100001 channels are more than the 100 that a node can have`},
		{"all at once, in order", "timeout: 1\nrun_dir: [a]\n", "hacheck.yaml:1:10: \"1\" is not a duration (the unit is missing: 1ms or 1s?)\nhacheck.yaml:2:10: expected a single value, not a list"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := mistakes(load(t, test.content))
			if test.name == "language" {
				if !strings.HasPrefix(got, test.want) {
					t.Fatalf("got  %s\nwant %s…", got, test.want)
				}
				return
			}
			if got != test.want {
				t.Fatalf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestNotifyMistakeLeavesChecksAlone(t *testing.T) {
	for _, notifySection := range []string{
		"notify:\n  languge: en\n",
		"notify:\n\tbroken: 'yaml\n",
		"notify: [\n",
		"\"notify\": {{{\n  x\n",
		"notify:\n  a: *nowhere\n",
	} {
		for _, content := range []string{
			"timeout: 500ms\n" + notifySection + "checks:\n  haproxy:\n    unit: edge.service\n",
			notifySection + "timeout: 500ms\nchecks:\n  haproxy:\n    unit: edge.service\n",
			notifySection,
		} {
			c := load(t, content)
			if err := c.CheckErrors(); err != nil {
				t.Errorf("%q: CheckErrors: %v", content, err)
			}
			if c.NotifyErrors() == nil {
				t.Errorf("%q: NotifyErrors found nothing", content)
			}
			if check := c.HAProxyCheck(); content != notifySection && (c.Timeout != 500*time.Millisecond || check.Unit != "edge.service") {
				t.Errorf("%q: timeout %s, unit %q", content, c.Timeout, check.Unit)
			}
		}
	}
}

func TestCheckMistakeLeavesNotifyAlone(t *testing.T) {
	c := load(t, "checks:\n  'broken\nnotify:\n  language: zh-TW\n")
	if c.CheckErrors() == nil {
		t.Error("CheckErrors found nothing")
	}
	if err := c.NotifyErrors(); err != nil || c.Notify.Language != notify.TraditionalChinese {
		t.Errorf("NotifyErrors %v, language %q", err, c.Notify.Language)
	}
}

func TestAbsentFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	c, err := Load(path, false)
	if err != nil || c.Exists || c.Timeout != DefaultTimeout {
		t.Errorf("got %+v, %v", c, err)
	}
	if _, err := Load(path, true); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a named file that is absent: %v", err)
	}
}

func TestValues(t *testing.T) {
	c := load(t, `
timeout: 1.5s
state_dir: /srv/state
haproxy:
  cfg: /etc/haproxy/a.cfg
  socket: ipv4@127.0.0.1:9999
checks:
  haproxy:
    backends: {require: 50%, include: [shop, "app-*"], minimum: {shop: 2}, probe_unchecked: no}
  redis:
    type: tcp
    timeout: 200ms
    addresses: [127.0.0.1:6379]
    send: 'PING\r\n'
notify:
  max_size: 1GiB
  channels:
    - {type: smtp, host: relay, tls: none, from: a@example.org, to: [b@example.org, c@example.org]}
`)
	if got := mistakes(c); got != "" {
		t.Fatal(got)
	}
	half, _ := checks.ParseRequire("50%")
	two, _ := checks.ParseRequire("2")
	backends := c.HAProxyCheck().Backends
	want := Backends{Require: half, Include: []string{"shop", "app-*"}, Minimum: []checks.BackendMinimum{{Pattern: "shop", Servers: two}}}
	if !reflect.DeepEqual(backends, want) {
		t.Errorf("backends %+v, want %+v", backends, want)
	}
	redis, err := c.Check("redis")
	if err != nil {
		t.Fatal(err)
	}
	if redis.Deadline(c.Timeout) != 200*time.Millisecond || c.HAProxyCheck().Deadline(c.Timeout) != 1500*time.Millisecond {
		t.Error("deadlines are wrong")
	}
	if c.HAProxy.Configuration[0] != "/etc/haproxy/a.cfg" || c.Notify.MaxBytes != 1<<30 {
		t.Errorf("got %+v", c)
	}
	channels, err := c.InForce(MailDefaults{Host: "unused"}, "test")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, notifier := range channels.Notifiers {
		names = append(names, notifier.Name())
	}
	if got := strings.Join(names, " "); got != "smtp/b@example.org smtp/c@example.org" {
		t.Errorf("channels %q: each recipient must have an outcome of its own", got)
	}
}

func TestUnknownCheck(t *testing.T) {
	c := load(t, "checks:\n  redis:\n    type: tcp\n    addresses: [127.0.0.1:1]\n")
	_, err := c.Check("rediss")
	if err == nil || !strings.HasSuffix(err.Error(), `declares no check "rediss" (did you mean "redis"?)`) {
		t.Errorf("got %v", err)
	}
}

func TestDefaults(t *testing.T) {
	relay := MailDefaults{Host: "127.0.0.1", Timeout: time.Hour}
	with := func(change func(*MailDefaults)) MailDefaults {
		defaults := relay
		defaults.To = []string{"ops@example.org"}
		change(&defaults)
		return defaults
	}
	for _, test := range []struct {
		name     string
		defaults MailDefaults
		mails    string // the mail channels; journald is there or not, as on this machine
		awaited  string
		problem  string
	}{
		{"no mail settings", MailDefaults{}, "", "", ""},
		{"a relay without recipients", relay, "", "", ""},
		{"mail", with(func(*MailDefaults) {}), "mail/ops@example.org", "", ""},
		{"two", with(func(m *MailDefaults) { m.To = append(m.To, "b@example.org") }), "mail/ops@example.org mail/b@example.org", "", ""},
		{"one of them is no address", with(func(m *MailDefaults) { m.To = append(m.To, "not an address") }), "mail/ops@example.org", "", `"not an address" is not a mail address, nothing is sent there`},
		{"none of them is an address", with(func(m *MailDefaults) { m.To = []string{"a b"} }), "", "mail", `"a b" is not a mail address`},
		{"a bad sender", with(func(m *MailDefaults) { m.From = "a b" }), "mail/ops@example.org", "", `the sender "a b" is not a mail address, keepalived@`},
		{"a relay with its port", with(func(m *MailDefaults) { m.Host = "relay:25" }), "", "mail", `"relay:25" has a port in it`},
		{"settings that cannot be read", MailDefaults{Err: os.ErrPermission}, "", "mail", "keepalived.conf's mail settings are not known, mail waits: permission denied"},
	} {
		t.Run(test.name, func(t *testing.T) {
			channels, err := Default().InForce(test.defaults, "test")
			if err != nil {
				t.Fatal(err)
			}
			var mails []string
			for _, notifier := range channels.Notifiers {
				if notifier.Name() != "journald" {
					mails = append(mails, notifier.Name())
				}
			}
			if len(mails) == 0 && len(channels.Notifiers) != 1 {
				t.Error("without mail there must be journald")
			}
			if got := strings.Join(mails, " "); got != test.mails {
				t.Errorf("mails to %q, want %q", got, test.mails)
			}
			if got := strings.Join(channels.Awaited, " "); got != test.awaited {
				t.Errorf("awaits %q, want %q", got, test.awaited)
			}
			if (channels.Problem == nil) != (test.problem == "") || channels.Problem != nil && !strings.Contains(channels.Problem.Error(), test.problem) {
				t.Errorf("problem %v, want %q", channels.Problem, test.problem)
			}
		})
	}
	channels := Default().Defaults(MailDefaults{Host: "127.0.0.1", To: []string{"root"}})
	if last := channels.Notifiers[len(channels.Notifiers)-1].Name(); !strings.HasPrefix(last, "mail/root@") {
		t.Errorf("a local account became %q", last)
	}
}

// A file that cannot be read says nothing about channels: the default ones
// must not take what is meant for others.
func TestUnreadFileHasNoChannels(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "none.yaml"), t.TempDir()} {
		c, err := Load(path, true)
		if err == nil {
			t.Fatalf("%s was read", path)
		}
		if channels, err := c.InForce(MailDefaults{}, "test"); err == nil || len(channels.Notifiers) > 0 {
			t.Errorf("%s: channels %v, %v", path, channels, err)
		}
		if c.StateErrors() == nil {
			t.Errorf("%s: the state directory is taken for sure", path)
		}
	}
}

// Where it is not sure that there is no notify section, the default channels get
// the events, which wait for those meant.
func TestChannelsInDoubt(t *testing.T) {
	for content, want := range map[string]string{
		"notfy:\n  channels: []\n":      "hacheck.yaml:1:1: the configuration has no key \"notfy\"",
		"checks: [\n notify:\n":         "this is not YAML",
		"- notify:\n":                   "hacheck.yaml:1:1: ",
		"[\n":                           "this is not YAML",
		"":                              "",
		"timeout: x\nstate_dir: [1]\n":  "",
		"timeuot: 1s\nnotify: {}\n":     "",
		"checks: [\nnotify: {}\n":       "",
		"checks: {a: {type: nosuch}}\n": "",
	} {
		c := load(t, content)
		channels, err := c.InForce(MailDefaults{}, "test")
		switch {
		case err != nil || len(channels.Notifiers) == 0:
			t.Errorf("%q: channels %v, %v", content, channels, err)
		case want == "" && (channels.Problem != nil || len(channels.Awaited) > 0):
			t.Errorf("%q: %v is awaited, %v", content, channels.Awaited, channels.Problem)
		case want != "" && (len(channels.Awaited) != 1 || channels.Problem == nil ||
			!strings.HasPrefix(channels.Problem.Error(), "which channels are meant is not sure: ") || !strings.Contains(channels.Problem.Error(), want)):
			t.Errorf("%q: %v is awaited, %v", content, channels.Awaited, channels.Problem)
		}
	}
}

func TestFIFOIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, true); err == nil || !strings.HasSuffix(err.Error(), "is not a regular file") {
		t.Errorf("got %v", err)
	}
}

func TestOtherFormsOfYAML(t *testing.T) {
	for _, content := range []string{
		`{"timeout": "500ms", "notify": {"language": "zh-TW"}}`,
		"\ufefftimeout: 500ms\nnotify: {language: zh-TW}\n",
		"%YAML 1.2\n---\ntimeout: 500ms\nnotify: {language: zh-TW}\n",
		"? timeout\n: 500ms\n? notify\n: {language: zh-TW}\n",
		"timeout: !!str 500ms\nnotify: {language: !!str \"zh-TW\"}\n",
		"timeout: &t 500ms\nnotify: {language: &l zh-TW, channels: [{type: journald, name: &n 夜班, language: *l, timeout: *t}]}\n",
	} {
		c := load(t, content)
		if got := mistakes(c); got != "" || c.Timeout != 500*time.Millisecond || c.Notify.Language != notify.TraditionalChinese {
			t.Errorf("%q: %s, %s, %s", content, got, c.Timeout, c.Notify.Language)
		}
	}
}

func TestBrokenSectionsLeaveTheStateDirectory(t *testing.T) {
	c := load(t, "state_dir: /srv/state\nhaproxy:\n\tcfg: x\nnotify:\n  language: zh-TW\n")
	if c.CheckErrors() == nil || c.StateErrors() != nil || c.NotifyErrors() != nil || c.StateDir != "/srv/state" {
		t.Errorf("%v, %v, %v, %s", c.CheckErrors(), c.StateErrors(), c.NotifyErrors(), c.StateDir)
	}
	if c := load(t, "stat_dir: /srv/state\n"); c.StateErrors() == nil {
		t.Error("a mistyped state_dir does not count")
	}
}

// allOn is the documented configuration with every setting in it switched on.
func allOn(t testing.TB) string {
	t.Helper()
	reference, err := os.ReadFile("../packaging/hacheck.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var on strings.Builder
	for line := range strings.Lines(string(reference)) {
		if rest, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(rest, " ") || strings.HasPrefix(line, "#  ") {
			line = rest
		}
		on.WriteString(line)
	}
	return on.String()
}

// The documented configuration is right as it is shipped and with every
// setting in it switched on, and it has a channel of every type.
func TestReferenceConfiguration(t *testing.T) {
	reference, err := os.ReadFile("../packaging/hacheck.yaml")
	if err != nil {
		t.Fatal(err)
	}
	shipped := load(t, string(reference))
	if got := mistakes(shipped); got != "" {
		t.Errorf("as shipped: %s", got)
	}
	if lines := bytes.Count(reference, []byte("\n")); lines > 250 {
		t.Errorf("%d lines are too many to be read", lines)
	}

	c := load(t, allOn(t))
	if got := mistakes(c); got != "" {
		t.Fatalf("with all settings on: %s", got)
	}
	if len(c.Checks) != 4 {
		t.Errorf("%d checks were read: the comment marks are not as the test expects", len(c.Checks))
	}
	var kinds []ChannelKind
	for _, channel := range c.Notify.Channels {
		kinds = append(kinds, channel.Kind)
	}
	for _, kind := range channelKindNames() {
		if !slices.Contains(kinds, kind) {
			t.Errorf("there is no example of a channel of type %s", kind)
		}
	}
	for name, content := range map[string]string{"mail.txt.tmpl": "{{.State}}", "mail.html.tmpl": "<p>{{.State}}</p>"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(c.Path), name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	channels, err := c.InForce(MailDefaults{}, "test")
	if err != nil || channels.Problem != nil {
		t.Errorf("with all settings on: %v, %v", err, channels.Problem)
	}
	if got, want := len(channels.Notifiers), len(kinds)+2; got != want {
		t.Errorf("%d notifiers of %d channels: there must be one a recipient and one a member", got, want-2)
	}
}

// The values shown in the documented configuration as defaults are those, and
// it leaves none out.
func TestReferenceConfigurationShowsDefaults(t *testing.T) {
	on, defaults := load(t, allOn(t)), Default()
	on.Notify.RunbookURL, on.Notify.Channels = "", nil
	if !reflect.DeepEqual(on.Notify, defaults.Notify) {
		t.Errorf("notify: documented %+v\nin force %+v", on.Notify, defaults.Notify)
	}
	if on.Timeout != defaults.Timeout || on.StateDir != defaults.StateDir || on.RunDir != defaults.RunDir {
		t.Error("timeout, state_dir or run_dir differ")
	}
	text := allOn(t)
	for _, section := range Reference() {
		if section.Path != "notify" {
			continue
		}
		for _, s := range section.Settings {
			if !strings.Contains(text, "\n  "+s.Key+":") {
				t.Errorf("notify.%s is not in it", s.Key)
			}
		}
	}
}

// What is shown is itself a configuration, and the same one.
func TestShowRoundTrip(t *testing.T) {
	c := load(t, "timeout: 700ms\nchecks:\n  web:\n    type: http\n    urls: [http://127.0.0.1/]\n    headers: {Authorization: Bearer s3cret}\nnotify:\n  channels:\n    - {type: webhook, url: 'https://hooks.example.org/s3cret?x=s3cret'}\n    - {type: smtp, host: relay, from: a@example.org, to: b@example.org, username: u, password_file: /etc/hacheck/pw}\n")
	if got := mistakes(c); got != "" {
		t.Fatal(got)
	}
	shown, err := c.Show()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(shown), "s3cret") {
		t.Errorf("a secret is shown:\n%s", shown)
	}
	again := load(t, string(shown))
	if got := mistakes(again); got != "" {
		t.Fatalf("what is shown is not a configuration: %s\n%s", got, shown)
	}
	shownAgain, err := again.Show()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(shown, shownAgain) {
		t.Errorf("showing twice differs:\n%s\n%s", shown, shownAgain)
	}
	if again.Notify.Channels[1].SMTP.TLS != email.StartTLS {
		t.Errorf("tls is %q", again.Notify.Channels[1].SMTP.TLS)
	}
}

func FuzzLoad(f *testing.F) {
	reference, err := os.ReadFile("../packaging/hacheck.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(reference)
	f.Add([]byte(allOn(f)))
	for _, kind := range channelKinds() {
		var all strings.Builder
		for _, s := range newChannel(kind.name).settings() {
			fmt.Fprintf(&all, ", %s: %s", s.key, cmp.Or(written(s.value), "x"))
		}
		f.Add([]byte("notify:\n  channels: [{" + strings.TrimPrefix(all.String(), ", ") + "}]\n"))
	}
	f.Add([]byte("notify:\n  channels: [{type: journald, only: {instances: ['[']}, template: {text: '{{'}, rate_limit: 1/1s}]\n"))
	f.Add([]byte("a: &x [*x]\nnotify: *x\n"))
	f.Add([]byte("checks: {haproxy: {backends: {minimum: {a: 1}}}}"))
	f.Add([]byte("notify:\n  channels: [{type: smtp, to: [a]}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := Default()
		c.Path = "hacheck.yaml"
		c.parse(data)
		for _, err := range []error{c.CheckErrors(), c.NotifyErrors()} {
			if err != nil && !strings.HasPrefix(err.Error(), "hacheck.yaml") {
				t.Errorf("a mistake without its place: %v", err)
			}
		}
		if c.CheckErrors() != nil || c.NotifyErrors() != nil {
			return
		}
		shown, err := c.Show()
		if err != nil {
			t.Fatalf("a right configuration cannot be shown: %v", err)
		}
		again := Default()
		again.Path = "hacheck.yaml"
		again.parse(shown)
		if err := again.CheckErrors(); err != nil {
			t.Fatalf("what is shown is not right: %v\n%s", err, shown)
		}
		if shownAgain, err := again.Show(); again.NotifyErrors() == nil && (err != nil || !bytes.Equal(shown, shownAgain)) {
			t.Fatalf("showing twice differs (%v):\n%s\n%s", err, shown, shownAgain)
		}
	})
}
