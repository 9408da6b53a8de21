package docs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hacheck/config"
	"hacheck/keepalived"
)

// languages are those a fenced block may have: each is looked at by a test.
var languages = map[string]string{
	"sh":         "TestCommands",
	"console":    "TestCommands",
	"yaml":       "TestYAML",
	"keepalived": "TestKeepalivedConf",
	"ini":        "TestUnits",
	"text":       "what a program says or a drawing, for people only",
	"mermaid":    "a drawing",
	"go":         "the test of CONTRIBUTING.md",
	"diff":       "the test of CONTRIBUTING.md",
	"haproxy":    "TestHAProxyCfg",
}

func TestEveryBlockIsLookedAt(t *testing.T) {
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if _, ok := languages[b.lang]; !ok && b.lang != "" {
				t.Errorf("%s:%d: no test looks at the language %q", p.path, b.line, b.lang)
			}
		}
	}
}

// TestYAML loads each configuration as the program does, and gives what is
// another program's to that one.
func TestYAML(t *testing.T) {
	seen := 0
	eachBlock(t, "yaml", func(t *testing.T, where string, b block) {
		seen++
		path := filepath.Join(t.TempDir(), "block.yaml")
		write(t, path, b.text)
		switch b.notes["for"] {
		case "":
			loaded, err := config.Load(path, true)
			if err = errors.Join(err, loaded.CheckErrors(), loaded.NotifyErrors()); err != nil {
				t.Errorf("%s: %v", where, err)
				return
			}
			if channels, err := loaded.InForce(config.MailDefaults{}, "docs"); err != nil || channels.Problem != nil {
				t.Errorf("%s: %v, %v", where, err, channels.Problem)
			}
		case "alertmanager":
			if output, err := exec.Command("amtool", "check-config", path).CombinedOutput(); err != nil {
				t.Errorf("%s: amtool: %v: %s", where, err, output)
			}
		case "ansible":
			inventory := filepath.Join(filepath.Dir(path), "inventory")
			write(t, inventory, "[lb]\nlb-a\nlb-b\n")
			command := exec.Command("ansible-playbook", "--syntax-check", "--inventory", inventory, path)
			command.Dir = filepath.Dir(path)
			command.Env = append(os.Environ(), "ANSIBLE_LOCALHOST_WARNING=false", "HOME="+t.TempDir())
			if output, err := command.CombinedOutput(); err != nil || strings.Contains(string(output), "WARNING") {
				t.Errorf("%s: ansible: %v: %s", where, err, output)
			}
		default:
			t.Errorf("%s: nobody knows how to check a file for %q", where, b.notes["for"])
		}
	})
	if seen < 16 {
		t.Errorf("only %d blocks were found", seen)
	}
}

// snippetFrame makes a whole file of lines that belong into an instance.
const snippetFrame = `global_defs {
    script_user root
    enable_script_security
}
vrrp_script chk_haproxy {
    script "/usr/bin/hacheck haproxy"
    interval 1
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 100
    virtual_ipaddress {
        192.0.2.100/24
    }
    track_script {
        chk_haproxy
    }
SNIPPET
}
`

// TestKeepalivedConf has keepalived itself and hacheck's reader read each block.
func TestKeepalivedConf(t *testing.T) {
	seen := 0
	eachBlock(t, "keepalived", func(t *testing.T, where string, b block) {
		seen++
		text := b.text
		if b.notes["in"] == "instance" {
			text = strings.Replace(snippetFrame, "SNIPPET", text, 1)
		}
		path := filepath.Join(t.TempDir(), "keepalived.conf")
		write(t, path, text)
		output, err := exec.Command("keepalived", "--config-test", "--use-file", path).CombinedOutput()
		// keepalived 2.2 ends its own test by a signal once a script's user is
		// not root, having said what it has to say.
		if otherUser := strings.Contains(text, "\n    script_user hacheck"); err != nil && !otherUser || strings.TrimSpace(string(output)) != "" {
			t.Errorf("%s: keepalived --config-test: %v: %s", where, err, output)
		}
		conf, err := keepalived.Load(path, keepalived.Options{})
		switch {
		case err != nil:
			t.Errorf("%s: %v", where, err)
		case len(conf.Instances) == 0:
			t.Errorf("%s: hacheck finds no instance in it", where)
		}
	})
	if seen < 6 {
		t.Errorf("only %d blocks were found", seen)
	}
}

// TestUnits has systemd read the drop-ins for units.
func TestUnits(t *testing.T) {
	eachBlock(t, "ini", func(t *testing.T, where string, b block) {
		unit := b.notes["unit"]
		source := filepath.Join(repository(t), "packaging/systemd", unit)
		if unit == "keepalived.service" {
			source = "/lib/systemd/system/" + unit
		}
		base, err := os.ReadFile(source)
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		dir := t.TempDir()
		write(t, filepath.Join(dir, unit), string(base))
		write(t, filepath.Join(dir, unit+".d", "docs.conf"), b.text)
		output, err := exec.Command("systemd-analyze", "verify", "--man=no", filepath.Join(dir, unit)).CombinedOutput()
		if err != nil || strings.Contains(string(output), "docs.conf") {
			t.Errorf("%s: systemd-analyze verify: %v: %s", where, err, output)
		}
	})
}

// TestHAProxyCfg has HAProxy read the sections shown.
func TestHAProxyCfg(t *testing.T) {
	eachBlock(t, "haproxy", func(t *testing.T, where string, b block) {
		path := filepath.Join(t.TempDir(), "haproxy.cfg")
		write(t, path, b.text)
		if output, err := exec.Command("haproxy", "-c", "-f", path).CombinedOutput(); err != nil {
			t.Errorf("%s: haproxy -c: %v: %s", where, err, output)
		}
	})
}

// eachBlock runs a test over every block of a language.
func eachBlock(t *testing.T, lang string, test func(t *testing.T, where string, b block)) {
	t.Helper()
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.lang == lang {
				test(t, p.path+":"+itoa(b.line), b)
			}
		}
	}
}
