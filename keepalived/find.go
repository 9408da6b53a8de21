package keepalived

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Search says where FindConfig looks.
type Search struct {
	// Root is the directory that stands for /, for tests and for looking into
	// a container; empty means /.
	Root string
	// Parent is a process to ask before the pid files: a hook or check that
	// keepalived started passes os.Getppid(), which is right also where
	// several keepaliveds run. 0 asks the pid files only.
	Parent int
}

// maxSmallFile bounds the files FindConfig reads.
const maxSmallFile = 64 << 10

// FindConfig finds the configuration file that keepalived reads, and the
// configuration id it was started with, in this order:
//
//  1. -f (--use-file) and -i (--config-id) of the running keepalived: of
//     Search.Parent, or of the process that /run/keepalived.pid,
//     /run/vrrp.pid or /run/keepalived/*.pid names, if it is one;
//  2. the options the distribution starts it with: DAEMON_ARGS in
//     /etc/default/keepalived (Debian) or KEEPALIVED_OPTIONS in
//     /etc/sysconfig/keepalived (RHEL);
//  3. keepalived's own default: /etc/keepalived/keepalived.conf, or
//     /usr/local/etc/keepalived/keepalived.conf if only that exists.
//
// It reads a handful of small files. The path has Root before it. A file that
// an option names is returned whether it exists or not; the error of Load says
// more. Without any option and file the error is fs.ErrNotExist and says what
// was looked for.
func FindConfig(search Search) (path string, opts Options, err error) {
	if search.Root == "" {
		search.Root = "/"
	}
	started, running := search.running()
	if !running {
		started = search.configured()
	}
	opts.ConfigID = started.configID
	if started.file != "" {
		return search.in(started.file), opts, nil
	}
	defaults := []string{"/etc/keepalived/keepalived.conf", "/usr/local/etc/keepalived/keepalived.conf"}
	for _, name := range defaults {
		if _, err := os.Stat(search.in(name)); err == nil {
			return search.in(name), opts, nil
		}
	}
	return "", opts, fmt.Errorf("cannot find keepalived's configuration: no keepalived runs with -f, no distribution option names a file, and there is neither %s: %w",
		strings.Join(defaults, " nor "), fs.ErrNotExist)
}

func (s Search) in(name string) string { return filepath.Join(s.Root, name) }

// commandLine is what matters of keepalived's options.
type commandLine struct {
	file, configID string
}

// running asks the keepalived that runs.
func (s Search) running() (commandLine, bool) {
	if s.Parent > 0 {
		if line, ok := s.process(s.Parent, -1); ok {
			return line, true
		}
	}
	names := []string{s.in("/run/keepalived.pid"), s.in("/run/vrrp.pid"), s.in("/run/keepalived/keepalived.pid")}
	if more, err := filepath.Glob(s.in("/run/keepalived/*.pid")); err == nil {
		names = append(names, more[:min(len(more), 16)]...)
	}
	for _, name := range names {
		text, err := readFile(name, maxSmallFile)
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || pid <= 0 {
			continue
		}
		if line, ok := s.process(pid, owner(name)); ok {
			return line, true
		}
	}
	return commandLine{}, false
}

// process reads the command line of a process, if that is keepalived. A pid
// file may be older than its process, so the process must also belong to the
// account the pid file does, unless that is -1.
func (s Search) process(pid, uid int) (commandLine, bool) {
	dir := s.in("/proc/" + strconv.Itoa(pid))
	if uid >= 0 && owner(dir) != uid {
		return commandLine{}, false
	}
	text, err := readProc(filepath.Join(dir, "cmdline"))
	if err != nil || text == "" {
		return commandLine{}, false
	}
	args := strings.Split(strings.TrimSuffix(text, "\x00"), "\x00")
	if filepath.Base(args[0]) != "keepalived" {
		return commandLine{}, false
	}
	line := parseCommandLine(args[1:])
	if line.file != "" && !filepath.IsAbs(line.file) {
		cwd, err := os.Readlink(filepath.Join(dir, "cwd"))
		if err != nil {
			cwd = "/" // where a daemon is, and all that can be known
		}
		line.file = filepath.Join(cwd, line.file)
	}
	return line, true
}

