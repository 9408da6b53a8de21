package config

import (
	"fmt"

	"go.yaml.in/yaml/v4"

	"hacheck/notify"
)

// Template are a channel's own words. What is empty is left to hacheck's.
type Template struct {
	// Subject and Text are templates as they are; TextFile and HTMLFile name
	// files with one.
	Subject, Text      string
	TextFile, HTMLFile string

	line, column int
}

func (t *Template) settings() []setting {
	return []setting{
		{"subject", "template of the subject or title", text{&t.Subject}},
		{"text", "template of the plain text", text{&t.Text}},
		{"text_file", "file with the template of the plain text", file{text{&t.TextFile}}},
		{"html_file", "file with the template of a mail's HTML", file{text{&t.HTMLFile}}},
	}
}

// templateSection is a template, of which it is known where it stands: its files
// are read later than the configuration.
type templateSection struct {
	group
	to *Template
}

func (v templateSection) read(r *reader, node *yaml.Node) {
	v.to.line, v.to.column = node.Line, node.Column
	v.group.read(r, node)
	if v.to.Text != "" && v.to.TextFile != "" {
		r.fail(node, "keep one of them", "text and text_file are both set")
	}
}

// load reads and parses the templates; nil if there are none. Only who sends
// needs them, so a check does not load them.
func (t *Template) load() (*notify.Template, error) {
	text, err := readTemplate("text_file", t.TextFile, t.Text)
	if err != nil {
		return nil, err
	}
	html, err := readTemplate("html_file", t.HTMLFile, "")
	if err != nil {
		return nil, err
	}
	if t.Subject == "" && text == "" && html == "" {
		return nil, nil
	}
	template, err := notify.ParseTemplate(t.Subject, text, html)
	if err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	return template, nil
}

// maxTemplateSize bounds a template's file as notify does its text.
const maxTemplateSize = 64 << 10

// readTemplate gives what a file holds, or the text if there is no file.
func readTemplate(field, path, text string) (string, error) {
	if path == "" {
		return text, nil
	}
	data, err := readFile(path, maxTemplateSize)
	if err != nil {
		return "", fmt.Errorf("template: %s: %w", field, err)
	}
	return string(data), nil
}
