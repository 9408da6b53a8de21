//go:build release

package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRPMLint: what the packages may be told of is in the project's own file.
func TestRPMLint(t *testing.T) {
	output := command(t, "rpmlint", "--config", filepath.Join(top, "packaging/rpm/rpmlint.toml"), rpm(dist, version, "amd64"), rpm(dist, version, "arm64"))
	if !strings.Contains(output, "2 packages and 0 specfiles checked; 0 errors, 0 warnings") {
		t.Error(output)
	}
}

// TestRPMInRootOfItsOwn installs, upgrades, downgrades and removes the package in
// an empty root with rpm's own database.
func TestRPMInRootOfItsOwn(t *testing.T) {
	root := emptyRoot(t)
	run := func(args ...string) (string, error) {
		output, err := exec.Command("rpm", append([]string{"--root", root, "--dbpath", "/var/lib/rpm"}, args...)...).CombinedOutput()
		return string(output), err
	}
	must := func(args ...string) {
		t.Helper()
		// A warning is a failure: an account that is missing is only one to rpm.
		if output, err := run(args...); err != nil || output != "" {
			t.Fatalf("rpm %s: %v\n%s", strings.Join(args, " "), err, output)
		}
	}
	program := filepath.Join(root, "usr/bin/hacheck")

	// Nothing in the root can be known to rpm: --nodeps.
	must("--install", "--nodeps", rpm(dist, version, "amd64"))
	for path, want := range map[string]string{
		"/usr/bin/hacheck":                                    "0777 root:root link",
		"/usr/libexec/keepalived/hacheck":                     "0755 root:root file",
		"/etc/hacheck":                                        "0755 root:root dir",
		"/etc/hacheck/hacheck.yaml":                           "0640 root:haproxy file",
		"/usr/lib/systemd/system/hacheck-deliver.service":     "0644 root:root file",
		"/usr/lib/systemd/system-preset/50-hacheck.preset":    "0644 root:root file",
		"/usr/lib/systemd/catalog/hacheck.zh_CN.catalog":      "0644 root:root file",
		"/usr/share/man/man1/hacheck-haproxy.1.gz":            "0644 root:root file",
		"/usr/share/man/man5/hacheck.yaml.5.gz":               "0644 root:root file",
		"/usr/share/zsh/site-functions/_hacheck":              "0644 root:root file",
		"/usr/share/bash-completion/completions/hacheck":      "0644 root:root file",
		"/usr/share/fish/vendor_completions.d/hacheck.fish":   "0644 root:root file",
		"/usr/share/licenses/hacheck/LICENSE":                 "0644 root:root file",
		"/usr/share/licenses/hacheck/third-party-licenses.gz": "0644 root:root file",
		// The post script has run.
		"/var/lib/hacheck":             "2770 hacheck:haproxy dir",
		"/var/lib/hacheck/spool/queue": "2770 hacheck:haproxy dir",
		"/var/lib/hacheck/states":      "2770 hacheck:haproxy dir",
		"/run/hacheck/verdict":         "2775 hacheck:haproxy dir",
	} {
		if got := status(t, root, path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	if target, err := os.Readlink(program); err != nil || target != "../libexec/keepalived/hacheck" {
		t.Errorf("/usr/bin/hacheck leads to %q, %v", target, err)
	}
	must("--verify", "--nodeps", "hacheck")
	if output, err := run("--query", "--qf", "%{buildhost} %{license} %{sourcerpm}\n", "hacheck"); err != nil || !strings.HasPrefix(output, "hacheck Apache-2.0 ") {
		t.Errorf("rpm --query: %v, %s", err, output)
	}

	// What the operator and the hook have written survives every change.
	yaml, event := filepath.Join(root, "etc/hacheck/hacheck.yaml"), filepath.Join(root, "var/lib/hacheck/spool/queue/event.json")
	write(t, event, "{}", 0o660)
	if err := os.WriteFile(yaml, []byte("timeout: 800ms\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	kept := func(after string) {
		t.Helper()
		if read(t, yaml) != "timeout: 800ms\n" || read(t, event) != "{}" {
			t.Errorf("%s changed hacheck.yaml or the spool", after)
		}
		if got := status(t, root, "/etc/hacheck/hacheck.yaml"); got != "0640 root:haproxy file" {
			t.Errorf("after %s hacheck.yaml is %s", after, got)
		}
	}
	both := []string{version, nextVersion}
	watched(t, program, both, func() { must("--upgrade", "--nodeps", rpm(next, nextVersion, "amd64")) })
	kept("the upgrade")
	watched(t, program, both, func() { must("--upgrade", "--nodeps", "--oldpackage", rpm(dist, version, "amd64")) })
	kept("the downgrade")
	watched(t, program, both, func() { must("--reinstall", "--nodeps", rpm(dist, version, "amd64")) })
	kept("the reinstallation")

	// A keepalived that runs and names hacheck keeps it from being removed.
	write(t, filepath.Join(root, "bin/pidof"), "#!/bin/sh\necho 1\n", 0o755)
	write(t, filepath.Join(root, "etc/keepalived/keepalived.conf"), "vrrp_script chk {\n    script \"/usr/bin/hacheck haproxy\"\n}\n", 0o644)
	output, err := run("--erase", "hacheck")
	if err == nil || !strings.Contains(output, "hacheck is not removed: keepalived is running and its configuration names\nhacheck.") {
		t.Errorf("removed under a running keepalived: %v\n%s", err, output)
	}
	watched(t, program, both, func() {})
	write(t, filepath.Join(root, "etc/keepalived/keepalived.conf"), "# script \"/usr/bin/hacheck haproxy\"\n", 0o644)
	if output, err := run("--erase", "hacheck"); err != nil || !strings.Contains(output, "hacheck.yaml saved as") {
		t.Fatalf("rpm --erase: %v\n%s", err, output)
	}
	for _, gone := range []string{"/usr/bin/hacheck", "/usr/libexec/keepalived", "/usr/lib/tmpfiles.d/hacheck.conf", "/usr/share/doc/hacheck"} {
		if got := status(t, root, gone); got != "missing" {
			t.Errorf("%s is left: %s", gone, got)
		}
	}
	if read(t, yaml+".rpmsave") != "timeout: 800ms\n" || read(t, event) != "{}" {
		t.Error("removing changed what the operator and the hook have written")
	}
}
