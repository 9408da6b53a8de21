//go:build release

package release

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLintian(t *testing.T) {
	for _, arch := range arches {
		// Errors and warnings fail; so does an override nobody needs.
		output, err := exec.Command("lintian", "--allow-root", "--fail-on", "error,warning", "--display-info", deb(dist, version, arch)).CombinedOutput()
		if text := string(output); err != nil || strings.Contains(text, "unused-override") || strings.Contains(text, "mismatched-override") {
			t.Errorf("%s: %v\n%s", arch, err, text)
		}
	}
}

func TestDebContents(t *testing.T) {
	for _, arch := range arches {
		list := command(t, "dpkg-deb", "--contents", deb(dist, version, arch))
		got := map[string]string{}
		for line := range strings.Lines(list) {
			fields := strings.Fields(line)
			owner := strings.Replace(fields[1], "0/0", "root/root", 1)
			if owner != "root/root" {
				t.Errorf("%s: %s belongs to %s", arch, fields[5], owner)
			}
			got[strings.TrimPrefix(fields[5], ".")] = fields[0]
		}
		want := map[string]string{
			"/usr/bin/hacheck":                                                  "-rwxr-xr-x",
			"/etc/hacheck/hacheck.yaml":                                         "-rw-r-----",
			"/usr/lib/systemd/system/hacheck-deliver.path":                      "-rw-r--r--",
			"/usr/lib/systemd/system/hacheck-deliver.timer":                     "-rw-r--r--",
			"/usr/lib/systemd/system/hacheck-deliver.service":                   "-rw-r--r--",
			"/usr/lib/sysusers.d/hacheck.conf":                                  "-rw-r--r--",
			"/usr/lib/tmpfiles.d/hacheck.conf":                                  "-rw-r--r--",
			"/usr/lib/systemd/catalog/hacheck.catalog":                          "-rw-r--r--",
			"/usr/lib/systemd/catalog/hacheck.zh_CN.catalog":                    "-rw-r--r--",
			"/usr/lib/systemd/catalog/hacheck.zh_TW.catalog":                    "-rw-r--r--",
			"/usr/share/man/man1/hacheck.1.gz":                                  "-rw-r--r--",
			"/usr/share/man/man1/hacheck-haproxy.1.gz":                          "-rw-r--r--",
			"/usr/share/man/man1/hacheck-config-check.1.gz":                     "-rw-r--r--",
			"/usr/share/man/man5/hacheck.yaml.5.gz":                             "-rw-r--r--",
			"/usr/share/bash-completion/completions/hacheck":                    "-rw-r--r--",
			"/usr/share/zsh/vendor-completions/_hacheck":                        "-rw-r--r--",
			"/usr/share/fish/vendor_completions.d/hacheck.fish":                 "-rw-r--r--",
			"/usr/share/doc/hacheck/changelog.gz":                               "-rw-r--r--",
			"/usr/share/doc/hacheck/changelog.Debian.gz":                        "-rw-r--r--",
			"/usr/share/doc/hacheck/copyright":                                  "-rw-r--r--",
			"/usr/share/doc/hacheck/third-party-licenses.gz":                    "-rw-r--r--",
			"/usr/share/doc/hacheck/examples/one-instance.conf":                 "-rw-r--r--",
			"/usr/share/doc/hacheck/examples/two-instances.conf":                "-rw-r--r--",
			"/usr/share/doc/hacheck/examples/sync-group.conf":                   "-rw-r--r--",
			"/usr/share/doc/hacheck/examples/vrrp3-fast.conf":                   "-rw-r--r--",
			"/usr/share/doc/hacheck/examples/migration/README.md":               "-rw-r--r--",
			"/usr/share/doc/hacheck/examples/migration/before/notify.sh":        "-rw-r--r--",
			"/usr/share/doc/hacheck/examples/keepalived.service.d/hacheck.conf": "-rw-r--r--",
		}
		for path, mode := range want {
			if got[path] != mode {
				t.Errorf("%s: %s has mode %q, want %q", arch, path, got[path], mode)
			}
		}
		// Installing changes nothing in how the pair behaves.
		for path := range got {
			for _, foreign := range []string{"/keepalived.service.d/", "/haproxy.service.d/", "/etc/keepalived", "/etc/haproxy", "/etc/cron"} {
				if strings.Contains(path, foreign) && !strings.HasPrefix(path, "/usr/share/doc/") {
					t.Errorf("%s: %s is in the package", arch, path)
				}
			}
		}
		control := filepath.Join(t.TempDir(), "control")
		command(t, "dpkg-deb", "--control", deb(dist, version, arch), control)
		if conffiles := read(t, filepath.Join(control, "conffiles")); conffiles != "/etc/hacheck/hacheck.yaml\n" {
			t.Errorf("%s: conffiles are %q", arch, conffiles)
		}
		fields := read(t, filepath.Join(control, "control"))
		for _, line := range []string{"Package: hacheck", "Version: " + version + "-1", "Architecture: " + arch} {
			if !slices.Contains(strings.Split(fields, "\n"), line) {
				t.Errorf("%s: %q is missing in\n%s", arch, line, fields)
			}
		}
	}
}

// TestDebReplacesProgram unpacks other versions over the installed one. The
// package is not configured here: its scripts are for a booted node.
func TestDebReplacesProgram(t *testing.T) {
	root := emptyRoot(t)
	for _, file := range []string{"status", "available"} {
		write(t, filepath.Join(root, "var/lib/dpkg", file), "", 0o644)
	}
	for _, dir := range []string{"info", "updates", "triggers"} {
		command(t, "mkdir", "-p", filepath.Join(root, "var/lib/dpkg", dir))
	}
	unpack := func(file string) {
		t.Helper()
		command(t, "dpkg", "--root="+root, "--log=/dev/null", "--force-depends", "--force-downgrade", "--unpack", file)
	}
	unpack(deb(dist, version, "amd64"))
	program, both := filepath.Join(root, "usr/bin/hacheck"), []string{version, nextVersion}
	watched(t, program, both, func() { unpack(deb(next, nextVersion, "amd64")) })
	watched(t, program, both, func() { unpack(deb(dist, version, "amd64")) })
}
