package config

import (
	"fmt"
	"math"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"hacheck/checks"
)

// setting is one key of a section. The same list of settings reads a section
// strictly, shows it, and is its reference.
type setting struct {
	key   string
	doc   string
	value value
}

// value reads and shows what stands behind a key.
type value interface {
	read(r *reader, node *yaml.Node)
	show() any
}

// section is a group of settings.
type section interface {
	settings() []setting
}

// reader collects the mistakes of one file.
type reader struct {
	file   string
	errors Errors
}

func (r *reader) fail(node *yaml.Node, hint, format string, args ...any) {
	r.errors = append(r.errors, &Error{
		File: r.file, Line: node.Line, Column: node.Column,
		Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// resolve follows an alias to what it names. An alias of an alias cannot be
// written in YAML, so one step is enough.
func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode && node.Alias != nil {
		return node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// pairs calls visit for each key of a mapping and reports anything that is no
// mapping, a key that is not text, and a key that stands twice.
func (r *reader) pairs(node *yaml.Node, what string, visit func(key, value *yaml.Node)) {
	node = resolve(node)
	if isNull(node) {
		return
	}
	if node.Kind != yaml.MappingNode {
		r.fail(node, "write 'key: value' lines below it", "%s must be a mapping, not %s", what, describe(node))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, val := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			r.fail(key, "", "a key of %s must be a word, not %s", what, describe(key))
			continue
		}
		if first, twice := seen[key.Value]; twice {
			r.fail(key, fmt.Sprintf("first on line %d", first), "%s has the key %q twice", what, key.Value)
			continue
		}
		seen[key.Value] = key.Line
		visit(key, resolve(val))
	}
}

// section reads a mapping whose keys are those of settings and no others.
func (r *reader) section(node *yaml.Node, what string, settings []setting) {
	r.pairs(node, what, func(key, val *yaml.Node) { r.setting(key, val, what, settings) })
}

// setting reads the value of one key of a section.
func (r *reader) setting(key, val *yaml.Node, what string, settings []setting) {
	at := slices.IndexFunc(settings, func(s setting) bool { return s.key == key.Value })
	if at < 0 {
		r.fail(key, keyHint(key.Value, settings), "%s has no key %q", what, clip(key.Value))
		return
	}
	if isNull(val) {
		r.fail(val, `leave the line out for the default, or write "" for an empty text`, "%s has no value", key.Value)
		return
	}
	settings[at].value.read(r, val)
}

func keyHint(key string, settings []setting) string {
	known := make([]string, len(settings))
	for i, s := range settings {
		known[i] = s.key
	}
	if slices.Contains(known, key+"_file") {
		return fmt.Sprintf("secrets live in files: write it to a file of mode 0600 and name that in %s_file", key)
	}
	if guess := nearest(clip(key), known); guess != "" {
		return fmt.Sprintf("did you mean %q?", guess)
	}
	return "known are " + strings.Join(known, ", ")
}

func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		return strconv.Quote(clip(node.Value))
	}
}

// clip keeps a mistyped value that is quoted in an error short.
func clip(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// scalar gives the text of a single value and whether it is one.
func (r *reader) scalar(node *yaml.Node) (string, bool) {
	if node.Kind != yaml.ScalarNode {
		r.fail(node, "", "expected a single value, not %s", describe(node))
		return "", false
	}
	return node.Value, true
}

// text is any text. A path, an address and a name are texts.
type text struct{ to *string }

func (v text) read(r *reader, node *yaml.Node) {
	if value, ok := r.scalar(node); ok {
		*v.to = value
	}
}
func (v text) show() any { return *v.to }

// directory is an absolute path.
type directory struct{ to *string }

func (v directory) read(r *reader, node *yaml.Node) {
	value, ok := r.scalar(node)
	if !ok {
		return
	}
	if !filepath.IsAbs(value) {
		r.fail(node, "it must mean the same wherever keepalived starts hacheck", "%q is not an absolute path", clip(value))
		return
	}
	*v.to = value
}
func (v directory) show() any { return *v.to }

// texts is a list of texts; one text alone stands for a list of one.
type texts struct{ to *[]string }

func (v texts) read(r *reader, node *yaml.Node) {
	if node.Kind == yaml.ScalarNode {
		*v.to = []string{node.Value}
		return
	}
	if node.Kind != yaml.SequenceNode {
		r.fail(node, "", "expected a list, not %s", describe(node))
		return
	}
	list := make([]string, 0, len(node.Content))
	for _, item := range node.Content {
		item = resolve(item)
		if isNull(item) {
			r.fail(item, "", "an item of the list is empty")
			continue
		}
		if value, ok := r.scalar(item); ok {
			list = append(list, value)
		}
	}
	*v.to = list
}
func (v texts) show() any { return *v.to }

// yesNo is true or false.
type yesNo struct{ to *bool }

func (v yesNo) read(r *reader, node *yaml.Node) {
	value, ok := r.scalar(node)
	if !ok {
		return
	}
	switch strings.ToLower(value) {
	case "true", "yes", "on":
		*v.to = true
	case "false", "no", "off":
		*v.to = false
	default:
		r.fail(node, "", "%q is neither true nor false", clip(value))
	}
}
func (v yesNo) show() any { return *v.to }

// number is a whole number from least to most.
type number struct {
	to          *int
	least, most int
}

func (v number) read(r *reader, node *yaml.Node) {
	value, ok := r.scalar(node)
	if !ok {
		return
	}
	parsed, err := strconv.Atoi(value)
	if err != nil || parsed < v.least || parsed > v.most {
		r.fail(node, "", "%q is not a whole number from %d to %d", clip(value), v.least, v.most)
		return
	}
	*v.to = parsed
}
func (v number) show() any { return *v.to }

// duration is a time with its unit, from least to most.
type duration struct {
	to          *time.Duration
	least, most time.Duration
}

func (v duration) read(r *reader, node *yaml.Node) {
	value, ok := r.scalar(node)
	if !ok {
		return
	}
	parsed, err := time.ParseDuration(value)
	if err != nil {
		hint := "write a number with its unit, such as 900ms, 1.5s or 2h30m"
		if _, numeric := strconv.ParseFloat(value, 64); numeric == nil {
			hint = fmt.Sprintf("the unit is missing: %sms or %ss?", value, value)
		}
		r.fail(node, hint, "%q is not a duration", clip(value))
		return
	}
	if parsed < v.least || parsed > v.most {
		r.fail(node, "", "%s is out of range: from %s to %s", value, v.least, v.most)
		return
	}
	*v.to = parsed
}
func (v duration) show() any { return v.to.String() }

// orZero is a duration that may also be 0s.
type orZero struct{ duration }

func (v orZero) read(r *reader, node *yaml.Node) {
	if node.Kind == yaml.ScalarNode && node.Value == "0s" {
		*v.to = 0
		return
	}
	v.duration.read(r, node)
}

// size is a number of bytes with an optional unit (KiB, MiB, GiB), from least
// to most.
type size struct {
	to          *int64
	least, most int64
}

var sizeUnits = []struct {
	suffix string
	bytes  float64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}, {"", 1}}

func (v size) read(r *reader, node *yaml.Node) {
	value, ok := r.scalar(node)
	if !ok {
		return
	}
	for _, unit := range sizeUnits {
		digits, ok := strings.CutSuffix(value, unit.suffix)
		if !ok {
			continue
		}
		parsed, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if err != nil || math.IsNaN(parsed) {
			break
		}
		if bytes := parsed * unit.bytes; bytes < float64(v.least) || bytes > float64(v.most) {
			r.fail(node, "", "%s is out of range: from %s to %s", value, showSize(v.least), showSize(v.most))
		} else {
			*v.to = int64(bytes)
		}
		return
	}
	r.fail(node, "write a number with a unit, such as 512KiB or 64MiB", "%q is not a size", clip(value))
}
func (v size) show() any { return showSize(*v.to) }

func showSize(bytes int64) string {
	for _, unit := range sizeUnits[:3] {
		if whole := int64(unit.bytes); bytes >= whole && bytes%whole == 0 {
			return strconv.FormatInt(bytes/whole, 10) + unit.suffix
		}
	}
	return strconv.FormatInt(bytes, 10) + "B"
}

// require is any, all, N or N%.
type require struct{ to *checks.Require }

func (v require) read(r *reader, node *yaml.Node) {
	value, ok := r.scalar(node)
	if !ok {
		return
	}
	parsed, err := checks.ParseRequire(value)
	if err != nil {
		r.fail(node, "", "%v", err)
		return
	}
	*v.to = parsed
}
func (v require) show() any { return v.to.String() }

// choice is one word of a few.
type choice[T ~string] struct {
	to    *T
	among []T
}

func (v choice[T]) read(r *reader, node *yaml.Node) {
	value, ok := r.scalar(node)
	if !ok {
		return
	}
	words := make([]string, len(v.among))
	for i, word := range v.among {
		words[i] = string(word)
		if strings.EqualFold(value, words[i]) {
			*v.to = word
			return
		}
	}
	hint := "one of " + strings.Join(words, ", ")
	if guess := nearest(clip(value), words); guess != "" {
		hint = fmt.Sprintf("did you mean %q?", guess)
	}
	r.fail(node, hint, "%q is not known here", clip(value))
}
func (v choice[T]) show() any { return string(*v.to) }

// group is a section within a section.
type group struct {
	name string
	of   section
}

func (v group) read(r *reader, node *yaml.Node) { r.section(node, v.name, v.of.settings()) }
func (v group) show() any                       { return showSection(v.of.settings()) }

// minimums gives a requirement to each of several backend patterns. The order
// of the file is kept, because the first pattern that matches counts.
type minimums struct{ to *[]checks.BackendMinimum }

func (v minimums) read(r *reader, node *yaml.Node) {
	*v.to = nil
	r.pairs(node, "the mapping of backends to requirements", func(key, val *yaml.Node) {
		minimum := checks.BackendMinimum{Pattern: key.Value, Servers: checks.RequireAny}
		require{&minimum.Servers}.read(r, val)
		*v.to = append(*v.to, minimum)
	})
}
func (v minimums) show() any {
	mapping := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, minimum := range *v.to {
		appendPair(mapping, minimum.Pattern, minimum.Servers.String())
	}
	return mapping
}

// textByName gives a text to each of several names.
type textByName struct{ to *map[string]string }

func (v textByName) read(r *reader, node *yaml.Node) {
	all := map[string]string{}
	r.pairs(node, "the mapping of names to values", func(key, val *yaml.Node) {
		if value, ok := r.scalar(val); ok {
			all[key.Value] = value
		}
	})
	*v.to = all
}
func (v textByName) show() any { return *v.to }

// maskedByName is a textByName whose values may be secrets, such as the header
// Authorization: they are read but not shown.
type maskedByName struct{ textByName }

func (v maskedByName) show() any {
	shown := map[string]string{}
	for name := range *v.to {
		shown[name] = mask
	}
	return shown
}

// maskedText is a text that may hold a secret, as what is sent to log in does.
type maskedText struct{ text }

func (v maskedText) show() any {
	if *v.to == "" {
		return ""
	}
	return mask
}

// maskedURLs is a list of URLs, shown without what may hold a secret: the user,
// the password and the query.
type maskedURLs struct{ texts }

func (v maskedURLs) show() any {
	shown := make([]string, len(*v.to))
	for i, text := range *v.to {
		shown[i] = maskURL(text)
	}
	return shown
}

func maskURL(text string) string {
	text, _, query := strings.Cut(text, "?")
	if parsed, err := url.Parse(text); err != nil {
		return mask
	} else if parsed.User != nil {
		parsed.User = url.User(mask)
		text = parsed.String()
	}
	if query {
		text += "?" + mask
	}
	return text
}

// mask stands in place of a value that may be a secret.
const mask = "********"

// showSection gives the settings in their order as a YAML mapping.
func showSection(settings []setting) *yaml.Node {
	mapping := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, s := range settings {
		appendPair(mapping, s.key, s.value.show())
	}
	return mapping
}

// appendPair adds a key to a mapping. What a value shows is text, a number, a
// truth value, a list or mapping of texts, or a node, all of which encode.
func appendPair(mapping *yaml.Node, key string, shown any) {
	node, ok := shown.(*yaml.Node)
	if !ok {
		node = new(yaml.Node)
		if err := node.Encode(shown); err != nil {
			node.SetString(fmt.Sprintf("cannot be shown: %v", err))
		}
	}
	name := new(yaml.Node)
	name.SetString(key)
	mapping.Content = append(mapping.Content, name, node)
}
