package keepalived

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// load reads text as the main file of a directory that also holds the given
// files, and fails the test if Load does.
func load(t *testing.T, text string, opts Options, files ...string) *Config {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		write(t, filepath.Join(dir, files[i]), files[i+1], 0o644)
	}
	return loadIn(t, dir, text, opts)
}

func loadIn(t *testing.T, dir, text string, opts Options) *Config {
	t.Helper()
	name := filepath.Join(dir, "keepalived.conf")
	write(t, name, text, 0o644)
	config, err := Load(name, opts)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

// problems gives the problems as "file:line: message" with the base name.
func problems(config *Config) []string {
	var texts []string
	for _, problem := range config.Problems {
		problem.Pos.File = filepath.Base(problem.Pos.File)
		texts = append(texts, problem.String())
	}
	return texts
}

// wantProblems compares all problems; each wanted text begins one of them.
func wantProblems(t *testing.T, config *Config, wanted ...string) {
	t.Helper()
	got := problems(config)
	ok := len(got) == len(wanted)
	for i := 0; ok && i < len(got); i++ {
		ok = strings.HasPrefix(got[i], wanted[i])
	}
	if !ok {
		t.Errorf("problems:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(wanted, "\n  "))
	}
}

// vips gives the addresses of an instance in short.
func vips(t *testing.T, config *Config, instance string) string {
	t.Helper()
	in, ok := config.Instance(instance)
	if !ok {
		t.Fatalf("there is no instance %q; problems: %q", instance, problems(config))
	}
	var texts []string
	for _, vip := range in.VIPs {
		text := fmt.Sprintf("%v/%d@%s", vip.Addr, vip.Prefix, vip.Device)
		if vip.Excluded {
			text += "!"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " ")
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
		t.Errorf("%s = %#v, want %#v", what, got, want)
	}
}

func TestFieldSync(t *testing.T) {
	config, err := Load("testdata/field/sync/keepalived.conf", Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantProblems(t, config)
	g := config.Global
	equal(t, "recipients", g.NotificationEmail, []string{"ops@example.org", "oncall@example.org"})
	equal(t, "from", g.NotificationEmailFrom, "keepalived@example.org")
	equal(t, "server", g.SMTPServer, SMTPServer{"mail.example.org", 587})
	equal(t, "timeout", g.SMTPConnectTimeout, 30*time.Second)
	equal(t, "router id", g.RouterID, "LVS_A")
	equal(t, "script user", g.ScriptUser+":"+g.ScriptGroup, "keepalived_script:haproxy")
	equal(t, "script security", g.EnableScriptSecurity, true)
	if pos, ok := g.Settings.Pos("script_user"); !ok || pos.String() != "testdata/field/sync/keepalived.conf:13" {
		t.Errorf("script_user is at %v", pos)
	}

	script := config.Scripts[0]
	equal(t, "command", script.Command.Words, []string{"/usr/bin/hacheck", "haproxy"})
	equal(t, "text", script.Command.Text, `"/usr/bin/hacheck haproxy"`)
	equal(t, "times", []time.Duration{script.Interval, script.Timeout}, []time.Duration{5 * time.Second, 5 * time.Second})
	equal(t, "rise, fall, weight", []int{script.Rise, script.Fall, script.Weight}, []int{1, 3, 0})
	equal(t, "timeout was set", script.Settings.Has("timeout"), false)
	equal(t, "rise was set", script.Settings.Has("rise"), true)

	equal(t, "VIPs", vips(t, config, "VI_PUBLIC"), "192.0.2.61/24@eth0 192.0.2.62/24@eth0 2001:db8::61/64@eth0!")
	equal(t, "VIPs", vips(t, config, "VI_PRIVATE"), "10.9.8.61/32@eth1")
	in, _ := config.Instance("VI_PUBLIC")
	equal(t, "position", in.Pos.Line, 32)
	equal(t, "label", in.VIPs[1].Label, "eth0:62")
	equal(t, "password", in.AuthPass.Reveal(), "K!f26b90")
	equal(t, "nopreempt", in.Nopreempt, true)
	equal(t, "tracked", in.TrackScripts[0].Name, "check_haproxy")

	group, ok := config.GroupOf("VI_PRIVATE")
	if !ok || group.Name != "VG1" {
		t.Fatalf("VI_PRIVATE is in %v", group)
	}
	equal(t, "members", group.Members, []string{"VI_PUBLIC", "VI_PRIVATE"})
	equal(t, "notify", group.Hooks.Any.Words, []string{"/usr/bin/hacheck", "notify"})
	equal(t, "notify_stop", group.Hooks.Stop.Words, []string{"/usr/bin/hacheck", "notify", "STOP", "VG1"})
	if _, ok := config.GroupOf("VI_OTHER"); ok {
		t.Error("VI_OTHER is in a group")
	}
}

func TestFieldDualVIP(t *testing.T) {
	for _, node := range []struct{ file, state, vips string }{
		{"keepalived-a.conf", "MASTER", "6 15"},
		{"keepalived-b.conf", "BACKUP", "6 28"},
	} {
		config, err := Load(filepath.Join("testdata/field/dual-vip", node.file), Options{})
		if err != nil {
			t.Fatal(err)
		}
		wantProblems(t, config)
		equal(t, "VIPs of VI_1", vips(t, config, "VI_1"), "198.51.100.222/32@ens192")
		equal(t, "VIPs of VI_2", vips(t, config, "VI_2"), "203.0.113.222/32@ens160")
		one, two := config.Instances[0], config.Instances[1]
		equal(t, "ids", fmt.Sprint(one.VirtualRouterID, two.VirtualRouterID), node.vips)
		equal(t, "state", one.State, node.state)
		equal(t, "peers", len(one.UnicastPeers), 1)
		equal(t, "fault hook", two.Hooks.Fault.Words, []string{"/usr/bin/hacheck", "notify", "FAULT", "VI_2"})
		equal(t, "weight", one.TrackScripts[0].Weight, -30)
		equal(t, "server", config.Global.SMTPServer, SMTPServer{"127.0.0.1", 25})
	}
}

func TestFieldWeb(t *testing.T) {
	config, err := Load("testdata/field/web/keepalived-a.conf", Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantProblems(t, config)
	equal(t, "files", config.Files, []string{"testdata/field/web/keepalived-a.conf",
		"testdata/field/web/conf.d/10-check.conf", "testdata/field/web/conf.d/20-vip.conf"})
	equal(t, "VIPs", vips(t, config, "VI_1"), "192.0.2.100/24@eth0")
	in, _ := config.Instance("VI_1")
	equal(t, "position", in.Pos.String(), "testdata/field/web/conf.d/20-vip.conf:1")
	equal(t, "label", in.VIPs[0].Label, "eth0:vip")
	equal(t, "interface", in.TrackInterfaces[0].Name, "eth0")
}

func TestSecretIsMasked(t *testing.T) {
	config := load(t, `vrrp_instance VI {
  interface eth0
  authentication {
    auth_type PASS
    auth_pass geheim{geheim
  }
  virtual_ipaddress { 10.0.0.1 }
}
vrrp_instance V2 {
  auth_hmac {
    key 1 geheim}geheim
  }
  auth_pass "geheim geheim
}
`, Options{})
	config.Instances[0].AuthPass = Secret{"geheim"}
	encoded, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(encoded), fmt.Sprintf("%v %+v %#v %s %q %x %d", config, config, *config,
		config.Instances[0].AuthPass, config.Instances[0].AuthPass, config.Instances[0].AuthPass, config.Instances[0].AuthPass),
		fmt.Sprintf("%+v", config.Instances), fmt.Sprintf("%#v", config.Instances), strings.Join(problems(config), "\n")} {
		if strings.Contains(text, "geheim") || strings.Contains(text, "67656865") {
			t.Errorf("the password shows in %s", text)
		}
	}
	if !strings.Contains(string(encoded), `"AuthPass":"***"`) {
		t.Errorf("no mask in %s", encoded)
	}
	equal(t, "hidden problems", slices.ContainsFunc(problems(config), func(text string) bool {
		return strings.Contains(text, "unknown keyword (hidden: the line holds a password)")
	}), true)
}
