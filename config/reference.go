package config

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// Section describes one mapping of the configuration file.
type Section struct {
	// Path is where it stands: "notify", "checks.NAME.backends",
	// "notify.channels[]"; empty for the file as a whole.
	Path string
	// Type is the type of check or channel that has these settings; empty if
	// they do not depend on it.
	Type string
	// Doc says in a few words what it is about.
	Doc string
	// Settings are its keys in the order in which they are shown.
	Settings []Setting
}

// Setting describes one key of a section.
type Setting struct {
	Key string
	// Form is what may stand behind the key.
	Form
	// Default is what counts without the key, as it would be written; empty for
	// nothing.
	Default string
	// Doc says in a few words what it is for.
	Doc string
}

// Form is what may stand behind a key.
type Form struct {
	// Type names the kind of value: "text", "duration", "list of texts".
	Type string
	// Range bounds the value, both ends included, as "10ms to 1m"; empty for
	// no bounds.
	Range string
	// Choices are the words of which it is one, or of which a list has some.
	Choices []string
	// Secret is whether the value may hold a secret: it is not shown, and no
	// error repeats it.
	Secret bool
}

// Reference describes every setting there is, in the order of the file. It is
// made of what reads the file, so that the two cannot differ.
func Reference() []Section {
	return describeSection(Section{Doc: "the file as a whole"}, Default().settings())
}

// sectioned is a value with sections of its own.
type sectioned interface {
	sections(path, doc string) []Section
}

// describeSection gives a section, then those within it.
func describeSection(section Section, settings []setting) []Section {
	var within []Section
	for _, s := range settings {
		section.Settings = append(section.Settings, Setting{Key: s.key, Form: s.value.form(), Default: written(s.value), Doc: s.doc})
		if of, ok := s.value.(sectioned); ok {
			path := strings.TrimPrefix(section.Path+"."+s.key, ".")
			for _, sub := range of.sections(path, s.doc) {
				if sub.Type == "" && !strings.HasSuffix(sub.Path, "[]") {
					sub.Type = section.Type
				}
				within = append(within, sub)
			}
		}
	}
	return append([]Section{section}, within...)
}

// written gives a value as it would be written on one line; "" for an empty one.
func written(v value) string {
	if _, ok := v.(sectioned); ok {
		return ""
	}
	var node yaml.Node
	switch shown := v.show().(type) {
	case *yaml.Node:
		node = *shown
	default:
		if node.Encode(shown) != nil {
			return ""
		}
	}
	if node.Value == "" && len(node.Content) == 0 {
		return ""
	}
	node.Style |= yaml.FlowStyle
	text, err := yaml.Marshal(&node)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func (v group) sections(path, doc string) []Section {
	return describeSection(Section{Path: path, Doc: doc}, v.of.settings())
}

func (v checkMap) sections(path, _ string) []Section {
	var all []Section
	for _, kind := range kinds {
		all = append(all, describeSection(
			Section{Path: path + ".NAME", Type: string(kind), Doc: kind.doc()},
			NewCheck("NAME", kind).settings())...)
	}
	return all
}

func (v channelList) sections(path, _ string) []Section {
	path += "[]"
	some := newChannel(KindJournal)
	some.Kind, some.Name = "", "" // every channel says its own
	all := describeSection(Section{Path: path, Doc: "what every channel has"}, some.commonSettings())
	for _, kind := range channelKinds() {
		channel := newChannel(kind.name)
		if own := kind.settings(channel); len(own) > 0 {
			all = append(all, describeSection(Section{Path: path, Type: string(kind.name), Doc: kind.doc}, own)...)
		}
	}
	return all
}
