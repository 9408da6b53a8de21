package config

import (
	"fmt"
	"math"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"hacheck/checks"
	"hacheck/notify"
	"hacheck/notify/spool"
)

// text is any text. A path, an address and a name are texts.
type text struct{ to *string }

func (v text) read(r *reader, node *yaml.Node) {
	if value, ok := r.scalar(node); ok {
		*v.to = value
	}
}
func (v text) show() any  { return *v.to }
func (v text) form() Form { return Form{Type: "text"} }

// label is a name that stands in lists and logs.
type label struct{ text }

// maxLabel is how long one may be, in characters.
const maxLabel = 100

func (v label) read(r *reader, node *yaml.Node) {
	value, ok := r.scalar(node)
	if !ok {
		return
	}
	switch odd := strings.ContainsFunc(value, func(c rune) bool { return !unicode.IsPrint(c) }); {
	case odd || strings.TrimSpace(value) != value:
		r.fail(node, "it stands in lists and logs", "%q begins or ends with a blank, or holds what cannot be printed", clip(value))
	case value == "" || utf8.RuneCountInString(value) > maxLabel:
		r.fail(node, "", "a name has 1 to %d characters", maxLabel)
	default:
		*v.to = value
	}
}

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
func (v directory) show() any  { return *v.to }
func (v directory) form() Form { return Form{Type: "absolute path"} }

// file is a path; one that is not absolute begins where the configuration file
// is.
type file struct{ text }

func (v file) read(r *reader, node *yaml.Node) {
	v.text.read(r, node)
	if *v.to == "" || filepath.IsAbs(*v.to) {
		return
	}
	path, err := filepath.Abs(filepath.Join(filepath.Dir(r.file), *v.to))
	if err != nil {
		r.fail(node, "write it as an absolute path", "it is not known where this file is: %v", err)
		return
	}
	*v.to = path
}
func (v file) form() Form { return Form{Type: "path, from the folder of this file"} }

// texts is a list of texts; one text alone stands for a list of one.
type texts struct{ to *[]string }

func (v texts) read(r *reader, node *yaml.Node) {
	list := []string{}
	r.items(node, func(item *yaml.Node) {
		if value, ok := r.scalar(item); ok {
			list = append(list, value)
		}
	})
	*v.to = list
}
func (v texts) show() any  { return *v.to }
func (v texts) form() Form { return Form{Type: "list of texts"} }

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
func (v yesNo) show() any  { return *v.to }
func (v yesNo) form() Form { return Form{Type: "true or false"} }

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
func (v number) form() Form {
	return Form{Type: "whole number", Range: fmt.Sprintf("%d to %d", v.least, v.most)}
}

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
		r.fail(node, "", "%s is out of range: from %s to %s", value, showDuration(v.least), showDuration(v.most))
		return
	}
	*v.to = parsed
}
func (v duration) show() any { return showDuration(*v.to) }
func (v duration) form() Form {
	return Form{Type: "duration", Range: showDuration(v.least) + " to " + showDuration(v.most)}
}

// showDuration leaves out the units that are zero: 4h, not 4h0m0s.
func showDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// orZero is a duration that may also be 0s.
type orZero struct{ duration }

func (v orZero) read(r *reader, node *yaml.Node) {
	if parsed, err := time.ParseDuration(node.Value); err == nil && parsed == 0 {
		*v.to = 0
		return
	}
	v.duration.read(r, node)
}
func (v orZero) form() Form {
	form := v.duration.form()
	form.Range = "0s, or " + form.Range
	return form
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
func (v size) form() Form {
	return Form{Type: "size", Range: showSize(v.least) + " to " + showSize(v.most)}
}

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
func (v require) show() any  { return v.to.String() }
func (v require) form() Form { return Form{Type: "any, all, N or N%"} }

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
	for _, word := range v.among {
		if strings.EqualFold(value, string(word)) {
			*v.to = word
			return
		}
	}
	words := wordsOf(v.among)
	hint := "one of " + strings.Join(words, ", ")
	if guess := nearest(clip(value), words); guess != "" {
		hint = fmt.Sprintf("did you mean %q?", guess)
	}
	r.fail(node, hint, "%q is not known here", clip(value))
}
func (v choice[T]) show() any  { return string(*v.to) }
func (v choice[T]) form() Form { return Form{Type: "word", Choices: wordsOf(v.among)} }

func wordsOf[T ~string](list []T) []string {
	words := make([]string, len(list))
	for i, word := range list {
		words[i] = string(word)
	}
	return words
}

