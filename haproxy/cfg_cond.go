package haproxy

import (
	"fmt"
	"strconv"
	"strings"
)

// truth is the value of a condition. The third value stands for what cannot
// be told from here: how HAProxy was built and started, which version it is.
type truth int

const (
	unknown truth = iota
	no
	yes
)

func (t truth) not() truth {
	switch t {
	case yes:
		return no
	case no:
		return yes
	}
	return unknown
}

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// maxConditions is how deep HAProxy nests .if (MAXNESTEDCONDS) and, here, how
// deep an expression may nest parentheses.
const maxConditions = 16

// branch is one open .if block.
type branch struct {
	reading bool // the lines of the present branch are read
	done    bool // an earlier branch was certainly taken: none of the rest is
	unsure  bool // whether the present branch is taken cannot be told
	maybe   bool // an earlier branch was perhaps taken
	inElse  bool // .else was seen
	skipped bool // the whole block stands in a branch that is not read
	line    int  // of the .if
}

// conditions follows .if, .elif, .else and .endif (configuration manual,
// section 2.4). A branch that cannot be decided is read, as are its
// alternatives, and what stands in them is marked: to know too many sockets
// and listeners, each with that mark, is better than to miss the real ones.
type conditions struct {
	env     *environment
	version string
	open    []branch
}

// reading reports whether the present line is in effect, unsure whether that
// is a guess.
func (c *conditions) reading() (reading, unsure bool) {
	reading = true
	for i := range c.open {
		reading = reading && c.open[i].reading
		unsure = unsure || c.open[i].unsure
	}
	return reading, unsure
}

// directive follows one line that begins with a dot. In doubt means that the
// line used a variable whose value is not known here. The message, if there is
// one, is a finding about the line.
func (c *conditions) directive(words []string, line int, inDoubt bool) (message string) {
	reading, unsure := c.reading()
	expr := strings.Join(words[1:], " ")
	var top *branch
	if n := len(c.open); n > 0 {
		top = &c.open[n-1]
	}
	eval := func() (t truth) {
		if !inDoubt {
			t = c.eval(expr)
		}
		if t == unknown {
			message = fmt.Sprintf("cannot tell whether %q holds; its branches are all read and marked", expr)
		}
		return t
	}
	switch words[0] {
	case ".if":
		b := branch{line: line, skipped: !reading}
		if reading {
			t := eval()
			b.reading, b.done, b.unsure, b.maybe = t != no, t == yes, t == unknown, t == unknown
		}
		c.open = append(c.open, b)
	case ".elif", ".else":
		switch {
		case top == nil:
			return words[0] + " without .if: HAProxy refuses the file"
		case top.inElse:
			return words[0] + " after .else: HAProxy refuses the file"
		}
		top.inElse = words[0] == ".else"
		if top.skipped {
			return ""
		}
		if top.done {
			top.reading = false
			return ""
		}
		t := yes
		if !top.inElse {
			t = eval()
		}
		top.reading = t != no
		top.unsure = top.maybe || t == unknown
		top.done = t == yes
		top.maybe = top.maybe || t == unknown
	case ".endif":
		if top == nil {
			return ".endif without .if: HAProxy refuses the file"
		}
		c.open = c.open[:len(c.open)-1]
	case ".alert":
		if reading && !unsure {
			return fmt.Sprintf(".alert %q: HAProxy refuses the file", expr)
		}
	case ".warning", ".notice", ".diag":
	default:
		if reading {
			return fmt.Sprintf("unknown directive %q", words[0])
		}
	}
	return message
}

// eval gives a condition's value: terms joined by && and ||, "!" before a
// term, parentheses, whole numbers, and predicates. What does not parse is
// unknown, since HAProxy of another version may understand it.
func (c *conditions) eval(expr string) truth {
	if strings.TrimLeft(expr, " \t") == "" {
		return no
	}
	p := condParser{c: c, rest: expr}
	t := p.or(0)
	p.blanks()
	if p.bad || p.rest != "" {
		return unknown
	}
	return t
}

type condParser struct {
	c    *conditions
	rest string
	bad  bool
}

func (p *condParser) blanks() { p.rest = strings.TrimLeft(p.rest, " \t") }

