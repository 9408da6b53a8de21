package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hacheck/notify/webhook"
)

func TestReferenceIsWhole(t *testing.T) {
	var paths []string
	for _, section := range Reference() {
		name := strings.TrimSpace(section.Path + " " + section.Type)
		if slices.Contains(paths, name) {
			t.Errorf("section %q comes twice", name)
		}
		paths = append(paths, name)
		if section.Doc == "" || len(section.Settings) == 0 {
			t.Errorf("section %q says nothing", name)
		}
		for _, s := range section.Settings {
			if s.Key == "" || s.Doc == "" || s.Type == "" {
				t.Errorf("section %q: %+v says too little", name, s)
			}
		}
	}
	for _, want := range []string{
		"", "haproxy", "checks.NAME http", "checks.NAME.backends haproxy", "notify",
		"notify.channels[]", "notify.channels[].only", "notify.channels[] smtp", "notify.channels[] exec",
	} {
		if !slices.Contains(paths, want) {
			t.Errorf("section %q is missing", want)
		}
	}
	for _, preset := range webhook.Presets() {
		if preset != webhook.Generic && !slices.Contains(paths, "notify.channels[] "+string(preset)) {
			t.Errorf("there is no type of channel for the preset %s", preset)
		}
	}
}

func TestReferenceWordsValues(t *testing.T) {
	settings := map[string]Setting{}
	for _, section := range Reference() {
		for _, s := range section.Settings {
			settings[strings.TrimPrefix(section.Type+" "+section.Path+"."+s.Key, " ")] = s
		}
	}
	for key, want := range map[string]string{
		".timeout":                             "duration [10ms to 1m] 900ms",
		"notify.group_wait":                    "duration [0s to 10s] 500ms",
		"notify.flap_threshold":                "whole number [2 to 100] 4",
		"notify.reminder":                      "duration [0s, or 1m to 720h] 4h",
		"notify.max_size":                      "size [1MiB to 1024GiB] 256MiB",
		"notify.language":                      "language [en zh-CN zh-TW] en",
		"notify.channels[].only.severity":      "word [info warning critical] info",
		"dingtalk notify.channels[].url":       "web address [] secret",
		"smtp notify.channels[].tls":           "word [starttls tls opportunistic none] starttls",
		"http checks.NAME.status":              "list of texts [] [200-299]",
		"haproxy checks.NAME.backends.require": "any, all, N or N% [] any",
	} {
		s := settings[key]
		got := fmt.Sprintf("%s [%s] %s", s.Type, s.Range+strings.Join(s.Choices, " "), s.Default)
		if s.Secret {
			got += "secret"
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
}

// Whatever shape a secret has, wherever it is written by mistake: no error and
// nothing that is shown repeats it.
func TestNoErrorRepeatsASecret(t *testing.T) {
	const canary = "s3cret"
	shapes := []string{
		"s3cret", `"s3cret\r\n"`, `"s3\u0001 s3cret"`, "[s3cret]", "[[s3cret]]", "{Name: s3cret}", "{a: {b: s3cret}}", "[{a: s3cret}]",
		`"://s3cret"`, `"http://u:s3cret@"`, `"https://u:s3cret@h:port/s3cret"`, `"https://h/%zzs3cret"`, `"https://u:s3cret@h/?s3cret"`, `"s3cret:1"`,
		"*s3cret", `"\qs3cret"`, "!!int s3cret", `'\qs3cret'`, "| s3cret",
	}
	// Of some addresses only the user, the password and the query are secret.
	addresses := []string{
		`"http://u:s3cret@"`, `"https://u:s3cret@h:port/"`, `"https://u:s3cret@h/%zz"`, `"https://u:s3cret@h/?s3cret"`, `"https://h/?s3cret"`,
		`"ftp://u:s3cret@h/"`, `["u:s3cret@h"]`, `["https://u:s3cret@[h/"]`, `"https://u:s3cret@h/\r"`, `"unix:/run/x:/?s3cret"`, `["unix:relative:/?s3cret"]`,
	}
	// Of a command the program is no secret.
	commands := []string{`[/bin/x, s3cret]`, `"/bin/x s3cret"`, `[/bin/x, "s3cret\u0000"]`, `[x, s3cret]`, `"x s3cret"`, `[[s3cret]]`, `{s: s3cret}`, `[/bin/x, [s3cret]]`}
	seen := 0
	check := func(content string, key string) {
		t.Helper()
		seen++
		c := Default()
		c.Path = "hacheck.yaml"
		c.parse([]byte(content))
		said := mistakes(c)
		if channels, err := c.InForce(MailDefaults{}, "test"); err != nil {
			said += err.Error()
		} else if channels.Problem != nil {
			said += channels.Problem.Error()
		}
		shown, err := c.Show()
		if err != nil {
			said += err.Error()
		}
		if strings.HasSuffix(key, "_file") {
			shown = nil // the path of a secret is shown
		}
		if strings.Contains(said+string(shown), canary) {
			t.Errorf("%s\nis answered by %s\n%s", content, said, shown)
		}
	}
	for _, section := range Reference() {
		for _, s := range section.Settings {
			if !s.Secret && !strings.HasSuffix(s.Key, "_file") || s.Key == "ca_file" || s.Key == "text_file" || s.Key == "html_file" {
				continue
			}
			tried := shapes
			switch {
			case s.Key == "urls" || s.Key == "proxy" || s.Key == "url" && !has(section, "url_file"):
				tried = addresses
			case s.Key == "command":
				tried = commands
			}
			for _, shape := range tried {
				where := "checks:\n  x:\n    type: %s\n    %s: %s\n"
				if strings.HasPrefix(section.Path, "notify.") {
					where = "notify:\n  channels:\n    - type: %s\n      %s: %s\n"
				}
				check(fmt.Sprintf(where, section.Type, s.Key, shape), s.Key)
			}
		}
	}
	for _, kind := range channelKinds() {
		for _, key := range []string{"password", "token", "secret", "access_token", "key", "routing_key"} {
			for _, shape := range []string{"s3cret", "[s3cret]", "*s3cret", `"\qs3cret"`} {
				check(fmt.Sprintf("notify:\n  channels:\n    - type: %s\n      %s: %s\n", kind.name, key, shape), key)
			}
		}
	}
	if seen < 900 {
		t.Errorf("only %d configurations were tried", seen)
	}
}

func has(section Section, key string) bool {
	return slices.ContainsFunc(section.Settings, func(s Setting) bool { return s.Key == key })
}
