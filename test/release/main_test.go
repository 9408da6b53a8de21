//go:build release

package release

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// top is the top of the repository.
var top = must(filepath.Abs(filepath.Join("..", "..")))

// dist has what is published, built before the first test; work is for
// everything else. The next version is packages alone, for upgrades.
var dist, next, work string

// versions of dist and next.
var version string

const nextVersion = "9.0.0+git1"

var arches = []string{"amd64", "arm64"}

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := prepared(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		code = 1
	}
	os.Exit(code)
}

func prepared(m *testing.M) (int, error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("packages are installed into roots of their own, which needs root: sudo make package-test")
	}
	var missing []string
	for _, tool := range [...]struct{ program, pkg string }{
		{"lintian", "lintian"}, {"rpm", "rpm"}, {"rpmlint", "rpmlint"}, {"cpio", "cpio"}, {"qemu-aarch64", "qemu-user"},
		{"haproxy", "haproxy"}, {"keepalived", "keepalived"}, {"systemd-analyze", "systemd"}, {"journalctl", "systemd"},
		{"dash", "dash"}, {"unshare", "util-linux"}, {"ip", "iproute2"}, {"dpkg-deb", "dpkg"}, {"man", "man-db"},
		{"zsh", "zsh"}, {"fish", "fish"},
	} {
		if _, err := exec.LookPath(tool.program); err != nil {
			missing = append(missing, tool.pkg)
		}
	}
	if len(missing) > 0 {
		return 0, fmt.Errorf("missing packages: %s; run 'test/install test package' as root, which installs them", strings.Join(missing, " "))
	}
	var err error
	if work, err = os.MkdirTemp("", "hacheck-release-test-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	// The account's programs must be able to reach what is installed below.
	if err := os.Chmod(work, 0o755); err != nil {
		return 0, err
	}
	dist, next = filepath.Join(work, "dist"), filepath.Join(work, "next")
	if err := build(top, dist, nil); err != nil {
		return 0, err
	}
	if err := build(top, next, nil, "-version", nextVersion, "-platforms", "amd64"); err != nil {
		return 0, err
	}
	debs, err := filepath.Glob(filepath.Join(dist, "hacheck_*-1_amd64.deb"))
	if err != nil || len(debs) != 1 {
		return 0, fmt.Errorf("%d packages for amd64 in %s: %v", len(debs), dist, debs)
	}
	version = strings.TrimSuffix(strings.TrimPrefix(filepath.Base(debs[0]), "hacheck_"), "-1_amd64.deb")
	return m.Run(), nil
}

// build runs the release build of the tree in dir.
func build(dir, out string, env []string, flags ...string) error {
	cmd := exec.Command("go", append([]string{"run", "./packaging/release", "-out", out}, flags...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building in %s: %w\n%s", dir, err, output)
	}
	return nil
}

// deb and rpm give the path of a package in a folder with a build.
func deb(folder, version, arch string) string {
	return filepath.Join(folder, fmt.Sprintf("hacheck_%s-1_%s.deb", version, arch))
}

func rpm(folder, version, arch string) string {
	return filepath.Join(folder, fmt.Sprintf("hacheck-%s-1.%s.rpm", version, map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch]))
}

// command runs a program and gives its output and error output, failing the
// test if it fails.
func command(t *testing.T, args ...string) string {
	t.Helper()
	output, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return string(output)
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// unpacked gives a folder with the deb's files.
func unpacked(t *testing.T, arch string) string {
	t.Helper()
	dir := t.TempDir()
	command(t, "dpkg-deb", "--extract", deb(dist, version, arch), dir)
	return dir
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// differences lists the files that are not the same in two folders.
func differences(t *testing.T, a, b string) []string {
	t.Helper()
	var different []string
	for _, from := range []string{a, b} {
		entries, err := os.ReadDir(from)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			one, errOne := os.ReadFile(filepath.Join(a, entry.Name()))
			other, errOther := os.ReadFile(filepath.Join(b, entry.Name()))
			if errOne != nil || errOther != nil || !bytes.Equal(one, other) {
				different = append(different, entry.Name())
			}
		}
	}
	return different
}
