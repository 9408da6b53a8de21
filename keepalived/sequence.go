package keepalived

import (
	"strconv"
	"strings"
)

// sequence is a ~SEQ or ~LST that repeats the rest of its line.
type sequence struct {
	text  string
	names []string
	// sets are the values of ~LST, one set a repetition.
	sets [][]string
	// at, by and end are the numbers of ~SEQ.
	at, by, end int64
	hex         bool
}

// step defines the variables of the next repetition and reports whether one
// more follows.
func (s *sequence) step(define func(name, value string)) bool {
	if s.sets != nil {
		for i, name := range s.names {
			define(name, s.sets[0][i])
		}
		s.sets = s.sets[1:]
		return len(s.sets) > 0
	}
	base := 10
	if s.hex {
		base = 16
	}
	define(s.names[0], strconv.FormatInt(s.at, base))
	s.at += s.by
	return s.by > 0 && s.at <= s.end || s.by < 0 && s.at >= s.end
}

// startSequence reads ~SEQ(…), ~SEQx(…) or ~LST(…) and puts it on the stack.
func (l *lines) startSequence(text string) {
	var seq *sequence
	if strings.HasPrefix(text, "~SEQ") {
		seq = l.parseSeq(text[len("~SEQ"):])
	} else {
		seq = parseList(text[len("~LST"):])
	}
	switch {
	case seq == nil:
		l.report("%s is not valid; keepalived leaves the line out", text[:len("~SEQ")])
	case seq.text == "":
		// Nothing is repeated.
	default:
		l.sources = append(l.sources, source{seq: seq})
	}
}

// parseSeq reads "(var, [start, [step,]] end) text", with x before it for
// hexadecimal. Numbers are C's: 0x10 and 010 are 16 and 8.
func (l *lines) parseSeq(text string) *sequence {
	seq := new(sequence)
	if rest, ok := strings.CutPrefix(text, "x"); ok {
		seq.hex, text = true, rest
	}
	text, ok := strings.CutPrefix(strings.TrimLeft(text, " \t"), "(")
	if !ok {
		return nil
	}
	inside, rest, ok := strings.Cut(text, ")")
	if !ok {
		return nil
	}
	seq.text = strings.TrimLeft(rest, " \t")
	name, values, ok := strings.Cut(inside, ",")
	name = strings.Trim(name, " \t")
	if !ok || name == "" || nameLength(name) != len(name) {
		return nil
	}
	seq.names = []string{name}
	sources := len(l.sources)
	if strings.Contains(values, "$") {
		// A definition may stand before the parenthesis.
		values, _ = l.replace(values + ")")
		values = strings.TrimSuffix(values, ")")
	}
	if len(l.sources) > sources {
		l.sources = l.sources[:sources]
		return nil
	}
	var numbers []int64
	for _, field := range strings.Split(values, ",") {
		number, ok := parseC(strings.Trim(field, " \t"))
		if !ok {
			return nil
		}
		numbers = append(numbers, number)
	}
	switch len(numbers) {
	case 1:
		seq.at, seq.by, seq.end = 1, 1, numbers[0]
		if seq.end < 1 {
			seq.by = -1
		}
		if seq.end < 0 {
			seq.at = -1
		}
	case 2:
		seq.at, seq.by, seq.end = numbers[0], 1, numbers[1]
		if seq.at > seq.end {
			seq.by = -1
		}
	case 3:
		seq.at, seq.by, seq.end = numbers[0], numbers[1], numbers[2]
	default:
		return nil
	}
	if seq.by == 0 || seq.at < seq.end && seq.by < 0 || seq.at > seq.end && seq.by > 0 {
		return nil
	}
	if seq.hex && (seq.at < 0 || seq.end < 0) {
		return nil
	}
	return seq
}

// parseC reads a number as strtol(…, 0) does, of at most 32 bits so that no
// sum overflows.
func parseC(text string) (int64, bool) {
	if strings.ContainsRune(text, '_') {
		return 0, false
	}
	if digits, ok := strings.CutPrefix(strings.ToLower(text), "0o"); ok || strings.HasPrefix(digits, "0b") {
		return 0, false
	}
	number, err := strconv.ParseInt(text, 0, 32)
	return number, err == nil
}

// parseList reads "(name, value, …) text" or "({name, …}, {value, …}, …) text".
// Missing values are empty.
func parseList(text string) *sequence {
	text, ok := strings.CutPrefix(strings.TrimLeft(text, " \t"), "(")
	if !ok {
		return nil
	}
	seq := new(sequence)
	for end := byte(','); end != ')'; {
		var set []string
		if set, end, text = listSet(text); set == nil || end != ',' && end != ')' {
			return nil
		}
		if seq.names == nil {
			for _, name := range set {
				if name == "" || nameLength(name) != len(name) {
					return nil
				}
			}
			seq.names = set
			continue
		}
		if len(set) > len(seq.names) {
			return nil
		}
		for len(set) < len(seq.names) {
			set = append(set, "")
		}
		seq.sets = append(seq.sets, set)
	}
	if len(seq.sets) == 0 {
		return nil
	}
	seq.text = strings.TrimLeft(text, " \t")
	return seq
}

// listSet reads one value, or several in braces, the character after them
// and what follows that.
func listSet(text string) (set []string, end byte, rest string) {
	text = strings.TrimLeft(text, " \t")
	inner, braced := strings.CutPrefix(text, "{")
	stops := ",)"
	if braced {
		text, stops = inner, ",}"
	}
	for {
		text = strings.TrimLeft(text, " \t")
		at := strings.IndexAny(text, " \t,})")
		if at < 0 {
			return nil, 0, ""
		}
		set = append(set, text[:at])
		text = strings.TrimLeft(text[at:], " \t")
		if text == "" || strings.IndexByte(stops, text[0]) < 0 {
			return nil, 0, ""
		}
		end, text = text[0], text[1:]
		if !braced {
			return set, end, text
		}
		if end == '}' {
			break
		}
	}
	text = strings.TrimLeft(text, " \t")
	if text == "" {
		return nil, 0, ""
	}
	return set, text[0], text[1:]
}
