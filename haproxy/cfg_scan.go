package haproxy

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

const (
	// maxWords is how many words HAProxy takes on a line (MAX_LINE_ARGS).
	maxWords = 64
	// maxExpanded bounds what variables may make of a line. HAProxy has no
	// such bound, but there `setenv A "$A$A"` can only hurt HAProxy itself.
	maxExpanded = 64 << 10
)

// environment is what "$NAME" and defined() see: the process's own variables
// under those the configuration sets on its way.
type environment struct {
	outer   func(string) (string, bool) // nil once resetenv has emptied it
	partial bool                        // outer may not know everything that is set
	set     map[string]envValue
}

type envValue struct {
	text    string
	defined bool // false after unsetenv
}

// lookup returns a variable's value and whether it is set; known is false
// where that cannot be told from here.
func (e *environment) lookup(name string) (value string, set, known bool) {
	if v, ok := e.set[name]; ok {
		return v.text, v.defined, true
	}
	if e.outer != nil {
		if v, ok := e.outer(name); ok {
			return v, true, true
		}
	}
	if name == "HAPROXY_LOCALPEER" { // HAProxy sets it to the host's name unless -L or localpeer does
		if host, err := os.Hostname(); err == nil {
			return host, true, true
		}
	}
	// HAProxy sets further HAPROXY_… variables itself, more with each release.
	return "", false, !e.partial && !strings.HasPrefix(name, "HAPROXY_")
}

func (e *environment) put(name string, v envValue) {
	if e.set == nil {
		e.set = make(map[string]envValue)
	}
	e.set[name] = v
}

// reset forgets every variable but those named (resetenv).
func (e *environment) reset(keep []string) {
	kept := make(map[string]envValue, len(keep))
	for _, name := range keep {
		if v, set, _ := e.lookup(name); set {
			kept[name] = envValue{v, true}
		}
	}
	e.outer, e.partial, e.set = nil, false, kept
}

// splitter cuts lines into words as HAProxy's parse_line() does
// (configuration manual, sections 2.2 and 2.3).
type splitter struct {
	env     *environment
	file    string // for ${.FILE}
	line    int    // for ${.LINE}
	section string // for ${.SECTION}

	words []string // reused from line to line
	// missing names the variables the last line used that are not set, or
	// whose value is unknown here. They expand to nothing.
	missing []string
}

// isSpace is C's isspace() in the C locale.
func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// split returns the words of a line. They are valid until the next call.
func (s *splitter) split(line string) ([]string, error) {
	s.words, s.missing = s.words[:0], s.missing[:0]
	// A CR ends the line wherever it stands, so that CRLF files work.
	line, _, _ = strings.Cut(line, "\r")
	if strings.ContainsAny(line, "\\\"'#\x00") {
		return s.splitQuoted(line)
	}
	for i := 0; i < len(line); {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		start := i
		for i < len(line) && !isSpace(line[i]) {
			i++
		}
		if start < i {
			s.words = append(s.words, line[start:i])
		}
	}
	return s.words, s.tooMany()
}

func (s *splitter) tooMany() error {
	if len(s.words) > maxWords {
		return fmt.Errorf("more than %d words on a line", maxWords)
	}
	return nil
}

