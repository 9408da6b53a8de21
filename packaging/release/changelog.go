package main

import (
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

// rpmChangelog is the changelog of the rpm in nfpm's terms: the one entry of this
// version. The whole is beside it.
func rpmChangelog(s source, notes string) ([]byte, error) {
	type change struct {
		Note string `yaml:"note"`
	}
	type entry struct {
		Semver   string    `yaml:"semver"`
		Date     time.Time `yaml:"date"`
		Packager string    `yaml:"packager"`
		Changes  []change  `yaml:"changes"`
	}
	e := entry{Semver: s.version + "-1", Date: s.date, Packager: maintainer}
	for _, text := range items(notes) {
		e.Changes = append(e.Changes, change{wrap(text, 74, "  ")})
	}
	return yaml.Marshal([]entry{e})
}

// debChangelog is the same entry in deb-changelog(5)'s form. nfpm's own makes an
// item of every line.
func debChangelog(s source, notes string) []byte {
	var text strings.Builder
	fmt.Fprintf(&text, "hacheck (%s-1) unstable; urgency=medium\n\n", s.version)
	for _, item := range items(notes) {
		fmt.Fprintf(&text, "  * %s\n", wrap(item, 74, "    "))
	}
	fmt.Fprintf(&text, "\n -- %s  %s\n", maintainer, s.date.UTC().Format(time.RFC1123Z))
	return []byte(text.String())
}

// wrap breaks text into lines of at most width characters, of which all but the
// first are indented.
func wrap(text string, width int, indent string) string {
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
	return strings.Join(append(lines, line), "\n"+indent)
}
