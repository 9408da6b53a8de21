package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// setting is one key of a section. The same list of settings reads a section
// strictly, shows it, and is its reference.
type setting struct {
	key   string
	doc   string
	value value
}

// value reads and shows what stands behind a key, and says what may.
type value interface {
	read(r *reader, node *yaml.Node)
	show() any
	form() Form
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

// items calls visit for each item of a list; a single value alone stands for a
// list of one.
func (r *reader) items(node *yaml.Node, visit func(item *yaml.Node)) {
	if node.Kind == yaml.ScalarNode {
		visit(node)
		return
	}
	if node.Kind != yaml.SequenceNode {
		r.fail(node, "", "expected a list, not %s", describe(node))
		return
	}
	for _, item := range node.Content {
		if item = resolve(item); isNull(item) {
			r.fail(item, "", "an item of the list is empty")
		} else {
			visit(item)
		}
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
	var known, files []string
	for _, s := range settings {
		known = append(known, s.key)
		if s.key == key+"_file" {
			return "secrets live in files: write it to a file of mode 0600 and name that in " + s.key
		}
		switch s.key {
		case "password_file", "token_file", "secret_file", "url_file", "headers_file":
			files = append(files, s.key)
		}
	}
	if guess := nearest(clip(key), known); guess != "" {
		return fmt.Sprintf("did you mean %q?", guess)
	}
	if isSecret(key) && len(files) > 0 {
		return "secrets live in files of mode 0600, which are named in " + strings.Join(files, " or ")
	}
	return "known are " + strings.Join(known, ", ")
}

// isSecret reports whether a key sounds like that of a secret.
func isSecret(key string) bool {
	return slices.ContainsFunc([]string{"token", "key", "secret", "pass", "credential"}, func(word string) bool {
		return strings.Contains(strings.ToLower(key), word)
	})
}

// describe names the shape of what stands at a node. A value in the wrong place
// may be a secret in the wrong place, so it is not repeated.
func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a single value"
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
	if node.Style&yaml.TaggedStyle != 0 && !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool"}, node.ShortTag()) {
		// The tag is not repeated: it may be a password that begins with '!'.
		r.fail(node, "quote texts that begin with '!'", "a tag of YAML stands before this value, which would be lost")
		return "", false
	}
	return node.Value, true
}

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
