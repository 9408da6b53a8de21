package haproxy

import (
	"strings"

	"github.com/haproxytech/client-native/v5/config-parser/params"
)

// optionKind is how an option of a `bind`, `stats socket`, `server` or
// `default-server` line is written.
type optionKind int

const (
	optionUnknown optionKind = iota
	optionWord               // stands alone: check
	optionValue              // is followed by a value: inter 2s
)

// optionReader walks the options of a line by the grammar of client-native's
// config-parser, and asks it for one option word at a time.
//
// The config-parser is not given whole lines because it does not survive them:
// ParseServerOptions loops for ever on an option whose value is missing
// ("check inter") or that has a parenthesis it should not have ("check(x)"), and
// ParseBindOptions drops all options for one value it does not know
// ("quic-cc-algo bbr"). Nor is its section parser used: it knows no line
// numbers, variables or conditions, keeps state in a package variable, stops
// at lines over 64 kB, and its import costs half a millisecond at each start.
// One word followed by an empty one, which is never an option, is safe by
// construction, and since the answers are kept a line costs two map look-ups
// per option however many lines there are.
type optionReader struct {
	ask   func(word string) optionKind
	known map[string]optionKind
}

// Each of the two grammars is asked through the same optionReader.
func newServerOptions() *optionReader {
	return &optionReader{ask: askServerOption, known: make(map[string]optionKind)}
}

func newBindOptions() *optionReader {
	return &optionReader{ask: askBindOption, known: make(map[string]optionKind)}
}

// maxKnown bounds what an optionReader keeps. HAProxy has some 120 options;
// more distinct words than this are garbage and are asked for each time.
const maxKnown = 1000

func (r *optionReader) kind(word string) optionKind {
	kind, ok := r.known[word]
	if !ok {
		kind = r.ask(word)
		if len(r.known) < maxKnown {
			r.known[strings.Clone(word)] = kind
		}
	}
	return kind
}

// each calls set for every option, with an empty value for those that take
// none. Finding is called with a sentence about each that cannot be read.
func (r *optionReader) each(words []string, set func(name, value string), finding func(string, ...any)) {
	for i := 0; i < len(words); i++ {
		switch r.kind(words[i]) {
		case optionWord:
			set(words[i], "")
		case optionValue:
			if i+1 == len(words) {
				finding("%q has no value", words[i])
				return
			}
			set(words[i], words[i+1])
			i++
		default:
			finding("unknown option %q", words[i])
		}
	}
}

func askServerOption(word string) optionKind {
	// config-parser looks an option up without its parenthesis, but then takes
	// only this one, and only with one; it loops for ever on all else.
	const tlv = "set-proxy-v2-tlv-fmt"
	name, id, hasID := strings.Cut(word, "(")
	if hasID != (name == tlv) || hasID && (strings.Contains(id, "(") || !strings.HasSuffix(id, ")")) {
		return optionUnknown
	}
	if opts := params.ParseServerOptions([]string{word, ""}); len(opts) > 0 {
		if _, ok := opts[0].(*params.ServerOptionWord); ok {
			return optionWord
		}
		return optionValue
	}
	// Options that HAProxy 2.4 to 3.4 take and config-parser does not know.
	switch word {
	case "check-reuse-pool", "no-check-reuse-pool", "check-sni-auto", "no-check-sni-auto",
		"sni-auto", "no-sni-auto", "renegotiate", "no-renegotiate", "strict-maxconn":
		return optionWord
	case "cc", "check-pool-conn-name", "guid", "hash-key", "healthcheck", "idle-ping", "init-state",
		"ktls", "pool-conn-name", "quic-cc-algo", "tcp-md5sig":
		return optionValue
	}
	return optionUnknown
}

func askBindOption(word string) optionKind {
	opts, err := params.ParseBindOptions([]string{word, ""})
	if err != nil { // it takes certain values only, and the empty one is none of them
		return optionValue
	}
	if len(opts) > 0 {
		if _, ok := opts[0].(*params.BindOptionWord); ok {
			return optionWord
		}
		return optionValue
	}
	switch word {
	case "no-strict-sni", "tls-tickets":
		return optionWord
	case "cc", "default-crt", "ech", "expose-fd", "guid-prefix", "idle-ping", "ktls", "label",
		"shards", "tcp-md5sig", "tcp-ss":
		return optionValue
	}
	return optionUnknown
}
