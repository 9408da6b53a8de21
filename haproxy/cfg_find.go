package haproxy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// ConfigSource is which configuration HAProxy uses, and in what environment.
type ConfigSource struct {
	// Paths are the files and directories of -f, in order.
	Paths []string
	// Env are the variables HAProxy was, or would be, started with.
	Env map[string]string
	// EnvPartial says that there may be others.
	EnvPartial bool
	// Origin says in words where this is known from.
	Origin string
}

// Options returns options that read the configuration in its environment.
func (s ConfigSource) Options(only Want) ConfigOptions {
	return ConfigOptions{
		Env: func(name string) (string, bool) {
			value, ok := s.Env[name]
			return value, ok
		},
		EnvPartial: s.EnvPartial,
		Only:       only,
	}
}

// DefaultSockets lists where an admin socket is usually found when no
// configuration that names one can be read: as packaged for Debian and
// Ubuntu, as packaged for RHEL and its kin, and as often met in the field.
func DefaultSockets() []string {
	return []string{"/run/haproxy/admin.sock", "/var/lib/haproxy/stats", "/var/run/haproxy.sock"}
}

// ConfigFromCommand reads HAProxy's command line: -f FILE, -f DIRECTORY, the
// files after --, -C DIRECTORY for relative ones, -L for the local peer's
// name. The first word may be the program. Words may hold what systemd
// replaces in ExecStart=, "$NAME" as a word of its own (which becomes as many
// words as its value has) and "${NAME}" anywhere; env is the unit's
// environment, files included. It is an error if no configuration is named.
func ConfigFromCommand(words []string, env map[string]string) (ConfigSource, error) {
	return configFromCommand(expandCommand(words, env), env, "/")
}

// configFromCommand takes relative paths to be below dir, where no -C is.
func configFromCommand(words []string, env map[string]string, dir string) (ConfigSource, error) {
	s := ConfigSource{Env: maps.Clone(env), Origin: "HAProxy's command line"}
	if s.Env == nil {
		s.Env = make(map[string]string)
	}
	if len(words) > 0 && !strings.HasPrefix(words[0], "-") {
		words = words[1:]
	}
	// As HAProxy does, look at an option's first letter; see its usage().
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		if word == "--" {
			s.Paths = append(s.Paths, words...)
			break
		}
		if len(word) < 2 || word[0] != '-' {
			continue // HAProxy refuses it
		}
		switch word[1] {
		case 's': // -sf and -st take process ids up to the next option
			for len(words) > 0 && !strings.HasPrefix(words[0], "-") {
				words = words[1:]
			}
			continue
		case 'f', 'C', 'L', 'n', 'N', 'm', 'p', 'S', 'x':
		default:
			if word != "-cc" { // the one of the others that takes a value
				continue
			}
		}
		if len(words) == 0 {
			return ConfigSource{}, fmt.Errorf("HAProxy's command line ends after %s", word)
		}
		value := words[0]
		words = words[1:]
		switch word[1] {
		case 'f':
			s.Paths = append(s.Paths, value)
		case 'C':
			if !filepath.IsAbs(value) {
				value = filepath.Join(dir, value)
			}
			dir = value
		case 'L':
			s.Env["HAPROXY_LOCALPEER"] = value
		}
	}
	s.Paths = slices.DeleteFunc(s.Paths, func(path string) bool { return path == "" })
	if len(s.Paths) == 0 {
		return ConfigSource{}, errors.New("HAProxy's command line names no configuration (-f)")
	}
	for i, path := range s.Paths {
		if !filepath.IsAbs(path) {
			s.Paths[i] = filepath.Join(dir, path)
		}
	}
	return s, nil
}

// expandCommand replaces variables as systemd.service(5) says under "Command
// lines".
func expandCommand(words []string, env map[string]string) []string {
	var out []string
	for _, word := range words {
		if name, ok := strings.CutPrefix(word, "$"); ok && isName(name) {
			out = append(out, splitShell(env[name])...)
			continue
		}
		out = append(out, expandBraced(word, env))
	}
	return out
}

// expandBraced replaces ${NAME}, and $$ by the sign itself.
func expandBraced(word string, env map[string]string) string {
	var out strings.Builder
	for {
		text, rest, found := strings.Cut(word, "$")
		out.WriteString(text)
		if !found {
			return out.String()
		}
		name, after, braced := strings.Cut(strings.TrimPrefix(rest, "{"), "}")
		switch {
		case strings.HasPrefix(rest, "{") && braced && isName(name):
			out.WriteString(env[name])
			rest = after
		case strings.HasPrefix(rest, "$"):
			out.WriteByte('$')
			rest = rest[1:]
		default:
			out.WriteByte('$')
		}
		word = rest
	}
}

func isName(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && s[i] != '_' {
			return false
		}
	}
	return s != ""
}

// splitShell splits at spaces outside of quotes and takes the quotes off.
func splitShell(s string) []string {
	split := splitter{env: &environment{}}
	words, err := split.split(strings.ReplaceAll(s, "$", `\$`))
	if err != nil { // an unmatched quote
		return strings.Fields(s)
	}
	return words
}

const (
	configFile = "/etc/haproxy/haproxy.cfg" // of every distribution's package
	configDir  = "/etc/haproxy/conf.d"      // read too by RHEL's unit, by Debian's not
	pidFile    = "/run/haproxy.pid"         // of both units
)

