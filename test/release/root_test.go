//go:build release

package release

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// emptyRoot makes a root file system with nothing in it but what the packages'
// scripts call.
func emptyRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	// t.TempDir is for this account alone, and its parents too.
	for dir := root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n", 0o644)
	write(t, filepath.Join(root, "etc/group"), "root:x:0:\n", 0o644)
	for _, dir := range []string{"run", "var/lib", "tmp", "proc"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	libraries := regexp.MustCompile(`(/\S+) \(0x`)
	for _, program := range []string{
		"/bin/dash", "/bin/cat", "/bin/grep", "/bin/sed", "/usr/bin/tr", "/bin/systemd-sysusers", "/bin/systemd-tmpfiles",
	} {
		files := []string{program}
		for _, match := range libraries.FindAllStringSubmatch(command(t, "ldd", program), -1) {
			files = append(files, match[1])
		}
		for _, file := range files {
			target := filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				t.Fatal(err)
			}
			command(t, "cp", "--dereference", file, target)
		}
	}
	if err := os.Symlink("dash", filepath.Join(root, "bin/sh")); err != nil {
		t.Fatal(err)
	}
	return root
}

// watched runs the check's program again and again while change runs, the way
// keepalived does, and looks at its file even more often. It must be there, be
// one of the versions, and run, at any instant.
func watched(t *testing.T, program string, versions []string, change func()) {
	t.Helper()
	stop, done := make(chan struct{}), make(chan struct{})
	var runs, looks int
	seen := map[string]int{}
	go func() {
		defer close(done)
		for {
			runs++
			output, err := exec.Command(program, "version").Output()
			line, _, _ := strings.Cut(string(output), " (")
			if err != nil {
				t.Errorf("run %d of %s: %v", runs, program, err)
			}
			seen[strings.TrimPrefix(line, "hacheck ")]++
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		tick := time.NewTicker(100 * time.Microsecond)
		defer tick.Stop()
		for {
			looks++
			// What a failing execve would say: keepalived takes it for healthy.
			if err := syscall.Access(program, 1); err != nil {
				t.Errorf("look %d: %s: %v", looks, program, err)
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	change()
	close(stop)
	<-done
	<-looked
	for version := range seen {
		if !slices.Contains(versions, version) {
			t.Errorf("%s said it is version %q, which is none of %q", program, version, versions)
		}
	}
	t.Logf("%d runs (%v) and %d looks", runs, seen, looks)
}

// status describes a file as "0640 root:haproxy file", by the names the root has.
func status(t *testing.T, root, path string) string {
	t.Helper()
	info, err := os.Lstat(filepath.Join(root, path))
	if err != nil {
		return "missing"
	}
	stat := info.Sys().(*syscall.Stat_t)
	kind := map[uint32]string{syscall.S_IFDIR: "dir", syscall.S_IFREG: "file", syscall.S_IFLNK: "link"}[stat.Mode&syscall.S_IFMT]
	return fmt.Sprintf("%04o %s:%s %s", stat.Mode&0o7777, nameIn(t, root, "passwd", stat.Uid), nameIn(t, root, "group", stat.Gid), kind)
}

// nameIn finds the name of an id in /etc/passwd or /etc/group.
func nameIn(t *testing.T, root, file string, id uint32) string {
	t.Helper()
	for line := range strings.Lines(read(t, filepath.Join(root, "etc", file))) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); len(fields) > 2 && fields[2] == fmt.Sprint(id) {
			return fields[0]
		}
	}
	return fmt.Sprint(id)
}
