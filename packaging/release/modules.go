package main

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// modules is what a program is made of: Go and the modules linked into it, as
// the program itself tells.
type modules struct {
	goVersion string
	linked    []module
	// needs has for each module's path those it asks for, as far as they are
	// linked.
	needs map[string][]string
}

// module is one of them.
type module struct {
	path, version, sum string
	licence            string // its identifier in SPDX's list
	notices            string // licence and notice files
}

// modulesOf reads the list out of a program and the licences out of the module
// cache, which has what the program was built from.
func modulesOf(ctx context.Context, program string) (*modules, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, err
	}
	all := &modules{goVersion: strings.TrimPrefix(info.GoVersion, "go")}
	std, err := goLicence(ctx)
	if err != nil {
		return nil, err
	}
	all.linked = append(all.linked, std)
	list := []string{"go", "list", "-m", "-json"}
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			return nil, fmt.Errorf("module %s is replaced: a release is built from what its authors published", dep.Path)
		}
		list = append(list, dep.Path)
	}
	text, err := output(ctx, list...)
	if err != nil {
		return nil, err
	}
	dirs := map[string]string{}
	for decoder := json.NewDecoder(strings.NewReader(text)); ; {
		var known struct{ Path, Version, Dir string }
		if err := decoder.Decode(&known); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list -m: %w", err)
		}
		dirs[known.Path] = known.Dir
	}
	for _, dep := range info.Deps {
		m := module{path: dep.Path, version: dep.Version, sum: dep.Sum}
		if m.licence, m.notices, err = licenceIn(dirs[dep.Path]); err != nil {
			return nil, fmt.Errorf("module %s: %w", dep.Path, err)
		}
		all.linked = append(all.linked, m)
	}
	all.needs, err = needs(ctx, all.linked)
	return all, err
}

func goLicence(ctx context.Context) (module, error) {
	root, err := output(ctx, "go", "env", "GOROOT")
	if err != nil {
		return module{}, err
	}
	std := module{path: "std", version: runtime.Version()}
	std.licence, std.notices, err = licenceIn(root)
	if errors.Is(err, errNoLicence) {
		// Distributions keep it elsewhere; the text is Go's for every module of
		// its authors.
		text, err := output(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys")
		if err != nil {
			return module{}, err
		}
		std.licence, std.notices, err = licenceIn(text)
		return std, err
	}
	return std, err
}

var errNoLicence = errors.New("has no file with its licence")

// licenceIn reads a module's licence files. One that cannot be told from its
// text is an error: somebody has to look at it before it is published.
func licenceIn(dir string) (id, notices string, err error) {
	var texts []string
	for _, pattern := range []string{"LICEN[SC]E*", "COPYING*", "NOTICE*", "PATENTS*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", "", err
		}
		for _, file := range files {
			// REUSE keeps the texts once more in a folder.
			if info, err := os.Stat(file); err != nil || info.IsDir() {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return "", "", err
			}
			texts = append(texts, strings.TrimSpace(string(text)))
			if id == "" {
				id = identifyLicence(string(text))
			}
		}
	}
	switch {
	case len(texts) == 0:
		return "", "", fmt.Errorf("%s %w", dir, errNoLicence)
	case id == "":
		return "", "", fmt.Errorf("the licence in %s is not one that is known here", dir)
	}
	return id, strings.Join(texts, "\n\n"), nil
}

// identifyLicence knows a licence by words no other has.
func identifyLicence(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	switch {
	case strings.Contains(text, "Apache License Version 2.0"):
		return "Apache-2.0"
	case strings.Contains(text, "Mozilla Public License Version 2.0"):
		return "MPL-2.0"
	case strings.Contains(text, "Permission is hereby granted, free of charge"):
		return "MIT"
	case strings.Contains(text, "Redistribution and use in source and binary forms"):
		if regexp.MustCompile(`Neither the name|names? of .* may (not )?be used to endorse`).MatchString(text) {
			return "BSD-3-Clause"
		}
		return "BSD-2-Clause"
	}
	return ""
}

// needs reads the module graph.
func needs(ctx context.Context, linked []module) (map[string][]string, error) {
	text, err := output(ctx, "go", "mod", "graph")
	if err != nil {
		return nil, err
	}
	known := map[string]bool{"hacheck": true}
	for _, m := range linked {
		known[m.path] = true
	}
	edges := map[string]map[string]bool{}
	for line := range strings.Lines(text) {
		from, to, _ := strings.Cut(strings.TrimSpace(line), " ")
		from, _, _ = strings.Cut(from, "@")
		to, _, _ = strings.Cut(to, "@")
		if known[from] && known[to] && from != to {
			if edges[from] == nil {
				edges[from] = map[string]bool{}
			}
			edges[from][to] = true
		}
	}
	all := map[string][]string{}
	for from, to := range edges {
		all[from] = slices.Sorted(maps.Keys(to))
	}
	return all, nil
}

// notices is the text that must go with the program.
func (m *modules) notices() []byte {
	var text strings.Builder
	text.WriteString("hacheck is linked with Go's standard library and the modules below.\n")
	for _, linked := range m.linked {
		fmt.Fprintf(&text, "\n%s\n%s %s (%s)\n%[1]s\n\n%[5]s\n", strings.Repeat("=", 78),
			linked.path, linked.version, linked.licence, linked.notices)
	}
	return []byte(text.String())
}

// The parts of CycloneDX 1.6 that are used here.
type (
	bill struct {
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Serial       string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		PURL       string     `json:"purl"`
		Licences   []licence  `json:"licenses"`
		Properties []property `json:"properties,omitempty"`
	}
	licence struct {
		Licence struct {
			ID string `json:"id"`
		} `json:"license"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn"`
	}
)

// bill is the software bill of materials of one program.
func (m *modules) bill(s source, arch string) bill {
	self := asComponent("application", "hacheck", s.version, "Apache-2.0")
	self.PURL += "?goarch=" + arch + "&goos=linux"
	self.Properties = []property{{"commit", s.commit}}
	b := bill{
		Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Serial:   serial(s.version + " " + s.commit + " " + arch),
		Metadata: metadata{Timestamp: s.date.UTC().Format(time.RFC3339), Component: self},
	}
	refs := map[string]string{"hacheck": self.Ref}
	for _, linked := range m.linked {
		c := asComponent("library", linked.path, strings.TrimPrefix(linked.version, "go"), linked.licence)
		if linked.sum != "" {
			c.Properties = []property{{"go.sum", linked.sum}}
		}
		refs[linked.path] = c.Ref
		b.Components = append(b.Components, c)
	}
	for _, from := range slices.Sorted(maps.Keys(refs)) {
		d := dependency{Ref: refs[from], DependsOn: []string{}}
		if from != "std" {
			d.DependsOn = append(d.DependsOn, refs["std"])
		}
		for _, to := range m.needs[from] {
			d.DependsOn = append(d.DependsOn, refs[to])
		}
		b.Dependencies = append(b.Dependencies, d)
	}
	return b
}

func asComponent(kind, path, version, spdx string) component {
	// A version's "+" would be read as a space.
	purl := "pkg:golang/" + path + "@" + url.QueryEscape(version)
	c := component{Type: kind, Ref: purl, Name: path, Version: version, PURL: purl}
	var l licence
	l.Licence.ID = spdx
	c.Licences = []licence{l}
	return c
}

// serial makes a UUID (version 8, RFC 9562) out of what the bill is about.
func serial(of string) string {
	sum := sha256.Sum256([]byte(of))
	id := sum[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