// FindConfig finds the configuration HAProxy uses without asking systemd:
//
//  1. from the command line of the running process that /run/haproxy.pid
//     names, if it is HAProxy;
//  2. else as the packaged units put it together, from CONFIG and EXTRAOPTS in
//     /etc/default/haproxy (Debian) or from CONFIG, CFGDIR and OPTIONS in
//     /etc/sysconfig/haproxy (RHEL);
//  3. else /etc/haproxy/haproxy.cfg, and /etc/haproxy/conf.d if it exists.
//
// Root is put before all paths, those returned too; empty means the real file
// system. A handful of small files are read. The result is not checked for
// existence, so that reading it says what is missing. An error means that the
// options in an environment file cannot be read.
func FindConfig(root string) (ConfigSource, error) {
	f := finder{root: root}
	if s, ok := f.running(); ok {
		return s, nil
	}
	return f.packaged()
}

type finder struct{ root string }

// maxSmallFile bounds the small files that are read here. A command line has
// at most 2 MiB (execve(2), with the default stack limit).
const maxSmallFile = 2 << 20

func (f finder) read(path string) (string, error) {
	path = filepath.Join(f.root, path)
	// Opening must not wait, which it does for a FIFO without a writer.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil {
		return "", err
	} else if !info.Mode().IsRegular() {
		return "", &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	data, err := io.ReadAll(io.LimitReader(file, maxSmallFile))
	return string(data), err
}

// rooted puts root before the paths of s.
func (f finder) rooted(s ConfigSource, origin string) ConfigSource {
	s.Origin = origin
	if f.root != "" {
		for i, path := range s.Paths {
			s.Paths[i] = filepath.Join(f.root, path)
		}
	}
	return s
}

func (f finder) running() (ConfigSource, bool) {
	text, err := f.read(pidFile)
	if err != nil {
		return ConfigSource{}, false
	}
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	pid, err := strconv.ParseUint(text, 10, 31)
	if err != nil || pid == 0 {
		return ConfigSource{}, false
	}
	proc := "/proc/" + strconv.FormatUint(pid, 10)
	text, err = f.read(proc + "/cmdline")
	if err != nil {
		return ConfigSource{}, false
	}
	words := strings.Split(strings.TrimSuffix(text, "\x00"), "\x00")
	if !strings.HasPrefix(filepath.Base(words[0]), "haproxy") {
		return ConfigSource{}, false // the file outlived its process, and the number has another owner
	}
	// Its directory and its environment are not for every account to see.
	dir, err := os.Readlink(filepath.Join(f.root, proc, "cwd"))
	if err != nil {
		dir = "/"
	}
	env := make(map[string]string)
	text, err = f.read(proc + "/environ")
	partial := err != nil
	if partial {
		f.environmentFiles(env)
	}
	for entry := range strings.SplitSeq(text, "\x00") {
		if name, value, ok := strings.Cut(entry, "="); ok {
			env[name] = value
		}
	}
	s, err := configFromCommand(words, env, dir)
	if err != nil {
		return ConfigSource{}, false
	}
	s.EnvPartial = partial
	return f.rooted(s, "the command line of process "+strconv.FormatUint(pid, 10)), true
}

// environmentFiles reads the files the packaged units read, into env, and
// returns those that exist.
func (f finder) environmentFiles(env map[string]string) (read []string) {
	for _, path := range [...]string{"/etc/default/haproxy", "/etc/sysconfig/haproxy"} {
		if text, err := f.read(path); err == nil {
			parseEnvironmentFile(text, env)
			read = append(read, path)
		}
	}
	return read
}

func (f finder) packaged() (ConfigSource, error) {
	// What the units set before they read the files.
	env := map[string]string{"CONFIG": configFile, "CFGDIR": configDir}
	read := f.environmentFiles(env)
	words := []string{"haproxy", "-f", "$CONFIG"}
	debian := len(read) > 0 && read[0] == "/etc/default/haproxy"
	if info, err := os.Stat(filepath.Join(f.root, env["CFGDIR"])); !debian && err == nil && info.IsDir() {
		words = append(words, "-f", "$CFGDIR")
	}
	words = append(words, "$EXTRAOPTS", "$OPTIONS")
	s, err := ConfigFromCommand(words, env)
	if err != nil {
		return ConfigSource{}, fmt.Errorf("%s: %w", strings.Join(read, ", "), err)
	}
	s.EnvPartial = true
	origin := "the packaged default"
	if len(read) > 0 {
		origin = strings.Join(read, ", ")
	}
	return f.rooted(s, origin), nil
}

// parseEnvironmentFile reads NAME=value lines into env, as systemd.exec(5)
// describes EnvironmentFile=: comments begin with # or ;, a backslash at the
// end continues a line, values may be quoted. A leading "export", which the
// files of older init scripts have, is passed over.
func parseEnvironmentFile(text string, env map[string]string) {
	text = strings.ReplaceAll(text, "\\\n", "")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		line = strings.TrimPrefix(line, "export ")
		name, value, ok := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !isName(name) {
			continue
		}
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			double := value[0] == '"'
			value = value[1 : n-1]
			if double {
				value = strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\$`, `$`, "\\`", "`").Replace(value)
			}
		}
		env[name] = value
	}
}
