package main

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

var day = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

func commit(seconds int, hash string, dirty bool) source {
	return source{commit: hash + "0000000000", date: day.Add(time.Duration(seconds) * time.Second), dirty: dirty}
}

func TestVersionsSortByTime(t *testing.T) {
	versions := []struct {
		tag      string
		distance int
		source   source
		want     string
	}{
		{"", 0, commit(0, "fffffff", false), "0.0.0~git20260314092653.fffffff"},
		{"", 0, commit(0, "fffffff", true), "0.0.0~git20260314092653.fffffff+dirty"},
		{"", 0, commit(1, "0000000", false), "0.0.0~git20260314092654.0000000"},
		{"v1.2.0-rc.1", 0, commit(2, "eeeeeee", false), "1.2.0~rc.1"},
		{"v1.2.0-rc.1", 3, commit(3, "ddddddd", false), "1.2.0~rc.1+git20260314092656.ddddddd"},
		{"v1.2.0-rc.2", 0, commit(4, "ccccccc", false), "1.2.0~rc.2"},
		{"v1.2.0", 0, commit(5, "bbbbbbb", false), "1.2.0"},
		{"v1.2.0", 12, commit(6, "aaaaaaa", false), "1.2.0+git20260314092659.aaaaaaa"},
		{"v1.2.0", 13, commit(7, "0000001", false), "1.2.0+git20260314092700.0000001"},
		{"v1.2.1", 0, commit(8, "9999999", false), "1.2.1"},
	}
	for i, v := range versions {
		got := versionOf(v.tag, v.distance, v.source)
		if got != v.want {
			t.Errorf("%s and %d commits: got %s, want %s", v.tag, v.distance, got, v.want)
		}
		if i == 0 {
			continue
		}
		// dpkg's own word; rpm orders "~" and "+" alike here.
		before := versions[i-1].want + "-1"
		if err := exec.Command("dpkg", "--compare-versions", before, "lt", got+"-1").Run(); err != nil {
			t.Errorf("dpkg does not take %s for older than %s-1: %v", before, got, err)
		}
	}
}

func TestSplitDescription(t *testing.T) {
	tag, distance, err := splitDescription("v1.2.0-rc.1-14-gabcdef0")
	if err != nil || tag != "v1.2.0-rc.1" || distance != 14 {
		t.Errorf("got %q, %d, %v", tag, distance, err)
	}
	if _, _, err := splitDescription("v1.2.0"); err == nil || !strings.Contains(err.Error(), `"v1.2.0", which is not TAG-COUNT-gCOMMIT`) {
		t.Errorf("got error %v", err)
	}
}

const changelog = `# Changelog

## Unreleased

- A thing.

## [1.2.0] - 2026-03-14

- One thing,
  on two lines.
- Another.

## 1.2.0-rc.1

- A try.

## 1.1.0
`

func TestSection(t *testing.T) {
	for version, want := range map[string]string{
		"1.2.0":                           "- One thing,\n  on two lines.\n- Another.\n",
		"1.2.0~rc.1":                      "- A try.\n",
		"1.2.0+git20260314092659.aaaaaaa": "- A thing.\n",
		"0.0.0~git20260314092653.fffffff": "- A thing.\n",
	} {
		if got, err := section(changelog, version); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", version, got, err, want)
		}
	}
	for version, want := range map[string]string{
		"1.3.0": `CHANGELOG.md has no section "## 1.3.0"`,
		"1.1.0": `CHANGELOG.md says nothing under "## 1.1.0"`,
	} {
		if got, err := section(changelog, version); err == nil || err.Error() != want {
			t.Errorf("%s: got %q, %v; want the error %q", version, got, err, want)
		}
	}
}

func TestChangelogsOfThePackages(t *testing.T) {
	s := commit(0, "fffffff", false)
	s.version = "1.2.0"
	notes := "- One thing,\n  on two lines.\n- " + strings.Repeat("word ", 20) + "\n"
	const deb = "hacheck (1.2.0-1) unstable; urgency=medium\n\n" +
		"  * One thing, on two lines.\n" +
		"  * word word word word word word word word word word word word word word word\n" +
		"    word word word word word\n\n" +
		" -- " + maintainer + "  Sat, 14 Mar 2026 09:26:53 +0000\n"
	if got := string(debChangelog(s, notes)); got != deb {
		t.Errorf("got\n%s\nwant\n%s", got, deb)
	}
	rpm, err := rpmChangelog(s, notes)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"semver: 1.2.0-1", "2026-03-14T09:26:53Z", "note: One thing, on two lines.", "word\n", "  word"} {
		if !strings.Contains(string(rpm), want) {
			t.Errorf("%q is missing in\n%s", want, rpm)
		}
	}
}

func TestIdentifyLicence(t *testing.T) {
	for text, want := range map[string]string{
		"Apache License\n   Version 2.0, January 2004":                                        "Apache-2.0",
		"Permission is hereby granted,\nfree of charge, to any person":                        "MIT",
		"Redistribution and use in source and binary forms, with or":                          "BSD-2-Clause",
		"Redistribution and use in source and binary forms. Neither the\nname of Google Inc.": "BSD-3-Clause",
		"All rights reserved.": "",
	} {
		if got := identifyLicence(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestSerialIsAUUID(t *testing.T) {
	got := serial("1.2.0 abc amd64")
	if again := serial("1.2.0 abc amd64"); again != got {
		t.Errorf("once %s, then %s", got, again)
	}
	if len(got) != len("urn:uuid:")+36 || got[len("urn:uuid:")+14] != '8' {
		t.Errorf("%s is no version 8 UUID", got)
	}
}