// splitQuoted is split for lines that hold quotes, escapes, comments or NULs.
func (s *splitter) splitQuoted(line string) ([]string, error) {
	var (
		word           strings.Builder
		begun          bool // a word has begun, perhaps an empty one: ""
		single, double bool // within quotes
		expanded       int
	)
	end := func() {
		if begun {
			s.words = append(s.words, word.String())
			word.Reset()
			begun = false
		}
	}
	i := 0
scan:
	for i < len(line) {
		c := line[i]
		i++
		switch {
		case c == 0:
			return nil, errors.New("a NUL byte")
		case c == '#' && !single && !double:
			break scan
		case c == '"' && !single:
			double, begun = !double, true
		case c == '\'' && !double:
			single, begun = !single, true
		case c == '\\' && !single:
			b, n, err := unescape(line[i:], double)
			if err != nil {
				return nil, err
			}
			word.WriteByte(b)
			begun = true
			i += n
		case isSpace(c) && !single && !double:
			end()
		case c == '$' && double:
			value, n, spread, err := s.variable(line[i:])
			if err != nil {
				return nil, err
			}
			i += n
			if expanded += len(value); expanded > maxExpanded {
				return nil, fmt.Errorf("variables expand to more than %d bytes", maxExpanded)
			}
			if !spread {
				word.WriteString(value)
				continue
			}
			for len(value) > 0 { // ${NAME[*]}: each run of spaces begins a new word
				j := strings.IndexFunc(value, func(r rune) bool { return r < 0x80 && isSpace(byte(r)) })
				if j < 0 {
					word.WriteString(value)
					break
				}
				word.WriteString(value[:j])
				end()
				begun = true // still within the double quotes
				value = strings.TrimLeft(value[j:], " \t\n\v\f\r")
			}
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if single || double {
		return nil, errors.New("unmatched quote")
	}
	end()
	return s.words, s.tooMany()
}

// unescape reads what follows a backslash: the byte meant, and how many bytes
// of rest it took. A backslash before anything else stands for itself.
func unescape(rest string, double bool) (b byte, n int, err error) {
	if rest == "" {
		return '\\', 0, nil
	}
	switch c := rest[0]; c {
	case ' ', '\\', '#', '\'', '"':
		return c, 1, nil
	case '$':
		if double {
			return c, 1, nil
		}
	case 't':
		return '\t', 1, nil
	case 'n':
		return '\n', 1, nil
	case 'r':
		return '\r', 1, nil
	case 'x':
		if len(rest) >= 3 {
			if v, err := strconv.ParseUint(rest[1:3], 16, 8); err == nil {
				return byte(v), 3, nil
			}
		}
		return 0, 0, errors.New(`\x without two hexadecimal digits`)
	}
	return '\\', 0, nil
}

// variable reads what follows a "$" within double quotes: NAME, {NAME},
// {NAME-default} or {NAME[*]}. It returns the value, how many bytes of rest it
// took, and whether the value is to be spread over words.
func (s *splitter) variable(rest string) (value string, n int, spread bool, err error) {
	brace := strings.HasPrefix(rest, "{")
	i := 0
	if brace {
		i++
	}
	start := i
	if i < len(rest) && rest[i] == '.' {
		i++
	}
	for i < len(rest) && (isAlnum(rest[i]) || rest[i] == '_') {
		i++
	}
	name := rest[start:i]
	if name == "" || '0' <= name[0] && name[0] <= '9' {
		return "", 0, false, errors.New("a $ in double quotes without the name of a variable (write \\$ for the sign itself)")
	}
	var set, known bool
	switch {
	case name == ".FILE":
		value, set = s.file, true
	case name == ".LINE":
		value, set = strconv.Itoa(s.line), true
	case name == ".SECTION":
		value, set = s.section, true
	case name[0] == '.':
		return "", 0, false, fmt.Errorf("unknown variable %q", name)
	default:
		value, set, known = s.env.lookup(name)
	}
	if !brace {
		if !set {
			s.missing = append(s.missing, name)
		}
		return value, i, false, nil
	}
	if after, ok := strings.CutPrefix(rest[i:], "[*]"); ok {
		spread, i = true, len(rest)-len(after)
	}
	end := strings.IndexByte(rest[i:], '}')
	if end < 0 {
		return "", 0, false, fmt.Errorf("${%s without its closing brace", name)
	}
	hasDefault := strings.HasPrefix(rest[i:], "-")
	if !hasDefault && end != 0 {
		return "", 0, false, fmt.Errorf("${%s is followed by %q, not by a closing brace", name, rest[i:i+1])
	}
	if !set {
		if hasDefault {
			value = rest[i+1 : i+end]
		}
		if !hasDefault || !known {
			s.missing = append(s.missing, name)
		}
	}
	return value, i + end + 1, spread, nil
}

// expandAddress replaces $NAME and ${NAME} in an address, where HAProxy does
// so outside quotes too (str2sa_range() calls env_expand()).
func (s *splitter) expandAddress(addr string) string {
	if strings.IndexByte(addr, '$') < 0 {
		return addr
	}
	var out strings.Builder
	for {
		text, rest, found := strings.Cut(addr, "$")
		out.WriteString(text)
		if !found || out.Len() > maxExpanded {
			return out.String()
		}
		brace := strings.HasPrefix(rest, "{")
		rest = strings.TrimPrefix(rest, "{")
		i := 0
		for i < len(rest) && (isAlnum(rest[i]) || rest[i] == '_') {
			i++
		}
		value, set, _ := s.env.lookup(rest[:i])
		if !set {
			s.missing = append(s.missing, rest[:i])
		}
		out.WriteString(value)
		addr = rest[i:]
		if brace {
			addr = strings.TrimPrefix(addr, "}")
		}
	}
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
