package keepalived

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Limits on what is read, so that no file makes the reader hang or grow. They
// are far above what any real configuration needs.
const (
	// maxPhysicalLine is where keepalived 2.2.7 cuts a line in two (MAXBUF less
	// the terminating NUL), and what a line may grow to by definitions.
	maxPhysicalLine = 1023
	maxFiles        = 4096
	maxDepth        = 32
	maxBytes        = 64 << 20
	// maxLooks counts what include lines look at: patterns, directories, the
	// names in them and files, whether there is something or not.
	maxLooks = 100_000
	// maxGenerated counts the lines made by ~SEQ, ~LST and definitions of
	// several lines, maxExpansions the definitions put in for one line, and
	// maxAllExpansions those put in for all.
	maxGenerated     = 100_000
	maxExpansions    = 1000
	maxAllExpansions = 1_000_000
	maxDefinitions   = 10_000
	// maxDefinitionLines is how many lines one definition may have.
	maxDefinitionLines = 10_000
	maxProblems        = 1000
)

// holdsSecret reports whether a line holds a password (auth_pass) or a key
// (key, in auth_hmac).
func holdsSecret(text string) bool {
	return strings.Contains(text, "auth_pass") || strings.HasPrefix(text, "key ") || strings.HasPrefix(text, "key\t")
}

// lines gives the logical lines of a configuration: included files in place,
// comments and conditionals resolved, definitions and sequences expanded, and
// braces at the begin of a line of their own.
type lines struct {
	opts     Options
	configID string
	// noIncludes leaves include lines out.
	noIncludes bool
	problem    func(Pos, string)

	files  []*file // innermost last
	opened []string
	bytes  int

	// rest is what follows a brace on its line.
	rest string
	// sources are read before the files, innermost last.
	sources     []source
	definitions map[string]*definition
	// generated, expansions and looks may still be made: the limits count down.
	generated, expansions, looks int

	// once is set while global_defs is read: keepalived's parent process does
	// that, from the file. Everything else is read by the VRRP process, since
	// 2.2.0 from a copy whose comments are removed already, and it removes them
	// again.
	once bool
	// secret is set while the logical line, or what remains of it, holds a
	// password: no problem may quote it.
	secret bool
	// unopened remembers where the blocks began that are still open.
	open []Pos
}

// file is a file being read.
type file struct {
	name string
	dir  string // with which relative includes and _PWD begin
	path string // absolute, to find cycles
	data string
	line int
	// cut is set while the rest of a line that was too long is to be read, and
	// secret if that may be part of a password.
	cut, secret bool
	// next are the files of the same include line still to come.
	next []string
}

// definition is the value of $NAME: one line, or several.
type definition struct {
	value string
	lines []string
	multi bool
	// builtin computes the value of the standard definitions.
	builtin func(parameter string) string
	// parameters says that ${NAME PARAMETER} is allowed.
	parameters bool
}

// source is a definition of several lines that has been used, or a sequence.
type source struct {
	lines []string
	seq   *sequence
}

// pos is the position of the current line.
func (l *lines) pos() Pos {
	if len(l.files) == 0 {
		if len(l.opened) == 0 {
			return Pos{}
		}
		return Pos{l.opened[0], 1}
	}
	f := l.files[len(l.files)-1]
	return Pos{f.name, max(f.line, 1)}
}

func (l *lines) report(format string, args ...any) {
	l.problem(l.pos(), fmt.Sprintf(format, args...))
}

// next returns the next logical line, never empty, without blanks around it.
func (l *lines) next() (string, bool) {
	var continued *definition // the definition that goes on
	for {
		text, ok := l.raw()
		if !ok {
			return "", false
		}
		if continued != nil {
			if !continued.extend(text) {
				continued = nil
			}
			continue
		}
		if text == "" {
			continue
		}
		if text, continued = l.expand(text); text == "" {
			continue
		}
		l.secret = l.secret || holdsSecret(text)
		if kind, pattern, ok := includeLine(text); ok {
			l.openInclude(kind, pattern)
			continue
		}
		return l.splitBrace(text), true
	}
}

// raw returns the next line before definitions: the rest of a line, a
// generated line, or one from the file. Blank lines count: one ends a
// definition.
func (l *lines) raw() (string, bool) {
	if l.rest != "" {
		text := l.rest
		l.rest = ""
		return text, true
	}
	l.secret = false
	if text, ok := l.generate(); ok {
		return text, true
	}
	return l.physical()
}

