package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// section finds what CHANGELOG.md says of a version: the section with its name,
// or for a build between releases the one that is not released yet.
func section(changelog, version string) (string, error) {
	release, _, between := strings.Cut(version, "git")
	wanted := strings.Replace(version, "~", "-", 1)
	if between {
		wanted = "Unreleased"
	}
	sections := regexp.MustCompile(`(?m)^## +\[?([^\s\]]+)\]?.*\n`).FindAllStringSubmatchIndex(changelog, -1)
	for i, at := range sections {
		if changelog[at[2]:at[3]] != wanted {
			continue
		}
		end := len(changelog)
		if i+1 < len(sections) {
			end = sections[i+1][0]
		}
		if text := strings.TrimSpace(changelog[at[1]:end]); text != "" {
			return text + "\n", nil
		}
		return "", fmt.Errorf("CHANGELOG.md says nothing under \"## %s\"", wanted)
	}
	if between && strings.ContainsAny(release, "123456789") {
		return "No change is described yet.\n", nil
	}
	return "", fmt.Errorf("CHANGELOG.md has no section \"## %s\"", wanted)
}

// items takes the list out of a section: one text for each entry, on one line.
func items(notes string) []string {
	var all []string
	for line := range strings.Lines(notes) {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "- "), strings.HasPrefix(line, "* "):
			all = append(all, strings.TrimSpace(line[2:]))
		case text == "", strings.HasPrefix(line, "#"):
		case len(all) > 0 && strings.HasPrefix(line, " "):
			all[len(all)-1] += " " + text
		default:
			all = append(all, text)
		}
	}
	return all
}

// packageChangelog is the changelog of the packages in nfpm's terms: the one
// entry of this version. The whole is beside it.
func packageChangelog(s source, notes string) ([]byte, error) {
	type change struct {
		Note string `yaml:"note"`
	}
	type entry struct {
		Semver   string    `yaml:"semver"`
		Date     time.Time `yaml:"date"`
		Packager string    `yaml:"packager"`
		Deb      any       `yaml:"deb"`
		Changes  []change  `yaml:"changes"`
	}
	e := entry{
		Semver: s.version + "-1", Date: s.date, Packager: maintainer,
		Deb: map[string]any{"urgency": "medium", "distributions": []string{"unstable"}},
	}
	for _, text := range items(notes) {
		e.Changes = append(e.Changes, change{wrap(text, 74)})
	}
	if len(e.Changes) == 0 {
		return nil, errors.New("CHANGELOG.md: the section of this version has no list of changes")
	}
	return yaml.Marshal([]entry{e})
}

// wrap breaks text into lines, of which all but the first are indented as dpkg
// wants it.
func wrap(text string, width int) string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return strings.Join(append(lines, line), "\n    ")
}