// owner is the user id a file belongs to, -2 if that is not known.
func owner(name string) int {
	info, err := os.Stat(name)
	if err != nil {
		return -2
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -2
}

// readProc reads a file of /proc, whose size says nothing.
func readProc(name string) (string, error) {
	opened, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer opened.Close()
	buffer := make([]byte, maxSmallFile)
	n, err := opened.Read(buffer)
	if err != nil {
		return "", err
	}
	return string(buffer[:n]), nil
}

// configured reads the options that the distribution's unit passes.
func (s Search) configured() commandLine {
	for _, from := range []struct{ file, variable string }{
		{"/etc/default/keepalived", "DAEMON_ARGS"},
		{"/etc/sysconfig/keepalived", "KEEPALIVED_OPTIONS"},
	} {
		text, err := readFile(s.in(from.file), maxSmallFile)
		if err != nil {
			continue
		}
		value, ok := environmentValue(text, from.variable)
		if !ok {
			continue
		}
		words, err := commandWords(value)
		if err != nil {
			continue
		}
		line := parseCommandLine(words)
		if line.file != "" && !filepath.IsAbs(line.file) {
			line.file = "/" + line.file // the working directory of a service
		}
		if line != (commandLine{}) {
			return line
		}
	}
	return commandLine{}
}

// environmentValue returns the last value of a variable in a file of
// NAME=VALUE lines as systemd and shells read them.
func environmentValue(text []byte, variable string) (value string, found bool) {
	for line := range bytes.Lines(text) {
		name, after, ok := strings.Cut(strings.TrimSpace(string(line)), "=")
		name = strings.TrimPrefix(name, "export ")
		if !ok || strings.TrimSpace(name) != variable {
			continue
		}
		found = true
		value = strings.TrimSpace(after)
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
	}
	return value, found
}

// Options of keepalived 2.0 to 2.4 with an argument (main.c); of those in
// optionalArgument it follows without a blank or not at all.
const (
	shortWithArgument     = "uSfpirbcAs"
	shortOptionalArgument = "Mgt"
)

// longOptions are all that could be meant by an abbreviation of use-file or
// config-id, which getopt_long(3) allows while it is unambiguous.
func longOptions() []string {
	return []string{"use-file", "umask", "config-id", "config-test", "config-fd", "core-dump",
		"core-dump-pattern", "check", "checkers_pid", "no_bfd", "log-facility", "pid", "vrrp_pid",
		"bfd_pid", "snmp-agent-socket", "namespace", "signum"}
}

// longWithArgument are those whose argument may be the next word.
func longWithArgument(name string) bool {
	return slices.Contains([]string{"use-file", "umask", "config-id", "config-fd", "checkers_pid",
		"log-facility", "pid", "vrrp_pid", "bfd_pid", "snmp-agent-socket", "namespace", "signum"}, name)
}

// parseCommandLine finds -f and -i among keepalived's options as
// getopt_long(3) would; the last of each counts.
func parseCommandLine(args []string) commandLine {
	var line commandLine
	set := func(option, value string) {
		switch option {
		case "f", "use-file":
			line.file = value
		case "i", "config-id":
			line.configID = value
		}
	}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return line
		case strings.HasPrefix(arg, "--"):
			name, value, hasValue := strings.Cut(arg[2:], "=")
			name, err := longOption(name)
			if err != nil {
				continue
			}
			if !hasValue && longWithArgument(name) && i+1 < len(args) {
				i++
				value = args[i]
			}
			set(name, value)
		case len(arg) > 1 && arg[0] == '-':
			for at := 1; at < len(arg); at++ {
				option := arg[at : at+1]
				if strings.Contains(shortOptionalArgument, option) {
					break
				}
				if !strings.Contains(shortWithArgument, option) {
					continue
				}
				value := arg[at+1:]
				if value == "" && i+1 < len(args) {
					i++
					value = args[i]
				}
				set(option, value)
				break
			}
		}
	}
	return line
}

var errAmbiguous = errors.New("the option is not one that matters, or ambiguous")

// longOption completes an abbreviated long option.
func longOption(name string) (string, error) {
	found := ""
	for _, option := range longOptions() {
		if option == name {
			return option, nil
		}
		if name != "" && strings.HasPrefix(option, name) {
			if found != "" {
				return "", errAmbiguous
			}
			found = option
		}
	}
	if found == "" {
		return "", errAmbiguous
	}
	return found, nil
}