// generate returns the next line of the innermost sequence or definition.
func (l *lines) generate() (string, bool) {
	for len(l.sources) > 0 {
		if l.generated == 0 {
			l.report("~SEQ, ~LST and definitions make more than %d lines; the rest is left out", maxGenerated)
			l.sources = nil
			return "", false
		}
		l.generated--
		top := &l.sources[len(l.sources)-1]
		if top.seq != nil {
			seq := top.seq
			if more := seq.step(l.define); !more {
				l.sources = l.sources[:len(l.sources)-1]
			}
			return seq.text, true
		}
		if len(top.lines) == 0 {
			l.sources = l.sources[:len(l.sources)-1]
			continue
		}
		text := top.lines[0]
		top.lines = top.lines[1:]
		return text, true
	}
	return "", false
}

// physical reads a line of the innermost file and removes its comment.
func (l *lines) physical() (string, bool) {
	for len(l.files) > 0 {
		f := l.files[len(l.files)-1]
		if f.data == "" {
			l.nextFile(f)
			continue
		}
		// Of a long line no more than a piece is searched for its end at a time.
		text, _, _ := strings.Cut(f.data[:min(len(f.data), maxPhysicalLine+1)], "\n")
		rest := strings.TrimPrefix(f.data[len(text):], "\n")
		again := f.cut
		if !again {
			f.line++
		}
		l.secret = again && f.secret
		if f.cut = len(text) > maxPhysicalLine; f.cut {
			text, rest = f.data[:maxPhysicalLine], f.data[maxPhysicalLine:]
			if !again {
				l.report("the line is longer than %d bytes: keepalived 2.2.7 reads what follows as a line of its own, later versions drop part of it", maxPhysicalLine)
			}
			f.secret = l.secret || holdsSecret(text)
		}
		f.data = rest
		if f.line == 1 && strings.HasPrefix(text, "\ufeff") {
			l.report("the file begins with a byte order mark, which keepalived takes for part of the first word: save it without")
		}
		if before, _, found := strings.Cut(text, "\x00"); found {
			l.report("the line holds a NUL byte; keepalived reads up to it")
			text = before
		}
		return l.cleanLine(strings.TrimRight(text, "\r")), true
	}
	return "", false
}

// cleanLine removes the comment the number of times keepalived does.
func (l *lines) cleanLine(text string) string {
	text, unclosed := uncomment(text)
	if unclosed {
		l.report("a double quote is not closed")
	}
	if l.once || l.opts.before(2, 2, 0) {
		return text
	}
	again, _ := uncomment(text)
	if again != text {
		l.report(`\# and \! keep a comment sign only in global_defs: keepalived removes comments twice elsewhere, and the rest of the line with them; put the value in double quotes`)
	}
	return again
}

// nextFile replaces a file that has ended by the next one of its include line.
func (l *lines) nextFile(f *file) {
	l.files = l.files[:len(l.files)-1]
	l.openFirst(f.next)
}

// openFirst opens the first of the files that can be read.
func (l *lines) openFirst(paths []string) {
	for i, path := range paths {
		if l.openFile(path, paths[i+1:]) {
			return
		}
	}
}

// openFile puts an included file on the stack.
func (l *lines) openFile(path string, next []string) bool {
	absolute := absolutePath(path)
	for _, outer := range l.files {
		if outer.path == absolute {
			l.report("%s includes itself; this include is left out", path)
			return false
		}
	}
	if len(l.files) >= maxDepth {
		l.report("includes are nested more than %d deep; %s is left out", maxDepth, path)
		return false
	}
	if len(l.opened) >= maxFiles {
		l.report("more than %d files are included; %s is left out", maxFiles, path)
		return false
	}
	if !l.look(1) {
		return false
	}
	info, err := os.Stat(path)
	if err != nil {
		l.report("cannot include %s: %v", path, reason(err))
		return false
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		l.report("%s is a directory; keepalived skips it", path)
		return false
	case !mode.IsRegular():
		l.report("%s is not a regular file; keepalived skips it", path)
		return false
	case mode&0o111 != 0:
		l.report("%s has an execute bit (mode %04o); keepalived skips it", path, mode.Perm())
		return false
	}
	data, err := readFile(path, maxBytes-l.bytes)
	l.bytes += len(data)
	if err != nil {
		l.report("cannot include %s: %v", path, reason(err))
		return false
	}
	l.push(path, data, next)
	return true
}

// look counts what an include line is about to look at, and reports whether it
// may.
func (l *lines) look(n int) bool {
	if l.looks == 0 {
		return false
	}
	if l.looks = max(l.looks-n, 0); l.looks == 0 {
		l.report("include lines look at more than %d names; nothing more is included", maxLooks)
	}
	return l.looks > 0
}

