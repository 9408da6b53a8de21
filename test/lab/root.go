//go:build lab

package lab

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// cacheDir keeps root file systems from one run to the next.
const cacheDir = "/var/cache/hacheck-lab"

// rootPackages are what a node has beyond Debian's minimal base.
var rootPackages = []string{
	"systemd", "systemd-sysv", "dbus", "iproute2", "keepalived", "haproxy",
	"procps", "socat", "curl", "iputils-arping", "passwd",
}

// tools are the programs the lab starts on this machine, with the Debian
// package each comes from.
var tools = []struct{ program, pkg string }{
	{"debootstrap", "debootstrap"},
	{"systemd-nspawn", "systemd-container"},
	{"nsenter", "util-linux"},
}

// requireTools says which packages are missing on this machine, all at once.
func requireTools() error {
	if os.Geteuid() != 0 {
		return errors.New("the lab makes namespaces and mounts and must run as root: sudo make lab")
	}
	var missing []string
	for _, tool := range tools {
		if _, err := exec.LookPath(tool.program); err != nil {
			missing = append(missing, tool.pkg)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing packages: %s; run test/install lab as root, which installs them", strings.Join(missing, " "))
	}
	return nil
}

// rootFileSystem returns the folder of a Debian root with rootPackages,
// building it with debootstrap if the cache has none. The caller holds the
// lab's lock. The folder must not be written to: nodes lay an overlay over it.
func rootFileSystem(ctx context.Context, log io.Writer) (string, error) {
	suite, err := codename("/etc/os-release")
	if err != nil {
		return "", err
	}
	key := sha256.Sum256([]byte(strings.Join(append([]string{suite, runtime.GOARCH}, rootPackages...), "\n")))
	dir := filepath.Join(cacheDir, suite+"-"+hex.EncodeToString(key[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	source, err := aptSource("/etc/apt", suite)
	if err != nil {
		return "", err
	}
	// Built beside and renamed, so that an interrupted run leaves no half root
	// that the next one would take for whole.
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return "", err
	}
	fmt.Fprintf(log, "building the nodes' root with debootstrap (%s from %s), about a minute; kept as %s\n", suite, source.uri, dir)
	args := []string{"--variant=minbase", "--include=" + strings.Join(rootPackages, ",")}
	if source.keyring != "" {
		args = append(args, "--keyring="+source.keyring)
	}
	cmd := exec.CommandContext(ctx, "debootstrap", append(args, suite, partial, source.uri)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("debootstrap %s from %s: %w\n%s", suite, source.uri, err, lastLines(string(output), 15))
	}
	debs, _ := filepath.Glob(filepath.Join(partial, "var/cache/apt/archives/*.deb"))
	for _, deb := range debs {
		if err := os.Remove(deb); err != nil {
			return "", err
		}
	}
	return dir, os.Rename(partial, dir)
}

// codename reads VERSION_CODENAME of an os-release file (os-release(5)).
func codename(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return strings.Trim(value, `"'`), nil
		}
	}
	return "", fmt.Errorf("%s names no VERSION_CODENAME: the lab runs on Debian", path)
}

// source is an archive debootstrap can read.
type source struct{ uri, keyring string }

// aptSource finds the archive this machine itself installs suite's main
// component from, so that the lab works wherever apt does. It reads both
// formats of sources.list(5) below dir.
func aptSource(dir, suite string) (source, error) {
	files := []string{filepath.Join(dir, "sources.list")}
	for _, pattern := range []string{"*.list", "*.sources"} {
		found, _ := filepath.Glob(filepath.Join(dir, "sources.list.d", pattern))
		files = append(files, found...)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return source{}, err
		}
		read := oneLineSource
		if strings.HasSuffix(file, ".sources") {
			read = deb822Source
		}
		if found, ok := read(string(data), suite); ok {
			return found, nil
		}
	}
	return source{}, fmt.Errorf("no http, https or file source of %s main in %s: the lab builds its nodes from this machine's own apt sources", suite, strings.Join(files, ", "))
}

// oneLineSource reads "deb [signed-by=…] URI SUITE COMPONENT…" lines.
func oneLineSource(text, suite string) (source, bool) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		var keyring string
		rest = strings.TrimSpace(rest)
		if options, after, ok := strings.Cut(rest, "]"); ok && strings.HasPrefix(options, "[") {
			rest = after
			for _, option := range strings.Fields(options[1:]) {
				if path, ok := strings.CutPrefix(option, "signed-by="); ok {
					keyring = path
				}
			}
		}
		fields := strings.Fields(rest)
		if len(fields) >= 3 && usable(fields[0]) && fields[1] == suite && slices.Contains(fields[2:], "main") {
			return source{fields[0], keyringPath(keyring)}, true
		}
	}
	return source{}, false
}

// deb822Source reads stanzas of "Key: value" lines.
func deb822Source(text, suite string) (source, bool) {
	stanza := map[string]string{}
	match := func() (source, bool) {
		uris := strings.Fields(stanza["uris"])
		enabled := !strings.EqualFold(stanza["enabled"], "no")
		if enabled && len(uris) > 0 && usable(uris[0]) &&
			slices.Contains(strings.Fields(stanza["types"]), "deb") &&
			slices.Contains(strings.Fields(stanza["suites"]), suite) &&
			slices.Contains(strings.Fields(stanza["components"]), "main") {
			return source{uris[0], keyringPath(stanza["signed-by"])}, true
		}
		return source{}, false
	}
	scanner := bufio.NewScanner(strings.NewReader(text + "\n\n"))
	for scanner.Scan() {
		line := scanner.Text()
		if strings.TrimSpace(line) == "" {
			if found, ok := match(); ok {
				return found, true
			}
			clear(stanza)
			continue
		}
		if key, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") && line[0] != ' ' {
			stanza[strings.ToLower(key)] = strings.TrimSpace(value)
		}
	}
	return source{}, false
}

func usable(uri string) bool {
	return strings.HasPrefix(uri, "http://") || strings.HasPrefix(uri, "https://") || strings.HasPrefix(uri, "file:")
}

// keyringPath drops Signed-By values that are keys and not files; debootstrap
// then uses Debian's own keyring.
func keyringPath(value string) string {
	if strings.HasPrefix(value, "/") {
		return value
	}
	return ""
}

// lastLines returns the end of text, at most n lines.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