// choices is a list of such words; one word alone stands for a list of one.
type choices[T ~string] struct {
	to    *[]T
	among []T
}

func (v choices[T]) read(r *reader, node *yaml.Node) {
	*v.to = nil
	r.items(node, func(item *yaml.Node) {
		var word T
		choice[T]{&word, v.among}.read(r, item)
		if word != "" {
			*v.to = append(*v.to, word)
		}
	})
}
func (v choices[T]) show() any { return wordsOf(*v.to) }
func (v choices[T]) form() Form {
	return Form{Type: "list of words", Choices: wordsOf(v.among)}
}

// patterns is a list of names or patterns as path.Match reads them.
type patterns struct{ texts }

func (v patterns) read(r *reader, node *yaml.Node) {
	list := []string{}
	r.items(node, func(item *yaml.Node) {
		value, ok := r.scalar(item)
		if !ok {
			return
		}
		if err := checkPattern(value); err != nil {
			r.fail(item, "* stands for any letters, ? for one, [ab] for one of these", "%v", err)
		}
		list = append(list, value)
	})
	*v.to = list
}
func (v patterns) form() Form { return Form{Type: "list of names or patterns"} }

// group is a section within a section.
type group struct {
	name string
	of   section
}

func (v group) read(r *reader, node *yaml.Node) { r.section(node, v.name, v.of.settings()) }
func (v group) show() any                       { return showSection(v.of.settings()) }
func (v group) form() Form                      { return Form{Type: "section"} }

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
func (v minimums) form() Form { return Form{Type: "mapping of names or patterns to N, N% or all"} }

// language is a language tag.
type language struct{ to *notify.Language }

func (v language) read(r *reader, node *yaml.Node) {
	value, ok := r.scalar(node)
	if !ok {
		return
	}
	parsed, err := notify.ParseLanguage(value)
	if err != nil {
		r.fail(node, "", "%v", err)
		return
	}
	*v.to = parsed
}
func (v language) show() any { return string(*v.to) }
func (v language) form() Form {
	return Form{Type: "language", Choices: wordsOf([]notify.Language{notify.English, notify.SimplifiedChinese, notify.TraditionalChinese})}
}

// link is a web address that people are given; empty for none.
type link struct{ text }

func (v link) read(r *reader, node *yaml.Node) {
	v.text.read(r, node)
	target, err := url.Parse(*v.to)
	switch {
	case *v.to == "":
	case err != nil || target.Scheme != "http" && target.Scheme != "https" || target.Hostname() == "":
		r.fail(node, "write it as https://wiki.example.org/vip", "this is not a web address that begins with http:// or https:// and names a host")
	case target.User != nil:
		r.fail(node, "it stands in every message", "the address holds a user or a password")
	}
}
func (v link) form() Form { return Form{Type: "web address"} }

// rate is a number of messages in a time, in a minute if none is named; 0 for
// any number.
type rate struct{ to *spool.Limit }

func (v rate) read(r *reader, node *yaml.Node) {
	value, ok := r.scalar(node)
	if !ok {
		return
	}
	limit := spool.Limit{Per: time.Minute}
	count, per, timed := strings.Cut(value, "/")
	var err error
	if timed {
		limit.Per, err = time.ParseDuration(per)
	}
	if err == nil {
		limit.Count, err = strconv.Atoi(count)
	}
	if err != nil || limit.Count < 0 || limit.Count > spool.MaxLimit || limit.Per < time.Second || limit.Per > 24*time.Hour {
		r.fail(node, "write 20 for 20 in a minute, 5/10s for 5 in ten seconds, 0 for any number", "%q is not a rate", clip(value))
		return
	}
	*v.to = limit
}
func (v rate) show() any {
	if v.to.Count == 0 {
		return 0
	}
	return fmt.Sprintf("%d/%s", v.to.Count, showDuration(v.to.Per))
}
func (v rate) form() Form { return Form{Type: "rate", Range: "0, or 1/24h to 1000/1s"} }

// textByName gives a text to each of several names.
type textByName struct{ to *map[string]string }

func (v textByName) read(r *reader, node *yaml.Node) {
	all := map[string]string{}
	r.pairs(node, "the mapping of names to values", func(key, val *yaml.Node) {
		if isNull(val) {
			r.fail(val, `write "" for an empty text`, "%s has no value", clip(key.Value))
		} else if value, ok := r.scalar(val); ok {
			all[key.Value] = value
		}
	})
	*v.to = all
}
func (v textByName) show() any  { return *v.to }
func (v textByName) form() Form { return Form{Type: "mapping of names to texts"} }