// push makes data the innermost file.
func (l *lines) push(path string, data []byte, next []string) {
	l.opened = append(l.opened, path)
	absolute := absolutePath(path)
	l.files = append(l.files, &file{
		name: path, path: absolute, dir: filepath.Dir(absolute), data: string(data), next: next,
	})
}

func absolutePath(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return filepath.Clean(path)
}

// splitBrace puts a brace at the begin of a line alone on it, and keeps what
// stands before a brace together; the rest is read next.
func (l *lines) splitBrace(text string) string {
	at := 0
	if text[0] != '{' && text[0] != '}' {
		if at = braceOutsideQuotes(text); at < 0 {
			return text
		}
		l.rest = text[at:]
		return strings.TrimRight(text[:at], " \t")
	}
	l.rest = strings.Trim(text[1:], " \t")
	if text[0] == '{' {
		l.open = append(l.open, l.pos())
	} else if len(l.open) > 0 {
		l.open = l.open[:len(l.open)-1]
	} else {
		l.report("unexpected }: no block is open")
	}
	return text[:1]
}

// braceOutsideQuotes finds the first brace that is not between double quotes.
// Here keepalived knows no single quotes and no escapes.
func braceOutsideQuotes(text string) int {
	for at := 0; at < len(text); at++ {
		i := strings.IndexAny(text[at:], `{}"`)
		if i < 0 {
			return -1
		}
		at += i
		if text[at] != '"' {
			return at
		}
		i = strings.IndexByte(text[at+1:], '"')
		if i < 0 {
			return -1
		}
		at += i + 1
	}
	return -1
}

// expand resolves a conditional, a definition, a sequence and the definitions
// used in a line. It returns what remains of the line, which may be nothing,
// and the definition that the next lines continue, if any.
func (l *lines) expand(text string) (string, *definition) {
	for range maxExpansions {
		if text[0] == '@' {
			if text = l.conditional(text); text == "" {
				return "", nil
			}
		}
		if name, value, ok := definitionLine(text); ok {
			return "", l.defineLine(name, value)
		}
		if strings.HasPrefix(text, "~SEQ") || strings.HasPrefix(text, "~LST") {
			l.startSequence(text)
			return "", nil
		}
		if text[0] == '~' || !strings.Contains(text, "$") {
			return text, nil
		}
		replaced, changed := l.replace(text)
		if !changed {
			return replaced, nil
		}
		text, _ = uncomment(replaced)
		if text == "" || text[0] != '@' && !strings.Contains(text, "$") {
			return text, nil
		}
	}
	l.report("definitions refer to each other without an end; the line is left out")
	return "", nil
}

// conditional resolves "@id rest" and "@^id rest".
func (l *lines) conditional(text string) string {
	id, rest, found := cutBlank(text[1:])
	if !found {
		return ""
	}
	inverted := strings.HasPrefix(id, "^")
	if (strings.TrimPrefix(id, "^") == l.configID) == inverted {
		return ""
	}
	return rest
}

// cutBlank cuts at the first run of blanks.
func cutBlank(text string) (before, after string, found bool) {
	at := strings.IndexAny(text, " \t")
	if at < 0 {
		return text, "", false
	}
	return text[:at], strings.TrimLeft(text[at:], " \t"), true
}

// definitionLine recognises $NAME=VALUE; there is no blank before the =.
func definitionLine(text string) (name, value string, ok bool) {
	if text[0] != '$' {
		return "", "", false
	}
	name, value, ok = strings.Cut(text[1:], "=")
	if !ok || name == "" || nameLength(name) != len(name) {
		return "", "", false
	}
	return name, strings.TrimLeft(value, " \t"), true
}

// nameLength is the length of the definition name that text begins with.
func nameLength(text string) int {
	for i := range len(text) {
		char := text[i]
		letter := char|0x20 >= 'a' && char|0x20 <= 'z' || char == '_'
		if !letter && (i == 0 || char < '0' || char > '9') {
			return i
		}
	}
	return len(text)
}