func (p *condParser) skip(token string) bool {
	p.blanks()
	after, ok := strings.CutPrefix(p.rest, token)
	p.rest = after
	return ok
}

func (p *condParser) or(depth int) truth {
	t := p.and(depth)
	for !p.bad && p.skip("||") {
		u := p.and(depth)
		switch {
		case t == yes || u == yes:
			t = yes
		case t == unknown || u == unknown:
			t = unknown
		}
	}
	return t
}

func (p *condParser) and(depth int) truth {
	t := p.term(depth)
	for !p.bad && p.skip("&&") {
		u := p.term(depth)
		switch {
		case t == no || u == no:
			t = no
		case t == unknown || u == unknown:
			t = unknown
		}
	}
	return t
}

func (p *condParser) term(depth int) truth {
	negated := false
	for p.skip("!") {
		negated = !negated
	}
	t := p.bare(depth)
	if negated {
		return t.not()
	}
	return t
}

func (p *condParser) bare(depth int) truth {
	if depth >= maxConditions || p.rest == "" {
		p.bad = true
		return unknown
	}
	if p.skip("(") {
		t := p.or(depth + 1)
		if !p.skip(")") {
			p.bad = true
		}
		return t
	}
	i := 0
	for i < len(p.rest) && (isAlnum(p.rest[i]) || p.rest[i] == '_' || i == 0 && (p.rest[0] == '-' || p.rest[0] == '+')) {
		i++
	}
	word := p.rest[:i]
	p.rest = p.rest[i:]
	if n, err := strconv.ParseInt(word, 0, 64); err == nil {
		return truthOf(n != 0)
	}
	if word == "" || !strings.HasPrefix(p.rest, "(") {
		p.bad = true
		return unknown
	}
	args := p.args()
	switch {
	case p.bad:
	case word == "defined" && len(args) == 1:
		if _, set, known := p.c.env.lookup(args[0]); set || known {
			return truthOf(set)
		}
	case word == "streq" && len(args) == 2:
		return truthOf(args[0] == args[1])
	case word == "strneq" && len(args) == 2:
		return truthOf(args[0] != args[1])
	case word == "strstr" && len(args) == 2:
		return truthOf(strings.Contains(args[0], args[1]))
	case word == "version_atleast" && len(args) == 1:
		if cmp, ok := compareVersions(p.c.version, args[0]); ok {
			return truthOf(cmp >= 0)
		}
	case word == "version_before" && len(args) == 1:
		if cmp, ok := compareVersions(p.c.version, args[0]); ok {
			return truthOf(cmp < 0)
		}
	}
	return unknown
}

// args reads "(a,b)" with the quotes and escapes of make_arg_list().
func (p *condParser) args() (args []string) {
	var arg strings.Builder
	var quote byte
	for i := 1; i < len(p.rest); i++ {
		c := p.rest[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == '\\' && quote != '\'':
			// Rare enough within a condition to leave it undecided.
			p.bad = true
			return nil
		case quote == 0 && (c == ',' || c == ')'):
			args = append(args, arg.String())
			arg.Reset()
			if c == ')' {
				p.rest = p.rest[i+1:]
				return args
			}
		default:
			arg.WriteByte(c)
		}
	}
	p.bad = true
	return nil
}

// compareVersions compares the numbers of two HAProxy versions, "2.6.12-1"
// and "2.4". It is not ok where a number is missing or wanted is a
// development version, whose order is HAProxy's own business.
func compareVersions(have, wanted string) (cmp int, ok bool) {
	h, hok := versionNumbers(have)
	w, wok := versionNumbers(wanted)
	if !hok || !wok || strings.ContainsFunc(wanted, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }) {
		return 0, false
	}
	for i := range h {
		switch {
		case h[i] < w[i]:
			return -1, true
		case h[i] > w[i]:
			return 1, true
		}
	}
	return 0, true
}

func versionNumbers(s string) (n [3]int, ok bool) {
	if i := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); i >= 0 {
		s = s[:i]
	}
	for i, part := range strings.SplitN(s, ".", 4) {
		if i == len(n) {
			break
		}
		v, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return n, i > 0
		}
		n[i] = int(v)
	}
	return n, true
}