// defineLine stores a definition. A value that ends in a backslash goes on in
// the following lines.
func (l *lines) defineLine(name, value string) *definition {
	d := l.slot(name)
	if d == nil {
		return nil
	}
	*d = definition{}
	first, goesOn := strings.CutSuffix(value, `\`)
	if !goesOn {
		d.value = value
		return nil
	}
	d.multi = true
	if first = strings.TrimRight(first, " \t"); first != "" {
		d.lines = append(d.lines, first)
	}
	return d
}

// extend adds a line to a definition and reports whether it goes on.
func (d *definition) extend(text string) bool {
	text, goesOn := strings.CutSuffix(text, `\`)
	if text = strings.TrimRight(text, " \t"); text != "" && len(d.lines) < maxDefinitionLines {
		d.lines = append(d.lines, text)
	}
	if !goesOn && len(d.lines) == 0 {
		d.multi = false
	}
	return goesOn
}

// define sets a definition of one line; sequences use it for their variables.
func (l *lines) define(name, value string) {
	if d := l.slot(name); d != nil {
		*d = definition{value: value}
	}
}

// slot returns the place for a definition, or nil when there are too many.
func (l *lines) slot(name string) *definition {
	if d, ok := l.definitions[name]; ok {
		return d
	}
	if len(l.definitions) >= maxDefinitions {
		l.report("there are more than %d definitions; $%s is left out", maxDefinitions, name)
		return nil
	}
	d := new(definition)
	l.definitions[name] = d
	return d
}

// replace puts in the definitions used in text, and those used in their
// values. It reports whether anything was replaced.
func (l *lines) replace(text string) (result string, changed bool) {
	at := 0
	for range maxExpansions {
		i := strings.IndexByte(text[at:], '$')
		if i < 0 || at+i+1 == len(text) {
			return text, changed
		}
		at += i
		d, parameter, length := l.use(text[at+1:])
		if d == nil {
			at++
			continue
		}
		if l.expansions == 0 {
			l.report("definitions are used more than %d times; the line is left out", maxAllExpansions)
			return "", true
		}
		l.expansions--
		value := d.value
		var following []string
		switch {
		case d.builtin != nil:
			value = d.builtin(parameter)
		case d.multi && len(d.lines) > 0:
			value, following = d.lines[0], d.lines[1:]
		case d.multi:
			value = ""
		}
		if len(text)-length-1+len(value) >= maxPhysicalLine+1 {
			l.report("definitions make the line longer than %d bytes, which keepalived does not read; the line is left out", maxPhysicalLine)
			return "", true
		}
		if len(following) > 0 {
			l.sources = append(l.sources, source{lines: following})
		}
		changed = true
		text = text[:at] + value + text[at+1+length:]
		if strings.HasPrefix(strings.TrimLeft(value, " \t"), "~") {
			return text, true
		}
	}
	l.report("definitions refer to each other without an end; the line is left out")
	return "", true
}

// use finds the definition that text, which follows a $, begins with: NAME,
// {NAME} or {NAME PARAMETER}, and the length of that. A bare NAME counts only
// before a blank, a comma, a closing parenthesis or the end of the line. A
// definition of several lines counts only at the end of the line.
func (l *lines) use(text string) (d *definition, parameter string, length int) {
	if inner, braced := strings.CutPrefix(text, "{"); braced {
		end := strings.IndexByte(inner, '}')
		if end < 0 {
			return nil, "", 0
		}
		length = end + 2
		n := nameLength(inner[:end])
		d = l.definitions[inner[:n]]
		if n < end {
			parameter = strings.TrimLeft(inner[n:end], " \t")
			if d == nil || !d.parameters || inner[n] != ' ' && inner[n] != '\t' || parameter == "" {
				return nil, "", 0
			}
		}
	} else {
		length = nameLength(text)
		if length < len(text) && strings.IndexByte(" \t,)", text[length]) < 0 {
			return nil, "", 0
		}
		d = l.definitions[text[:length]]
	}
	if d == nil || d.multi && length < len(text) {
		return nil, "", 0
	}
	return d, parameter, length
}

// setStandardDefinitions adds keepalived's own.
func (l *lines) setStandardDefinitions() {
	l.definitions = map[string]*definition{
		"_HASH":     {value: "#"},
		"_BANG":     {value: "!"},
		"_INSTANCE": {value: l.configID},
		"_PWD": {builtin: func(string) string {
			if len(l.files) == 0 {
				return ""
			}
			return l.files[len(l.files)-1].dir
		}},
		"_RANDOM": {parameters: true, builtin: l.random},
	}
	if !l.opts.before(2, 4, 0) {
		l.definitions["_ENV"] = &definition{parameters: true, builtin: os.Getenv}
	}
}

// random stands for keepalived's random number, which nobody can know: it is
// the smallest one it can be.
func (l *lines) random(parameter string) string {
	lowest, _, _ := cutBlank(parameter)
	if lowest == "" {
		lowest = "0"
	}
	if _, err := strconv.ParseUint(lowest, 10, 32); err != nil {
		lowest = "0"
	}
	l.report("${_RANDOM} differs at every start of keepalived; %s is taken here", lowest)
	return lowest
}
